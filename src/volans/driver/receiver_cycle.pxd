from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport ReceiveChannelEndpoint, ReceiverState
from volans.transport.contract cimport Address, RxDatagram

# One datagram that came to an endpoint.
cdef void receiver_on_datagram(ReceiverState *receiver, ReceiveChannelEndpoint *endpoint, const uint8_t *packet, int32_t length, const Address *source) noexcept nogil
# What an engine's poll brought: one datagram, or several of one length in a row.
cdef void receiver_on_received(ReceiverState *receiver, RxDatagram *datagram) noexcept nogil
cdef int32_t receiver_cycle(ReceiverState *receiver, int64_t now_ns, int64_t now_ms) noexcept nogil
