from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.memory.layout cimport BroadcastBuffer, BroadcastReceiverState, message_handler_fn

cdef int32_t broadcast_wrap(BroadcastBuffer *broadcast, uint8_t *memory, int64_t total_length) noexcept nogil
# One transmitter. 0, or RING_MESSAGE_TOO_LONG / RING_BAD_MSG_TYPE_ID.
cdef int32_t broadcast_transmit(BroadcastBuffer *broadcast, int32_t msg_type_id, const void *source, int32_t length) noexcept nogil
cdef void broadcast_receiver_init(BroadcastReceiverState *receiver, BroadcastBuffer *broadcast) noexcept nogil
# Copies the next message into scratch. Length (>= 0) and *msg_type_id; -1 nothing new; -2 lapped (one lap counted,
# cursor moved to latest); -3 scratch too small (needed length in *msg_type_id, nothing consumed).
cdef int32_t broadcast_receive(BroadcastReceiverState *receiver, int32_t *msg_type_id, uint8_t *scratch, int32_t scratch_length) noexcept nogil
