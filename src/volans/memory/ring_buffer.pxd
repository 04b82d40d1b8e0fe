from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.memory.layout cimport RingBuffer, message_handler_fn

# memory = capacity (power of two) + RING_TRAILER_LENGTH bytes. 0, or -1 when the length is no such sum.
cdef int32_t ring_buffer_wrap(RingBuffer *ring, uint8_t *memory, int64_t total_length) noexcept nogil
cdef int64_t ring_buffer_next_correlation_id(RingBuffer *ring) noexcept nogil
cdef int64_t ring_buffer_size_bytes(RingBuffer *ring) noexcept nogil
# Many producers, one consumer. write: RING_OK or a RING_ code. claim: index of the payload (>= 0) or a RING_ code.
cdef int32_t mpsc_ring_write(RingBuffer *ring, int32_t msg_type_id, const void *source, int32_t length) noexcept nogil
cdef int32_t mpsc_ring_claim(RingBuffer *ring, int32_t msg_type_id, int32_t length) noexcept nogil
cdef int32_t mpsc_ring_read(RingBuffer *ring, message_handler_fn handler, void *clientd, int32_t message_limit) noexcept nogil
cdef int32_t mpsc_ring_unblock(RingBuffer *ring) noexcept nogil
cdef int32_t spsc_ring_write(RingBuffer *ring, int32_t msg_type_id, const void *source, int32_t length) noexcept nogil
cdef int32_t spsc_ring_claim(RingBuffer *ring, int32_t msg_type_id, int32_t length) noexcept nogil
cdef int32_t spsc_ring_read(RingBuffer *ring, message_handler_fn handler, void *clientd, int32_t message_limit) noexcept nogil
# For both kinds, with the index a claim returned.
cdef void ring_commit(RingBuffer *ring, int32_t index) noexcept nogil
cdef void ring_abort(RingBuffer *ring, int32_t index) noexcept nogil

# Building blocks of a read loop that has to do more than call a handler (the Python face).
cdef int32_t index_of(RingBuffer *ring, int64_t position) noexcept nogil
# Index of the next payload in the block at head_index and its type and length; -1 at the end of what is published.
cdef int32_t next_message(RingBuffer *ring, int32_t head_index, int32_t *bytes_read, int32_t *msg_type_id, int32_t *length) noexcept nogil
# Zero what was read, then release it to the producers.
cdef void release_read(RingBuffer *ring, int64_t head, int32_t head_index, int32_t bytes_read) noexcept nogil
