from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.transport.contract cimport Address, Endpoint
from volans.transport.layout cimport TxQueue, TxRun

cdef int32_t tx_queue_init(TxQueue *queue, int32_t capacity) noexcept nogil
cdef void tx_queue_free(TxQueue *queue) noexcept nogil
cdef int32_t tx_queue_run(TxQueue *queue, Endpoint *endpoint, const Address *destination, const uint8_t *base,
                          int32_t segment_length, int32_t segment_count, int32_t last_length) noexcept nogil
cdef int32_t tx_queue_copy(TxQueue *queue, Endpoint *endpoint, const Address *destination,
                           const uint8_t *data, int32_t length) noexcept nogil
cdef void tx_queue_forget(TxQueue *queue, const uint8_t *base, int64_t length) noexcept nogil
cdef void tx_queue_forget_endpoint(TxQueue *queue, Endpoint *endpoint) noexcept nogil
# Count `settled` datagrams from run `first` on as sent or dropped.
cdef void tx_queue_settle(TxQueue *queue, int32_t first, int32_t settled) noexcept nogil
# Close the gaps that settled runs left; what stays keeps its order.
cdef void tx_queue_compact(TxQueue *queue) noexcept nogil
cdef int32_t tx_run_length(const TxRun *run, int32_t index) noexcept nogil
