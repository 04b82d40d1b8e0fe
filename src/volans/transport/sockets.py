# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Engine `sockets`: recvfrom and sendto, one system call a datagram. Works everywhere."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.errno import EINTR, errno
from cython.cimports.libc.stdint import int32_t
from cython.cimports.volans.transport.contract import (
    Engine,
    EngineOps,
    RxDatagram,
)
from cython.cimports.volans.transport.layout import SocketEngine, TxQueue, TxRun, UdpSocket
from cython.cimports.volans.transport.net import (
    sendto,
)
from cython.cimports.volans.transport.poll_set import poll_set_candidates, poll_set_share
from cython.cimports.volans.transport.registry import EngineHandle, wrap_engine
from cython.cimports.volans.transport.socket_engine import (
    is_try_again,
    is_would_block,
    receive_one,
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
        while share > 0:
            count = receive_one(engine, state.poll_set.candidates[i], address(out[taken]))
            if count <= 0:
                if count < 0:
                    result = count
                break
            taken += 1
            share -= 1
    return taken if taken > 0 else result


@cfunc
@nogil
@exceptval(check=False)
def send_one(engine: pointer[Engine], run: pointer[TxRun]) -> int32_t:
    """1 = sent, 0 = dropped, -1 = the socket takes no more now."""
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], run.endpoint.private_state)
    length: int32_t = tx_run_length(run, run.done)
    was_retried: cython.bint = False
    result: cython.Py_ssize_t
    error: int32_t
    while True:
        engine.stats.system_calls += 1
        result = sendto(
            udp.send_descriptor,
            run.base + cast(cython.size_t, run.done) * run.segment_length,
            length,
            0,
            cython.NULL if udp.is_connected else address(run.destination.bytes[0]),
            0 if udp.is_connected else run.destination.length,
        )
        if result >= 0:
            engine.stats.datagrams_sent += 1
            engine.stats.bytes_sent += length
            return 1
        error = errno
        if is_would_block(error):
            udp.is_blocked = 1
            engine.stats.short_sends += 1
            return -1
        if error == EINTR:
            continue
        engine.stats.tx_errors += 1
        engine.stats.last_errno = error
        if was_retried or not is_try_again(error):
            return 0
        was_retried = True


@cfunc
@nogil
@exceptval(check=False)
def tx_flush(engine: pointer[Engine]) -> int32_t:
    state: pointer[SocketEngine] = cast(pointer[SocketEngine], engine.private_state)
    queue: pointer[TxQueue] = address(state.tx)
    run: pointer[TxRun]
    sent: int32_t = 0
    result: int32_t
    i: int32_t
    if queue.run_count == 0:
        return 0
    for i in range(queue.run_count):
        run = address(queue.runs[i])
        if cast(pointer[UdpSocket], run.endpoint.private_state).is_blocked:
            continue
        while run.done < run.segment_count:
            result = send_one(engine, run)
            if result < 0:
                break
            sent += result
            tx_queue_settle(queue, i, 1)
    tx_queue_compact(queue)
    for i in range(queue.run_count):
        cast(pointer[UdpSocket], queue.runs[i].endpoint.private_state).is_blocked = 0
    return sent


socket_engine_fill_ops(address(_ops))
_ops.name = b"sockets"
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
        "sockets",
        None,
    )
