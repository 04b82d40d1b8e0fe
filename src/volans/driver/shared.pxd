from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport DriverShared, StreamEvent

cdef void record_error(DriverShared *shared, int64_t now_ms, int32_t error_number, const char *what) noexcept nogil   # text: what + strerror; counts ERRORS
cdef bint to_control(DriverShared *shared, int32_t msg_type_id, const void *message, int32_t length) noexcept nogil     # counts CONDUCTOR_PROXY_FAILS when full
cdef bint stream_event(DriverShared *shared, int32_t msg_type_id, int64_t registration_id) noexcept nogil
cdef int64_t random_i64(DriverShared *shared) noexcept nogil

# Owns a DriverShared and its heap rings.
cdef class SharedState:
    cdef DriverShared state
    cdef object owner                   # CnC file and counters that the pointers lead into
    cdef bytearray rings
