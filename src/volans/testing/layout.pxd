"""States of the test kit's native agents."""
from libc.stdint cimport int32_t, int64_t

cdef struct CountingState:
    int64_t cycles_count            # written by the agent's thread, read by any
    int64_t last_now_ns
    int64_t last_now_ms
    int64_t end_after_cycles
    int64_t stall_ns
    int64_t max_cycle_time_ns       # written by the runner
    int64_t slow_cycles_count       # written by the runner
    int32_t work_count              # written by the test's thread
    int32_t end_result

# --- compiled benchmark loops ---------------------------------------------------------------
cpdef enum:
    LOOP_FRAGMENT_LIMIT = 64
    LOOP_STALL_S = 20

cdef struct LoopState:
    int64_t message_count
    int64_t checksum
