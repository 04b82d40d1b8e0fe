from libc.stdint cimport int64_t
from volans.driver.layout cimport PacerState
from volans.driver.slow_layout cimport SlowSubscribers

# Part of the pacer's duty cycle, its lock held; looks every quarter of the threshold.
cdef void slow_subscribers_check(SlowSubscribers *slow, PacerState *pacer, int64_t now_ns) noexcept nogil
