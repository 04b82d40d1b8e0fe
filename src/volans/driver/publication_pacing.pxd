from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport NetworkPublication

# Conductor, every cycle: publisher position and limit, connected state, cleaning. Work count.
cdef int32_t publication_update_limit(NetworkPublication *publication) noexcept nogil
# Conductor, every timer interval: ACTIVE → DRAINING → LINGER → DONE, unblocking; tells the control plane by stream events.
cdef void publication_on_time_event(NetworkPublication *publication, int64_t now_ns, int64_t now_ms) noexcept nogil
# Last client let go (reference_count reached 0).
cdef void publication_on_unreferenced(NetworkPublication *publication, int64_t now_ns) noexcept nogil
# Spies join at the sender position; result: join position, or -1 without memory.
cdef int64_t publication_add_spy(NetworkPublication *publication, int64_t *position, int32_t counter_id, int64_t subscription_registration_id,
                                 bint is_tether, bint is_rejoin, int64_t now_ns) noexcept nogil
cdef int32_t publication_remove_spy(NetworkPublication *publication, int64_t subscription_registration_id) noexcept nogil   # counter id, or -1
