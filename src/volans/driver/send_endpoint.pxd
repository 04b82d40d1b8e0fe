"""Control frames that come back on the socket a channel's publications send from. Sender only."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport NetworkPublication, SendChannelEndpoint
from volans.transport.contract cimport RxDatagram

cdef int32_t send_endpoint_add_publication(SendChannelEndpoint *endpoint, NetworkPublication *publication) noexcept nogil   # 0, or -1 without memory
cdef void send_endpoint_remove_publication(SendChannelEndpoint *endpoint, NetworkPublication *publication) noexcept nogil
cdef void send_endpoint_on_datagram(SendChannelEndpoint *endpoint, const RxDatagram *datagram, int64_t now_ns) noexcept nogil
