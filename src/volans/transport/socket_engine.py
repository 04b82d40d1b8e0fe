# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""An engine made of BSD sockets, but for the two calls that move datagrams."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import (
    EAGAIN,
    EBADF,
    ECONNREFUSED,
    EDESTADDRREQ,
    EINTR,
    ENOBUFS,
    ENOMEM,
    errno,
)
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uintptr_t
from cython.cimports.libc.stdlib import calloc, free, malloc
from cython.cimports.volans.transport.contract import (
    MAX_DATAGRAM_LENGTH,
    RX_FLAG_TRUNCATED,
    RX_TIMESTAMP_CHANNEL,
    Address,
    Endpoint,
    EndpointOptions,
    Engine,
    EngineOps,
    RxDatagram,
)
from cython.cimports.volans.transport.layout import (
    RX_BUFFER_SPACING,
    RxBuffers,
    SocketEngine,
    UdpSocket,
)
from cython.cimports.volans.transport.net import (
    MSG_DONTWAIT,
    MSG_TRUNC,
    iovec,
    mmsghdr,
    receive_stamped,
    recvfrom,
    socklen_t,
    system_epoch_ns,
)
from cython.cimports.volans.transport.poll_set import (
    poll_set_add,
    poll_set_free,
    poll_set_init,
    poll_set_remove,
    poll_set_wait_descriptor,
)
from cython.cimports.volans.transport.tx_queue import (
    tx_queue_copy,
    tx_queue_forget,
    tx_queue_forget_endpoint,
    tx_queue_free,
    tx_queue_init,
    tx_queue_run,
)
from cython.cimports.volans.transport.udp_socket import (
    udp_socket_close,
    udp_socket_connect,
    udp_socket_open,
)


@cfunc
@nogil
@exceptval(check=False)
def is_would_block(error: int32_t) -> cython.bint:
    return error in (EAGAIN, ENOBUFS, ENOMEM)


@cfunc
@nogil
@exceptval(check=False)
def is_try_again(error: int32_t) -> cython.bint:
    """Errors that say nothing of this datagram: a signal, or an ICMP answer to an earlier one."""
    return error in (EINTR, ECONNREFUSED)


@cfunc
@nogil
@exceptval(check=False)
def rx_buffers_init(rx: pointer[RxBuffers], count: int32_t, length: int32_t) -> int32_t:
    i: int32_t
    rx.count = count
    rx.length = length
    rx.stride = ((length + 63) & ~63) + RX_BUFFER_SPACING
    rx.memory = cast(pointer[uint8_t], malloc(cast(cython.size_t, count) * rx.stride))
    rx.free_buffers = cast(pointer[int32_t], malloc(count * sizeof(int32_t)))
    if rx.memory is cython.NULL or rx.free_buffers is cython.NULL:
        return -ENOMEM
    for i in range(count):
        rx.free_buffers[i] = count - 1 - i
    rx.free_count = count
    return 0


@cfunc
@nogil
@exceptval(check=False)
def rx_buffer_take(state: pointer[SocketEngine], ahead: int32_t) -> pointer[uint8_t]:
    """The free buffer `ahead` places under the top; lowering free_count takes it."""
    rx: pointer[RxBuffers] = address(state.rx)
    return rx.memory + cast(cython.size_t, rx.free_buffers[rx.free_count - 1 - ahead]) * rx.stride


@cfunc
@nogil
@exceptval(check=False)
def socket_engine_new(
    ops: pointer[cython.const[EngineOps]],
    tx_queue_count: int32_t,
    rx_burst_count: int32_t,
    rx_buffer_length: int32_t,
    epoll_above_count: int32_t,
) -> pointer[Engine]:
    """The engine, or NULL when memory is short."""
    state: pointer[SocketEngine]
    engine: pointer[Engine] = cast(pointer[Engine], calloc(1, sizeof(Engine)))
    if engine is cython.NULL:
        return cython.NULL
    state = cast(pointer[SocketEngine], calloc(1, sizeof(SocketEngine)))
    if state is cython.NULL:
        free(engine)
        return cython.NULL
    engine.ops = ops
    engine.private_state = state
    engine.caps.max_burst = tx_queue_count
    engine.caps.max_segments = 1
    engine.caps.max_datagram_length = MAX_DATAGRAM_LENGTH
    engine.caps.receive_timestamps = 1
    state.rx_messages = cast(pointer[mmsghdr], calloc(rx_burst_count, sizeof(mmsghdr)))
    state.rx_vectors = cast(pointer[iovec], calloc(rx_burst_count, sizeof(iovec)))
    state.tx_messages = cast(pointer[mmsghdr], calloc(tx_queue_count, sizeof(mmsghdr)))
    state.tx_vectors = cast(pointer[iovec], calloc(tx_queue_count, sizeof(iovec)))
    if (
        poll_set_init(address(state.poll_set), epoll_above_count) < 0
        or tx_queue_init(address(state.tx), tx_queue_count) < 0
        or rx_buffers_init(address(state.rx), rx_burst_count, rx_buffer_length) < 0
        or state.rx_messages is cython.NULL
        or state.rx_vectors is cython.NULL
        or state.tx_messages is cython.NULL
        or state.tx_vectors is cython.NULL
    ):
        socket_engine_close(engine)
        return cython.NULL
    return engine


@cfunc
@nogil
@exceptval(check=False)
def socket_engine_close(engine: pointer[Engine]) -> cython.void:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    poll_set_free(address(state.poll_set))
    tx_queue_free(address(state.tx))
    free(state.rx.memory)
    free(state.rx.free_buffers)
    free(state.rx_messages)
    free(state.rx_vectors)
    free(state.tx_messages)
    free(state.tx_vectors)
    free(state)
    free(engine)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_open(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    return udp_socket_open(endpoint, bind_to, options)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_close(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    udp_socket_close(endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_add(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    if endpoint.descriptor < 0:
        return -EBADF
    return poll_set_add(address(state.poll_set), endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_remove(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    tx_queue_forget_endpoint(address(state.tx), endpoint)
    poll_set_remove(address(state.poll_set), endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_connect(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    peer: pointer[cython.const[Address]],
) -> int32_t:
    return udp_socket_connect(endpoint, peer)


@cfunc
@nogil
@exceptval(check=False)
def rx_release(
    engine: pointer[Engine], datagrams: pointer[RxDatagram], count: int32_t
) -> cython.void:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    rx: pointer[RxBuffers] = address(state.rx)
    i: int32_t
    offset: cython.size_t
    # Last first, so that the next burst uses the same buffers in the same order.
    for i in range(count - 1, -1, -1):
        if rx.free_count == rx.count:
            return
        offset = cast(uintptr_t, datagrams[i].data) - cast(uintptr_t, rx.memory)
        rx.free_buffers[rx.free_count] = cast(int32_t, offset // rx.stride)
        rx.free_count += 1


@cfunc
@nogil
@exceptval(check=False)
def can_send(endpoint: pointer[Endpoint], destination: pointer[cython.const[Address]]) -> int32_t:
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], endpoint.private_state)
    if udp is cython.NULL:
        return -EBADF
    if not udp.is_connected and (destination is cython.NULL or destination.length == 0):
        return -EDESTADDRREQ
    return 0


@cfunc
@nogil
@exceptval(check=False)
def tx_run(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    base: pointer[cython.const[uint8_t]],
    segment_length: int32_t,
    segment_count: int32_t,
    last_length: int32_t,
) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    result: int32_t = can_send(endpoint, destination)
    if result < 0:
        return result
    return tx_queue_run(
        address(state.tx), endpoint, destination, base, segment_length, segment_count, last_length
    )


@cfunc
@nogil
@exceptval(check=False)
def tx_copy(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    result: int32_t = can_send(endpoint, destination)
    if result < 0:
        return result
    return tx_queue_copy(address(state.tx), endpoint, destination, data, length)


@cfunc
@nogil
@exceptval(check=False)
def tx_forget(
    engine: pointer[Engine], base: pointer[cython.const[uint8_t]], length: int64_t
) -> cython.void:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    tx_queue_forget(address(state.tx), base, length)


@cfunc
@nogil
@exceptval(check=False)
def wait_descriptor(engine: pointer[Engine]) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    return poll_set_wait_descriptor(address(state.poll_set))


@cfunc
@nogil
@exceptval(check=False)
def socket_engine_fill_ops(ops: pointer[EngineOps]) -> cython.void:
    ops.endpoint_open = endpoint_open
    ops.endpoint_close = endpoint_close
    ops.endpoint_add = endpoint_add
    ops.endpoint_remove = endpoint_remove
    ops.endpoint_connect = endpoint_connect
    ops.rx_release = rx_release
    ops.tx_run = tx_run
    ops.tx_copy = tx_copy
    ops.tx_forget = tx_forget
    ops.wait_descriptor = wait_descriptor
    ops.close = socket_engine_close


@cfunc
@nogil
@exceptval(check=False)
def receive_one(
    engine: pointer[Engine], endpoint: pointer[Endpoint], datagram: pointer[RxDatagram]
) -> int32_t:
    """1, 0 when there is none, or -errno."""
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], endpoint.private_state)
    source_length: socklen_t = sizeof(datagram.source.bytes)
    length: cython.Py_ssize_t = -1
    timestamp_ns: int64_t = 0
    _attempt: int32_t
    datagram.data = rx_buffer_take(state, 0)
    for _attempt in range(3):
        engine.stats.system_calls += 1
        # MSG_TRUNC makes the call return the datagram's own length, however short the buffer is.
        if udp.timestamps == 0:
            length = recvfrom(
                udp.receive_descriptor,
                datagram.data,
                state.rx.length,
                MSG_DONTWAIT | MSG_TRUNC,
                address(datagram.source.bytes[0]),
                address(source_length),
            )
        else:
            length = receive_stamped(
                udp.receive_descriptor,
                datagram.data,
                state.rx.length,
                MSG_DONTWAIT | MSG_TRUNC,
                address(datagram.source.bytes[0]),
                address(source_length),
                address(timestamp_ns),
            )
        if length >= 0 or not is_try_again(errno):
            break
    if length < 0:
        if errno in (EAGAIN, ECONNREFUSED, EINTR):
            return 0
        engine.stats.rx_errors += 1
        engine.stats.last_errno = errno
        return -errno
    datagram.flags = 0
    if length > state.rx.length:
        length = state.rx.length
        datagram.flags = RX_FLAG_TRUNCATED
    datagram.length = cast(int32_t, length)
    datagram.segment_length = 0
    datagram.receive_timestamp_ns = timestamp_ns
    datagram.channel_timestamp_ns = 0
    if udp.timestamps & RX_TIMESTAMP_CHANNEL:
        datagram.channel_timestamp_ns = system_epoch_ns()
    datagram.endpoint = endpoint
    datagram.source.length = source_length
    state.rx.free_count -= 1
    engine.stats.datagrams_received += 1
    engine.stats.bytes_received += length
    return 1
