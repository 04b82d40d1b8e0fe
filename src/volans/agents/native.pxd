from volans.agents.idle cimport IdleStrategy
from volans.agents.layout cimport MAX_CYCLE_MEASURES, CompositeState, CycleMeasure, do_work_fn
from libc.stdint cimport int32_t, int64_t

# An agent whose duty cycle is a C function: runs in a thread that holds no GIL.
cdef class NativeAgent:
    cdef do_work_fn work
    cdef void *state
    cdef object owner               # keeps *state alive
    cdef readonly str role_name

cdef NativeAgent make_native_agent(do_work_fn work, void *state, object owner, str role_name)

# Several native agents run in turn as one. The members' first negative result ends it.
cdef class NativeComposite(NativeAgent):
    cdef CompositeState composite

cdef int32_t composite_do_work(void *state, int64_t now_ns, int64_t now_ms) noexcept nogil

# Loops a NativeAgent on a thread without the GIL until closed. Its measures feed the stall counters.
cdef class NativeAgentRunner:
    cdef NativeAgent agent
    cdef IdleStrategy idle_strategy
    cdef int32_t running            # 1 until close() asks to stop
    cdef int32_t finished           # 1 when the loop has left
    cdef int32_t result             # the negative number that ended the loop, else 0
    cdef object thread
    cdef readonly str role_name
    cdef object on_start            # called on the thread before the first cycle, or None
    cdef CycleMeasure measures[MAX_CYCLE_MEASURES]
    cdef int32_t measure_count
    cdef list counter_owners        # keep the measures' counters alive
    # Let it keep a longest cycle and a number of slow ones, of each agent that it runs; before start.
    cdef object measure(self, int64_t *max_time_ns, int64_t *slow_count, int64_t threshold_ns, object owner)
    cdef void _measure(self, int64_t cycle_ns) noexcept nogil
