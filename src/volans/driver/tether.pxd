from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport DriverShared, Subscribable, TetherRules

# Conductor, on time events: moves every untethered subscriber of one stream along and tells the control plane.
# Count of those that moved.
cdef int32_t tether_check(Subscribable *subscribers, DriverShared *shared, int64_t registration_id, const TetherRules *rules,
                          int64_t now_ns) noexcept nogil
