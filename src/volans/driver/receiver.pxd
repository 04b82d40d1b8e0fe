from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport ReceiverState

cdef int32_t receiver_do_work(void *state, int64_t now_ns, int64_t now_ms) noexcept nogil

cdef class Receiver:
    cdef ReceiverState state
    cdef object shared_owner
    cdef object engine_handle
