# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Engine `mmsg`: recvmmsg and sendmmsg, one system call for a burst of one socket."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import EAGAIN, ECONNREFUSED, EINTR, errno
from cython.cimports.libc.stdint import int32_t, uint8_t
from cython.cimports.volans.transport.contract import (
    RX_FLAG_TRUNCATED,
    Endpoint,
    Engine,
    EngineOps,
    RxDatagram,
)
from cython.cimports.volans.transport.layout import SocketEngine, TxQueue, TxRun, UdpSocket
from cython.cimports.volans.transport.net import (
    MSG_DONTWAIT,
    MSG_TRUNC,
    iovec,
    mmsghdr,
    recvmmsg,
    sendmmsg,
    sendto,
)
from cython.cimports.volans.transport.poll_set import poll_set_candidates, poll_set_share
from cython.cimports.volans.transport.registry import EngineHandle, wrap_engine
from cython.cimports.volans.transport.socket_engine import (
    is_try_again,
    is_would_block,
    receive_one,
    rx_buffer_take,
    socket_engine_fill_ops,
    socket_engine_new,
)
from cython.cimports.volans.transport.tx_queue import (
    tx_queue_compact,
    tx_queue_settle,
    tx_run_length,
)

from volans.transport.socket_options import SocketEngineOptions

_ops = cython.declare(EngineOps)

cython.declare(HITS_OF_A_BURST=int32_t)
HITS_OF_A_BURST = 2


@cfunc
@nogil
@exceptval(check=False)
def receive_burst(
    engine: pointer[Engine], endpoint: pointer[Endpoint], out: pointer[RxDatagram], limit: int32_t
) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], endpoint.private_state)
    message: pointer[mmsghdr]
    datagram: pointer[RxDatagram]
    count: int32_t
    i: int32_t
    _attempt: int32_t
    for i in range(limit):
        message = address(state.rx_messages[i])
        state.rx_vectors[i].iov_base = rx_buffer_take(state, i)
        state.rx_vectors[i].iov_len = state.rx.length
        message.msg_hdr.msg_name = address(out[i].source.bytes[0])
        message.msg_hdr.msg_namelen = sizeof(out.source.bytes)
        message.msg_hdr.msg_iov = address(state.rx_vectors[i])
        message.msg_hdr.msg_iovlen = 1
    count = -1
    for _attempt in range(3):
        engine.stats.system_calls += 1
        count = recvmmsg(udp.receive_descriptor, state.rx_messages, limit, MSG_DONTWAIT)
        if count >= 0 or not is_try_again(errno):
            break
    if count < 0:
        if errno in (EAGAIN, ECONNREFUSED, EINTR):
            return 0
        engine.stats.rx_errors += 1
        engine.stats.last_errno = errno
        return -errno
    for i in range(count):
        message = address(state.rx_messages[i])
        datagram = address(out[i])
        datagram.data = rx_buffer_take(state, i)
        datagram.length = message.msg_len
        datagram.flags = RX_FLAG_TRUNCATED if message.msg_hdr.msg_flags & MSG_TRUNC else 0
        datagram.segment_length = 0
        datagram.receive_timestamp_ns = 0
        datagram.channel_timestamp_ns = 0
        datagram.endpoint = endpoint
        datagram.source.length = message.msg_hdr.msg_namelen
        engine.stats.bytes_received += datagram.length
    state.rx.free_count -= count
    engine.stats.datagrams_received += count
    return count


@cfunc
@nogil
@exceptval(check=False)
def receive_stamped_ones(
    engine: pointer[Engine], endpoint: pointer[Endpoint], out: pointer[RxDatagram], limit: int32_t
) -> int32_t:
    """Time stamps come with one datagram a call."""
    taken: int32_t = 0
    count: int32_t = 0
    while taken < limit:
        count = receive_one(engine, endpoint, address(out[taken]))
        if count <= 0:
            break
        taken += 1
    return taken if taken > 0 else count


@cfunc
@nogil
@exceptval(check=False)
def receive(
    engine: pointer[Engine], endpoint: pointer[Endpoint], out: pointer[RxDatagram], limit: int32_t
) -> int32_t:
    """A lone datagram is cheaper by recvfrom, a burst by recvmmsg: guess from the polls before."""
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], endpoint.private_state)
    count: int32_t
    if udp.timestamps != 0:
        return receive_stamped_ones(engine, endpoint, out, limit)
    if udp.hit_streak < HITS_OF_A_BURST:
        count = receive_one(engine, endpoint, out)
        udp.hit_streak = udp.hit_streak + 1 if count > 0 else 0
    else:
        count = receive_burst(engine, endpoint, out, limit)
        if count <= 1:
            udp.hit_streak = 0
    return count


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    candidates: int32_t = poll_set_candidates(address(state.poll_set), engine)
    taken: int32_t = 0
    result: int32_t = 0
    count: int32_t
    share: int32_t
    i: int32_t
    if limit > state.rx.free_count:
        limit = state.rx.free_count
    for i in range(candidates):
        share = poll_set_share(limit - taken, candidates - 1 - i)
        if share == 0:
            break
        count = receive(engine, state.poll_set.candidates[i], address(out[taken]), share)
        if count >= 0:
            taken += count
        else:
            result = count
    return taken if taken > 0 else result


@cfunc
@nogil
@exceptval(check=False)
def collect(state: pointer[SocketEngine], first: int32_t, count: pointer[int32_t]) -> int32_t:
    """Messages for the runs of one endpoint from `first` on; returns the run after them."""
    queue: pointer[TxQueue] = address(state.tx)
    endpoint: pointer[Endpoint] = queue.runs[first].endpoint
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], endpoint.private_state)
    run: pointer[TxRun]
    message: pointer[mmsghdr]
    vector: pointer[iovec]
    n: int32_t = 0
    index: int32_t
    while first < queue.run_count and queue.runs[first].endpoint == endpoint:
        run = address(queue.runs[first])
        for index in range(run.done, run.segment_count):
            message = address(state.tx_messages[n])
            vector = address(state.tx_vectors[n])
            vector.iov_base = cast(
                cython.p_void, run.base + cast(cython.size_t, index) * run.segment_length
            )
            vector.iov_len = tx_run_length(run, index)
            if udp.is_connected:
                message.msg_hdr.msg_name = cython.NULL
                message.msg_hdr.msg_namelen = 0
            else:
                message.msg_hdr.msg_name = address(run.destination.bytes[0])
                message.msg_hdr.msg_namelen = run.destination.length
            message.msg_hdr.msg_iov = vector
            message.msg_hdr.msg_iovlen = 1
            n += 1
        first += 1
    count[0] = n
    return first


@cfunc
@nogil
@exceptval(check=False)
def send_single(udp: pointer[UdpSocket], message: pointer[mmsghdr]) -> int32_t:
    """1 when sent. A lone datagram goes cheaper without the kernel copying in a message header."""
    result: cython.Py_ssize_t = sendto(
        udp.send_descriptor,
        message.msg_hdr.msg_iov.iov_base,
        message.msg_hdr.msg_iov.iov_len,
        0,
        cast(pointer[uint8_t], message.msg_hdr.msg_name),
        message.msg_hdr.msg_namelen,
    )
    return 1 if result >= 0 else -1


@cfunc
@nogil
@exceptval(check=False)
def send_burst(
    engine: pointer[Engine], udp: pointer[UdpSocket], count: int32_t, sent: pointer[int32_t]
) -> int32_t:
    """Send collected messages; returns how many are settled, which is all unless blocked."""
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    at: int32_t = 0
    retried_at: int32_t = -1
    result: int32_t
    i: int32_t
    error: int32_t
    while at < count:
        engine.stats.system_calls += 1
        if count - at == 1:
            result = send_single(udp, address(state.tx_messages[at]))
        else:
            result = sendmmsg(udp.send_descriptor, address(state.tx_messages[at]), count - at, 0)
        if result > 0:
            for i in range(at, at + result):
                engine.stats.bytes_sent += state.tx_vectors[i].iov_len
            engine.stats.datagrams_sent += result
            sent[0] += result
            at += result
            continue
        error = errno
        if is_would_block(error):
            udp.is_blocked = 1
            engine.stats.short_sends += 1
            return at
        if error == EINTR:
            continue
        engine.stats.tx_errors += 1
        engine.stats.last_errno = error
        if is_try_again(error) and retried_at != at:
            retried_at = at
        else:
            at += 1
    return at


@cfunc
@nogil
@exceptval(check=False)
def tx_flush(engine: pointer[Engine]) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    queue: pointer[TxQueue] = address(state.tx)
    udp: pointer[UdpSocket]
    sent: int32_t = 0
    count: int32_t = 0
    first: int32_t = 0
    after: int32_t
    if queue.run_count == 0:
        return 0
    while first < queue.run_count:
        udp = cast(pointer[UdpSocket], queue.runs[first].endpoint.private_state)
        if udp.is_blocked:
            first += 1
            continue
        after = collect(state, first, address(count))
        tx_queue_settle(queue, first, send_burst(engine, udp, count, address(sent)))
        first = after
    tx_queue_compact(queue)
    for first in range(queue.run_count):
        cast(pointer[UdpSocket], queue.runs[first].endpoint.private_state).is_blocked = 0
    return sent


socket_engine_fill_ops(address(_ops))
_ops.name = b"mmsg"
_ops.rx_poll = rx_poll
_ops.tx_flush = tx_flush


def create_engine(role: str, **options) -> EngineHandle:
    """An engine of this kind; options as :class:`SocketEngineOptions`."""
    chosen = SocketEngineOptions(**options)
    return wrap_engine(
        socket_engine_new(
            address(_ops),
            chosen.tx_queue_count,
            chosen.rx_burst_count,
            chosen.rx_buffer_length_bytes,
            chosen.epoll_above_count,
        ),
        "mmsg",
        None,
    )
