from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport Subscribable, Subscriber

cdef int32_t subscribable_add(Subscribable *subscribable, int64_t *position, int32_t counter_id, int64_t subscription_registration_id,
                              bint is_tether, bint is_rejoin, int64_t now_ns) noexcept nogil     # 0, or -1 without memory
cdef int32_t subscribable_remove(Subscribable *subscribable, int64_t subscription_registration_id) noexcept nogil   # counter id, or -1
cdef void subscribable_free(Subscribable *subscribable) noexcept nogil
cdef bint is_working(const Subscriber *subscriber) noexcept nogil        # ACTIVE or LINGER: its position counts for connectivity
cdef int32_t working_count(const Subscribable *subscribable) noexcept nogil
# Over working subscribers, since one that lingers may still be reading: what it shows must not be overwritten.
# Count of them (0: outputs untouched).
cdef int32_t active_position_bounds(const Subscribable *subscribable, int64_t *minimum, int64_t *maximum) noexcept nogil
