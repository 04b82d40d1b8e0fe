from libc.stdint cimport int32_t, int64_t
from volans.memory.layout cimport PointerQueue, queue_consumer_fn

# Bounded queues of non-NULL pointers between threads. Capacity is rounded up to a power of two, at least 2.
# A queue is used with one family of functions only: spsc_, mpsc_ or mpmc_ says how many producers and consumers it bears.
# 0, or -1 when there is no memory.
cdef int32_t queue_init(PointerQueue *queue, int64_t capacity) noexcept nogil
# Frees the arrays, not what the pointers left inside point to.
cdef void queue_free(PointerQueue *queue) noexcept nogil
# A snapshot between 0 and capacity.
cdef int64_t queue_size(PointerQueue *queue) noexcept nogil

# Offers: 1 when the element is in, 0 when the queue is full. Polls: the oldest element, or NULL.
cdef int32_t spsc_queue_offer(PointerQueue *queue, void *element) noexcept nogil
cdef void *spsc_queue_poll(PointerQueue *queue) noexcept nogil
cdef int32_t mpsc_queue_offer(PointerQueue *queue, void *element) noexcept nogil
cdef void *mpsc_queue_poll(PointerQueue *queue) noexcept nogil
cdef int32_t mpmc_queue_offer(PointerQueue *queue, void *element) noexcept nogil
cdef void *mpmc_queue_poll(PointerQueue *queue) noexcept nogil
# Hands at most limit elements to the consumer, in order; returns how many. For SPSC and MPSC queues.
cdef int32_t queue_drain(PointerQueue *queue, queue_consumer_fn consumer, void *clientd, int32_t limit) noexcept nogil

cdef class ObjectQueue:
    cdef PointerQueue queue
