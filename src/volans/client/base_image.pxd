from libc.stdint cimport int32_t, int64_t
from volans.client.layout cimport ImageState
from volans.client.log_file cimport LogFile

cdef int64_t image_position(ImageState *image) noexcept nogil

cdef class BaseImage:
    cdef ImageState state
    cdef LogFile log_file           # None once the mapping was given up
    cdef object conductor
    cdef object counters_owner      # keeps the position counter mapped
    cdef object _subscription
    cdef readonly int64_t correlation_id
    cdef readonly int32_t subscriber_position_id
    cdef readonly str source_identity
