from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport DriverShared
from volans.memory.layout cimport RingBuffer

cdef class ControlAgent:
    cdef DriverShared *shared
    cdef RingBuffer commands            # the to-driver ring of the CnC file
    cdef int32_t wake_requested         # set by anyone, cleared by the agent
    cdef int32_t has_waiting_tasks      # agent
    cdef int64_t timer_deadline_ns      # agent
    cdef int64_t timer_interval_ns
    cdef object conductor
    cdef object shared_owner
    cdef object commands_owner
    cdef bint is_needed(self, int64_t now_ns) noexcept nogil
    cdef int32_t run(self, int64_t now_ns, int64_t now_ms) noexcept
