"""Which streams and sessions an endpoint listens to, and what each session is waiting for. Receiver only."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport PublicationImage, ReceiveChannelEndpoint, ReceiveDestination, ReceiverState
from volans.protocol.layout cimport RttmFrame, SetupFrame
from volans.transport.contract cimport Address, RxDatagram

# 0, or -1 without memory.
cdef int32_t dispatcher_add_subscription(ReceiveChannelEndpoint *endpoint, int32_t stream_id) noexcept nogil
cdef void dispatcher_remove_subscription(ReceiveChannelEndpoint *endpoint, int32_t stream_id) noexcept nogil
cdef int32_t dispatcher_add_subscription_by_session(ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id) noexcept nogil
cdef void dispatcher_remove_subscription_by_session(ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id) noexcept nogil
cdef int32_t dispatcher_add_image(ReceiveChannelEndpoint *endpoint, PublicationImage *image) noexcept nogil
cdef void dispatcher_remove_image(ReceiveChannelEndpoint *endpoint, PublicationImage *image) noexcept nogil
cdef void dispatcher_remove_init_in_progress(ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id) noexcept nogil
cdef void dispatcher_remove_cool_down(ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id) noexcept nogil
# Forgets every interest.
cdef void dispatcher_clear(ReceiveChannelEndpoint *endpoint) noexcept nogil
# SESSION_... of a session, 0 when nothing is known.
cdef int32_t dispatcher_session_state(ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id) noexcept nogil

# Frames that came over a destination.
cdef void dispatcher_on_data(ReceiverState *receiver, ReceiveDestination *destination, const uint8_t *packet, int32_t length, const RxDatagram *datagram) noexcept nogil
cdef void dispatcher_on_setup(ReceiverState *receiver, ReceiveDestination *destination, const SetupFrame *setup, const Address *source) noexcept nogil
cdef void dispatcher_on_rttm(ReceiverState *receiver, ReceiveDestination *destination, const RttmFrame *rttm, const Address *source) noexcept nogil
