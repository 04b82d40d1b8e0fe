from libc.stdint cimport int32_t, int64_t
from volans.log.layout cimport LogBuffers

# A producer died between claiming and committing: make the log readable again at blocked_position. 1 when something was unblocked.
cdef int32_t log_unblock(LogBuffers *log, int64_t blocked_position) noexcept nogil
