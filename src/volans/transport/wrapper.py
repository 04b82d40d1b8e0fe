# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""An engine that calls another one: what all wrappers have in common.

The endpoint's struct is the inner engine's own. A wrapper frees only itself: the handle of
what it wraps closes that afterwards.
"""

from __future__ import annotations

import cython
from cython import cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.transport.contract import (
    Address,
    Endpoint,
    EndpointOptions,
    Engine,
    EngineOps,
    RxDatagram,
)


@cfunc
@nogil
@exceptval(check=False)
def wrapper_new(
    ops: pointer[cython.const[EngineOps]], inner: pointer[Engine], private_state: cython.p_void
) -> pointer[Engine]:
    engine: pointer[Engine] = cast(pointer[Engine], calloc(1, sizeof(Engine)))
    if engine is not cython.NULL:
        engine.ops = ops
        engine.caps = inner.caps
        engine.stats = inner.stats
        engine.inner = inner
        engine.private_state = private_state
    return engine


@cfunc
@nogil
@exceptval(check=False)
def wrapper_enter(engine: pointer[Engine]) -> pointer[Engine]:
    engine.inner.now_ns = engine.now_ns
    return engine.inner


@cfunc
@nogil
@exceptval(check=False)
def wrapper_leave(engine: pointer[Engine]) -> cython.void:
    engine.stats = engine.inner.stats


@cfunc
@nogil
@exceptval(check=False)
def endpoint_open(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    return engine.inner.ops.endpoint_open(engine.inner, endpoint, bind_to, options)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_close(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    engine.inner.ops.endpoint_close(engine.inner, endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_add(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> int32_t:
    return engine.inner.ops.endpoint_add(engine.inner, endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_remove(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    engine.inner.ops.endpoint_remove(engine.inner, endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_connect(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    peer: pointer[cython.const[Address]],
) -> int32_t:
    return engine.inner.ops.endpoint_connect(engine.inner, endpoint, peer)


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    inner: pointer[Engine] = wrapper_enter(engine)
    count: int32_t = inner.ops.rx_poll(inner, out, limit)
    wrapper_leave(engine)
    return count


@cfunc
@nogil
@exceptval(check=False)
def rx_release(
    engine: pointer[Engine], datagrams: pointer[RxDatagram], count: int32_t
) -> cython.void:
    engine.inner.ops.rx_release(engine.inner, datagrams, count)


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
    inner: pointer[Engine] = wrapper_enter(engine)
    return inner.ops.tx_run(
        inner, endpoint, destination, base, segment_length, segment_count, last_length
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
    inner: pointer[Engine] = wrapper_enter(engine)
    return inner.ops.tx_copy(inner, endpoint, destination, data, length)


@cfunc
@nogil
@exceptval(check=False)
def tx_flush(engine: pointer[Engine]) -> int32_t:
    inner: pointer[Engine] = wrapper_enter(engine)
    count: int32_t = inner.ops.tx_flush(inner)
    wrapper_leave(engine)
    return count


@cfunc
@nogil
@exceptval(check=False)
def tx_forget(
    engine: pointer[Engine], base: pointer[cython.const[uint8_t]], length: int64_t
) -> cython.void:
    engine.inner.ops.tx_forget(engine.inner, base, length)


@cfunc
@nogil
@exceptval(check=False)
def wait_descriptor(engine: pointer[Engine]) -> int32_t:
    return engine.inner.ops.wait_descriptor(engine.inner)


@cfunc
@nogil
@exceptval(check=False)
def close(engine: pointer[Engine]) -> cython.void:
    free(engine.private_state)
    free(engine)


@cfunc
@nogil
@exceptval(check=False)
def wrapper_fill_ops(ops: pointer[EngineOps]) -> cython.void:
    ops.endpoint_open = endpoint_open
    ops.endpoint_close = endpoint_close
    ops.endpoint_add = endpoint_add
    ops.endpoint_remove = endpoint_remove
    ops.endpoint_connect = endpoint_connect
    ops.rx_poll = rx_poll
    ops.rx_release = rx_release
    ops.tx_run = tx_run
    ops.tx_copy = tx_copy
    ops.tx_flush = tx_flush
    ops.tx_forget = tx_forget
    ops.wait_descriptor = wait_descriptor
    ops.close = close
