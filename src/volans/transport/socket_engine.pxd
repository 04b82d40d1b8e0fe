from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.transport.contract cimport (
    Address, Endpoint, EndpointOptions, Engine, EngineOps, RxDatagram,
)
from volans.transport.layout cimport SocketEngine

# What the socket engines share; each adds its own rx_poll and tx_flush to the table.
cdef Engine *socket_engine_new(const EngineOps *ops, int32_t tx_queue_count, int32_t rx_burst_count,
                               int32_t rx_buffer_length, int32_t epoll_above_count) noexcept nogil
cdef void socket_engine_fill_ops(EngineOps *ops) noexcept nogil
cdef uint8_t *rx_buffer_take(SocketEngine *state, int32_t ahead) noexcept nogil
cdef bint is_would_block(int32_t error) noexcept nogil
cdef bint is_try_again(int32_t error) noexcept nogil
# recvfrom of one datagram: 1, 0 when there is none, or -errno.
cdef int32_t receive_one(Engine *engine, Endpoint *endpoint, RxDatagram *datagram) noexcept nogil
