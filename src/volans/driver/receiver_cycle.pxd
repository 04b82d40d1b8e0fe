from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport ReceiveDestination, ReceiverState
from volans.transport.contract cimport RxDatagram

# One datagram that came to a destination; `received` says from whom and when.
cdef void receiver_on_datagram(ReceiverState *receiver, ReceiveDestination *destination, const uint8_t *packet, int32_t length, const RxDatagram *received) noexcept nogil
# What an engine's poll brought: one datagram, or several of one length in a row.
cdef void receiver_on_received(ReceiverState *receiver, RxDatagram *datagram) noexcept nogil
cdef int32_t receiver_cycle(ReceiverState *receiver, int64_t now_ns, int64_t now_ms) noexcept nogil
