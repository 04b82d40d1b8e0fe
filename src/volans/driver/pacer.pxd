from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport PacerState
from volans.driver.slow_layout cimport SlowSubscribers

cdef int32_t pacer_do_work(void *clientd, int64_t now_ns, int64_t now_ms) noexcept nogil

cdef class Pacer:
    cdef PacerState state
    cdef SlowSubscribers slow
    cdef object shared_owner
    cdef list kept_alive
