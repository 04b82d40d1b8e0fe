"""What an agent and an idle strategy are at C level."""
from libc.stdint cimport int32_t, int64_t

# One duty cycle: the work count (0 = idle), or a negative number to end the agent (the owner knows why).
# Both clocks are arguments: agents below read none.
ctypedef int32_t (*do_work_fn)(void *state, int64_t now_ns, int64_t now_ms) noexcept nogil

cpdef enum IdleKind:
    IDLE_NOOP = 0
    IDLE_SPIN = 1
    IDLE_YIELD = 2
    IDLE_SLEEP = 3
    IDLE_BACKOFF = 4
    IDLE_CONTROLLABLE = 5

cpdef enum BackoffState:
    BACKOFF_NOT_IDLE = 0
    BACKOFF_SPINNING = 1
    BACKOFF_YIELDING = 2
    BACKOFF_PARKING = 3

cpdef enum ControlStatus:
    CONTROL_DEFAULT = 0
    CONTROL_NOOP = 1
    CONTROL_SPIN = 2
    CONTROL_YIELD = 3
    CONTROL_PARK = 4

cdef struct IdleState:
    int32_t kind
    int32_t backoff_state
    int64_t max_spins
    int64_t max_yields
    int64_t min_park_ns
    int64_t max_park_ns
    int64_t sleep_ns
    int64_t spins
    int64_t yields
    int64_t park_ns
    int64_t *control                # IDLE_CONTROLLABLE: counter 22 (0 default, 1 noop, 2 spin, 3 yield, 4 park)

# Agents that take turns in one duty cycle.
cdef struct CompositeState:
    int32_t count
    do_work_fn *works
    void **states

cpdef enum:
    MAX_CYCLE_MEASURES = 3          # conductor, sender and receiver on one thread

# Where a runner tells how long its cycles take. All of it the runner's thread writes.
cdef struct CycleMeasure:
    int64_t *max_time_ns
    int64_t *slow_count             # cycles longer than the threshold
    int64_t threshold_ns
