"""The conductor's commands to the receiver: writing them (any of the conductor's threads) and doing them (receiver)."""
from libc.stdint cimport int32_t
from volans.driver.layout cimport DriverShared, PublicationImage, ReceiveChannelEndpoint, ReceiveDestination, ReceiverState

# False when the ring is full (counted): try again later.
cdef bint command_receiver(DriverShared *shared, int32_t msg_type_id, ReceiveChannelEndpoint *endpoint, PublicationImage *image,
                           int32_t stream_id, int32_t session_id) noexcept nogil
cdef bint command_receiver_destination(DriverShared *shared, int32_t msg_type_id, ReceiveChannelEndpoint *endpoint,
                                       ReceiveDestination *destination) noexcept nogil
cdef int32_t receiver_drain_commands(ReceiverState *receiver) noexcept nogil     # work count
