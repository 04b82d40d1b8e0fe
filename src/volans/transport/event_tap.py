# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Wrapper `event_tap`: tell every datagram to a ring, for an event log. It never waits.

What finds no room in the ring is counted and not told. An engine without this wrapper has no cost.
"""

from __future__ import annotations

import struct

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.memory.layout import RING_OK
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_write, ring_buffer_wrap
from cython.cimports.volans.protocol.layout import FRAME_TYPE_NAK, FrameHeader
from cython.cimports.volans.transport.contract import (
    Address,
    Endpoint,
    Engine,
    EngineOps,
    RxDatagram,
)
from cython.cimports.volans.transport.event_tap import (
    TAP_CAPTURE_MAX,
    TAP_FRAME_IN,
    TAP_FRAME_OUT,
    TAP_NAK_RECEIVED,
    TAP_NAK_SENT,
    TapRecord,
    TapState,
)
from cython.cimports.volans.transport.registry import EngineHandle, engine_to_wrap
from cython.cimports.volans.transport.wrapper import (
    wrapper_enter,
    wrapper_fill_ops,
    wrapper_leave,
    wrapper_new,
)

from volans.transport.errors import EngineClosedError

# time_ns, peer's sockaddr and its length, datagram length, captured length; the bytes follow.
RECORD = struct.Struct("=q28siii")
_ops = cython.declare(EngineOps)


@cfunc
@nogil
@exceptval(check=False)
def tell(
    engine: pointer[Engine],
    event_id: int32_t,
    peer: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> cython.void:
    state: pointer[TapState] = cast(pointer[TapState], engine.private_state)
    record: TapRecord
    captured: int32_t = length if length < TAP_CAPTURE_MAX else TAP_CAPTURE_MAX
    record.time_ns = engine.now_ns
    if peer == cython.NULL:
        memset(address(record.peer), 0, sizeof(Address))
    else:
        record.peer = peer[0]
    record.length = length
    record.captured_length = captured
    memcpy(record.data, data, captured)
    if (
        mpsc_ring_write(
            address(state.ring),
            event_id,
            address(record),
            cast(int32_t, sizeof(TapRecord)) - TAP_CAPTURE_MAX + captured,
        )
        != RING_OK
    ):
        state.lost_count += 1


@cfunc
@nogil
@exceptval(check=False)
def is_nak(data: pointer[cython.const[uint8_t]], length: int32_t) -> cython.bint:
    return (
        length >= cast(int32_t, sizeof(FrameHeader))
        and cast(pointer[FrameHeader], data).type == FRAME_TYPE_NAK
    )


@cfunc
@nogil
@exceptval(check=False)
def tell_out(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> cython.void:
    state: pointer[TapState] = cast(pointer[TapState], engine.private_state)
    if state.taps_out:
        tell(engine, TAP_FRAME_OUT, destination, data, length)
    if state.taps_naks_sent and is_nak(data, length):
        tell(engine, TAP_NAK_SENT, destination, data, length)


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    state: pointer[TapState] = cast(pointer[TapState], engine.private_state)
    inner: pointer[Engine] = wrapper_enter(engine)
    count: int32_t = inner.ops.rx_poll(inner, out, limit)
    i: int32_t
    for i in range(count):
        if state.taps_in:
            tell(engine, TAP_FRAME_IN, address(out[i].source), out[i].data, out[i].length)
        if state.taps_naks_received and is_nak(out[i].data, out[i].length):
            tell(engine, TAP_NAK_RECEIVED, address(out[i].source), out[i].data, out[i].length)
    wrapper_leave(engine)
    return count


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
    taken: int32_t = inner.ops.tx_run(
        inner, endpoint, destination, base, segment_length, segment_count, last_length
    )
    i: int32_t
    for i in range(taken):
        tell_out(
            engine,
            endpoint,
            destination,
            base + cast(cython.size_t, i) * segment_length,
            segment_length if i < segment_count - 1 else last_length,
        )
    return taken


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
    taken: int32_t = inner.ops.tx_copy(inner, endpoint, destination, data, length)
    if taken == 1:
        tell_out(engine, endpoint, destination, data, length)
    return taken


wrapper_fill_ops(address(_ops))
_ops.name = b"event_tap"
_ops.rx_poll = rx_poll
_ops.tx_run = tx_run
_ops.tx_copy = tx_copy


@cclass
class EventTap(EngineHandle):
    """Tells datagrams to a ring of many producers; message types are the ids of the events.

    ``handle`` is the engine to wrap (any, also a wrapper); closing this closes it. ``ring`` is the
    ring's memory, trailer included; ``event_ids`` says which of FRAME_IN (1), FRAME_OUT (2),
    NAK_SENT (54) and NAK_RECEIVED (58) are told, each as a `RECORD` and up to 256 bytes.

    Raises ValueError, EngineClosedError.
    """

    def __init__(self, handle: EngineHandle, ring, event_ids):
        engine: pointer[Engine] = cython.NULL
        view: cython.uchar[::1] = ring
        if self.engine is not cython.NULL:
            raise ValueError("an EventTap is initialised once")
        state: pointer[TapState] = cast(pointer[TapState], calloc(1, sizeof(TapState)))
        if state is cython.NULL:
            raise MemoryError
        try:
            if ring_buffer_wrap(
                address(state.ring), cast(pointer[uint8_t], address(view[0])), view.shape[0]
            ):
                raise ValueError(f"{view.shape[0]} bytes are no ring buffer with its trailer")
            engine_to_wrap(handle, address(engine))
        except BaseException:
            free(state)
            raise
        state.taps_in = TAP_FRAME_IN in event_ids
        state.taps_out = TAP_FRAME_OUT in event_ids
        state.taps_naks_sent = TAP_NAK_SENT in event_ids
        state.taps_naks_received = TAP_NAK_RECEIVED in event_ids
        self.ring_owner = view
        self.adopt(
            wrapper_new(address(_ops), engine, cast(p_void, state)),
            f"event_tap({handle.name})",
            handle,
        )

    @property
    def lost_count(self) -> int:
        """Events the ring had no room for."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return cast(pointer[TapState], self.engine.private_state).lost_count
