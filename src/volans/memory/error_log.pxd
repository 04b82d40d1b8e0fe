from libc.stdint cimport int32_t, int64_t, uint8_t

# A distinct error log that GIL-free agents can write: an observation is (code, text). Linear search over the records;
# 0 when recorded, -1 when the buffer is full. Several threads may record: writers take the log's spin lock.
cdef struct ErrorLogState:
    uint8_t *buffer
    int64_t capacity
    int64_t next_offset             # under the lock
    int32_t lock

cdef void error_log_wrap(ErrorLogState *log, uint8_t *buffer, int64_t capacity) noexcept nogil
cdef int32_t error_log_record(ErrorLogState *log, const char *text, int32_t length, int64_t now_ms) noexcept nogil
