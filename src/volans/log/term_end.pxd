from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.layout cimport Appender

# Why nothing may be appended at a position that has reached the limit: an APPEND_ code.
cdef int64_t refuse(Appender *appender, int64_t position, int32_t framed_length) noexcept nogil
cdef void write_padding(Appender *appender, uint8_t *term, int32_t term_offset, int32_t term_id, int32_t frame_length) noexcept nogil
# A reservation went past the end of the term; both return APPEND_ADMIN_ACTION or APPEND_MAX_POSITION_EXCEEDED.
cdef int64_t trip(Appender *appender, uint8_t *term, int32_t term_offset, int32_t term_id) noexcept nogil
cdef int64_t trip_exclusive(Appender *appender) noexcept nogil
cdef int64_t rotate_exclusive(Appender *appender) noexcept nogil
