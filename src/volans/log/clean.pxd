from libc.stdint cimport int32_t, int64_t
from volans.log.layout cimport LogBuffers

# Zeroes [clean_position, to_position) within one term, at most max_bytes, first 8 bytes last (release). Returns the new clean position.
cdef int64_t log_clean(LogBuffers *log, int64_t clean_position, int64_t to_position, int64_t max_bytes) noexcept nogil
