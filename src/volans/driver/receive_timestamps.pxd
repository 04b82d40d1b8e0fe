"""Receive times inside messages (media-rcv-ts-offset, channel-rcv-ts-offset). Receiver only."""
from libc.stdint cimport int32_t, uint8_t
from volans.driver.layout cimport ReceiveChannelEndpoint
from volans.transport.contract cimport RxDatagram

# Writes the datagram's times, as the endpoint's channel asks, into the first fragment of each message of a validated packet.
cdef void stamp_packet(ReceiveChannelEndpoint *endpoint, const uint8_t *packet, int32_t length, const RxDatagram *datagram) noexcept nogil
