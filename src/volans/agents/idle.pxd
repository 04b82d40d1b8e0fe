from libc.stdint cimport int32_t
from volans.agents.layout cimport IdleState

cdef void idle_state_idle(IdleState *state, int32_t work_count) noexcept nogil
cdef void idle_state_reset(IdleState *state) noexcept nogil

cdef class IdleStrategy:
    cdef IdleState state
    cdef object owner               # keeps *control alive
