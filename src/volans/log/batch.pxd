from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.layout cimport Appender

# Many messages of equal length and stride: how many were accepted (>= 0). *code: the position behind the last one when all
# were, else the APPEND_ code of the first that was not. Never rotates twice: call again after APPEND_ADMIN_ACTION.
cdef int64_t append_batch(Appender *appender, bint exclusive, const uint8_t *first, int64_t stride, int32_t length, int64_t count, int64_t *code) noexcept nogil
