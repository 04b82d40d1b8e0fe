"""The destinations of a multi-destination endpoint. Sender only."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport SendDestinations
from volans.transport.contract cimport Address

cdef void send_destinations_add(SendDestinations *destinations, int64_t registration_id, const Address *address, int64_t now_ns) noexcept nogil
cdef void send_destinations_remove(SendDestinations *destinations, int64_t registration_id) noexcept nogil
cdef void send_destinations_change(SendDestinations *destinations, int64_t registration_id, const Address *address) noexcept nogil
# A status message came: learn, or keep alive, where it came from.
cdef void send_destinations_heard(SendDestinations *destinations, int64_t receiver_id, const Address *source, int64_t now_ns) noexcept nogil
# Registration id of the destination a frame came from, -1 = none.
cdef int64_t send_destinations_find(SendDestinations *destinations, int64_t receiver_id, const Address *source) noexcept nogil
# Forget learnt destinations that were silent for too long.
cdef void send_destinations_expire(SendDestinations *destinations, int64_t now_ns) noexcept nogil
# Index of the destination to begin with: another one each time.
cdef int32_t send_destinations_next_start(SendDestinations *destinations) noexcept nogil
cdef void send_destinations_free(SendDestinations *destinations) noexcept nogil
