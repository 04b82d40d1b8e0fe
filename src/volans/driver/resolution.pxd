"""Peers whose names may have moved: the agents' part. Functions of the agent that their first parameter names."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport (
    AgentCommand, DriverShared, ReceiveChannelEndpoint, ReceiverState, SendChannelEndpoint, SenderState,
)

cdef void sender_on_resolution_command(SenderState *sender, int32_t msg_type_id, AgentCommand *command) noexcept nogil
cdef void receiver_on_resolution_command(ReceiverState *receiver, int32_t msg_type_id, AgentCommand *command) noexcept nogil
# Control plane. False when the ring is full (counted): try again later.
cdef bint command_receiver_control(DriverShared *shared, ReceiveChannelEndpoint *endpoint, int64_t destination_id,
                                   bytes sockaddr)
