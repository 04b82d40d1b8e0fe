from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.client.log_file cimport LogFile
from volans.log.layout cimport Appender

# What concurrent and exclusive publications share. Compiled code may append through `appender` itself (see volans.log.append)
# while `closed` is 0 and as long as it holds the object.
cdef class BasePublication:
    cdef Appender appender
    cdef int32_t closed             # the conductor or close() writes with release
    cdef bint exclusive
    cdef int64_t last_position_value
    cdef object last_result_value
    cdef LogFile log_file           # None once closed
    cdef object conductor
    cdef object counters_owner      # keeps the limit counter mapped
    cdef readonly int64_t registration_id
    cdef readonly int64_t original_registration_id
    cdef readonly str channel
    cdef readonly int32_t position_limit_id
    cdef readonly int32_t channel_status_id
    cdef int64_t append_object(self, object message, int64_t reserved_value) except? -1000
    cdef int64_t append_pieces(self, object pieces, int64_t reserved_value) except? -1000
    cdef int64_t reserved_value_of(self, object given, object message) except? -1
    cdef object outcome(self, int64_t code, object message)
