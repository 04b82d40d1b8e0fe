from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from volans.transport.contract cimport Address, Endpoint, EndpointOptions
from volans.transport.simulated_layout cimport SimLink, SimNetwork, SimPacket, SimPort

cdef SimNetwork *sim_network_new(uint64_t seed, int32_t queue_capacity) noexcept nogil
cdef void sim_network_free(SimNetwork *network) noexcept nogil
cdef void sim_lock(SimNetwork *network) noexcept nogil
cdef void sim_unlock(SimNetwork *network) noexcept nogil
# The host's number, made when it is new; -ENOSPC when there are too many.
cdef int32_t sim_host(SimNetwork *network, const Address *address) noexcept nogil
cdef SimLink *sim_link(SimNetwork *network, int32_t source, int32_t destination) noexcept nogil
# These are called with the lock held.
cdef int32_t sim_port_open(SimNetwork *network, int32_t host, Endpoint *endpoint, const Address *bind_to,
                           const EndpointOptions *options) noexcept nogil
cdef void sim_port_close(SimNetwork *network, SimPort *port) noexcept nogil
cdef void sim_send(SimNetwork *network, SimPort *port, const Address *destination, const uint8_t *data,
                   int32_t length, int64_t now_ns) noexcept nogil
cdef SimPacket *sim_port_take(SimNetwork *network, SimPort *port) noexcept nogil
cdef int64_t sim_next_delivery_ns(SimNetwork *network) noexcept nogil
cdef bint sim_packet_before(const SimPacket *one, const SimPacket *other) noexcept nogil
