"""Byte layouts of the shared-memory structures (PROTOCOL.md sections 4, 5, 6, 8, 9)."""
from libc.stdint cimport int32_t, int64_t, uint8_t

cpdef enum:
    CACHE_LINE_LENGTH = 64
    NULL_VALUE = -1

# --- ring buffer (section 4): capacity bytes, then a trailer -------------------------------
cpdef enum:
    RING_TRAILER_LENGTH = 768
    RING_TAIL_POSITION_OFFSET = 128
    RING_HEAD_CACHE_POSITION_OFFSET = 256
    RING_HEAD_POSITION_OFFSET = 384
    RING_CORRELATION_COUNTER_OFFSET = 512
    RING_CONSUMER_HEARTBEAT_OFFSET = 640
    RING_RECORD_HEADER_LENGTH = 8
    RING_RECORD_ALIGNMENT = 8
    RING_PADDING_MSG_TYPE_ID = -1

# Results of ring writes and claims.
cpdef enum:
    RING_OK = 0
    RING_FULL = -1            # try again when the consumer has moved
    RING_MESSAGE_TOO_LONG = -2
    RING_BAD_MSG_TYPE_ID = -3

cdef struct RingBuffer:
    uint8_t *buffer
    int32_t capacity
    int32_t max_message_length
    int64_t *tail_position          # written by producers (CAS for MPSC), read by all
    int64_t *head_cache_position    # producers' copy of head
    int64_t *head_position          # written by the consumer with release
    int64_t *correlation_counter    # fetch_add by anyone
    int64_t *consumer_heartbeat     # epoch ms, written by the consumer
    int64_t corrupt_record_count    # private to this reader: records skipped because their length was impossible

# A message of a ring or of a broadcast; payload is valid only inside the call.
ctypedef void (*message_handler_fn)(int32_t msg_type_id, uint8_t *payload, int32_t length, void *clientd) noexcept nogil

# --- broadcast (section 5) -----------------------------------------------------------------
cpdef enum:
    BROADCAST_TRAILER_LENGTH = 128
    BROADCAST_TAIL_INTENT_OFFSET = 0
    BROADCAST_TAIL_OFFSET = 8
    BROADCAST_LATEST_OFFSET = 16
    BROADCAST_RECORD_HEADER_LENGTH = 8
    BROADCAST_PADDING_MSG_TYPE_ID = -1

cdef struct BroadcastBuffer:
    uint8_t *buffer
    int32_t capacity
    int32_t max_message_length
    int64_t *tail_intent_counter
    int64_t *tail_counter
    int64_t *latest_counter

# Receiver state over a BroadcastBuffer (one reader).
cdef struct BroadcastReceiverState:
    BroadcastBuffer *broadcast
    int64_t cursor
    int64_t next_record
    int64_t lapped_count

# --- counters (section 6) ------------------------------------------------------------------
cpdef enum:
    COUNTER_VALUE_LENGTH = 128
    COUNTER_METADATA_LENGTH = 512
    COUNTER_REGISTRATION_ID_OFFSET = 8
    COUNTER_OWNER_ID_OFFSET = 16
    COUNTER_REFERENCE_ID_OFFSET = 24
    COUNTER_STATE_OFFSET = 0
    COUNTER_TYPE_ID_OFFSET = 4
    COUNTER_FREE_FOR_REUSE_DEADLINE_OFFSET = 8
    COUNTER_KEY_OFFSET = 16
    COUNTER_MAX_KEY_LENGTH = 112
    COUNTER_LABEL_LENGTH_OFFSET = 128
    COUNTER_LABEL_OFFSET = 132
    COUNTER_MAX_LABEL_LENGTH = 380
    COUNTER_UNUSED = 0
    COUNTER_ALLOCATED = 1
    COUNTER_RECLAIMED = -1

cdef struct CountersView:
    uint8_t *metadata
    uint8_t *values
    int32_t max_counter_id          # exclusive

# --- distinct error log (section 8) and loss report (section 9) ------------------------------
cpdef enum:
    ERROR_RECORD_HEADER_LENGTH = 24
    LOSS_RECORD_HEADER_LENGTH = 40
    LOSS_RECORD_ALIGNMENT = 64

# --- pointer queues between threads of one process -------------------------------------------
cdef struct QueueCell:
    int64_t sequence                # MPMC only: whose turn it is at this cell
    int64_t element                 # a pointer's bits; 0 = empty

# Producers and consumers keep off each other's cache lines (two, for adjacent-line prefetch).
cdef struct PointerQueue:
    QueueCell *cells
    int64_t capacity
    int64_t mask
    uint8_t pad_before_tail[104]
    int64_t tail                    # written by producers (CAS when there are several)
    int64_t head_cache              # producers' last look at head
    uint8_t pad_before_head[112]
    int64_t head                    # written by consumers (CAS when there are several)
    uint8_t pad_after_head[120]

ctypedef void (*queue_consumer_fn)(void *element, void *clientd) noexcept nogil
