# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Wrapper `loss`: drop datagrams at random, from a seed, on their way in or out of any engine."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.protocol.layout import FrameHeader
from cython.cimports.volans.transport.contract import (
    Address,
    Endpoint,
    Engine,
    EngineOps,
    RxDatagram,
)
from cython.cimports.volans.transport.loss import LossState, LossyDirection
from cython.cimports.volans.transport.random_source import random_next, random_seed, random_unit
from cython.cimports.volans.transport.registry import EngineHandle, engine_to_wrap
from cython.cimports.volans.transport.wrapper import (
    wrapper_enter,
    wrapper_fill_ops,
    wrapper_leave,
    wrapper_new,
)

from volans.transport.errors import EngineClosedError

_ops = cython.declare(EngineOps)
cython.declare(ALL_TYPES=uint32_t)
ALL_TYPES = 0xFFFFFFFF


@cfunc
@nogil
@exceptval(check=False)
def is_lost(direction: pointer[LossyDirection], length: int32_t) -> cython.bint:
    if direction.rate <= 0.0 or random_unit(address(direction.random)) >= direction.rate:
        return False
    direction.dropped_count += 1
    direction.dropped_bytes += length
    return True


@cfunc
@nogil
@exceptval(check=False)
def is_of_type(type_mask: uint32_t, datagram: pointer[cython.const[RxDatagram]]) -> cython.bint:
    frame_type: uint32_t
    if type_mask == ALL_TYPES:
        return True
    if datagram.length < cast(int32_t, sizeof(FrameHeader)):
        return False
    frame_type = cast(uint32_t, cast(pointer[FrameHeader], datagram.data).type)
    return frame_type < 32 and (type_mask >> frame_type) & 1 != 0


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    state: pointer[LossState] = cast(pointer[LossState], engine.private_state)
    inner: pointer[Engine] = wrapper_enter(engine)
    count: int32_t = inner.ops.rx_poll(inner, out, limit)
    kept: int32_t = 0
    i: int32_t
    for i in range(count):
        if is_of_type(state.rx_type_mask, address(out[i])) and is_lost(
            address(state.rx), out[i].length
        ):
            inner.ops.rx_release(inner, address(out[i]), 1)
        else:
            if kept != i:
                out[kept] = out[i]
            kept += 1
    wrapper_leave(engine)
    engine.stats.datagrams_received -= state.rx.dropped_count
    engine.stats.bytes_received -= state.rx.dropped_bytes
    return count if count < 0 else kept


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
    state: pointer[LossState] = cast(pointer[LossState], engine.private_state)
    inner: pointer[Engine] = wrapper_enter(engine)
    accepted: int32_t = 0
    end: int32_t = 0
    result: int32_t
    length: int32_t
    was_lost: cython.bint
    _drawn: int32_t
    before: LossyDirection
    if state.tx.rate <= 0.0 or segment_count < 1:
        return inner.ops.tx_run(
            inner, endpoint, destination, base, segment_length, segment_count, last_length
        )
    while end < segment_count:
        was_lost = False
        before = state.tx
        while end < segment_count and not was_lost:
            length = segment_length if end < segment_count - 1 else last_length
            was_lost = is_lost(address(state.tx), length)
            end += 1
        # What survives up to here is a run again; the lost one behind it counts as taken.
        length = end - accepted - (1 if was_lost else 0)
        if length > 0:
            result = inner.ops.tx_run(
                inner,
                endpoint,
                destination,
                base + cast(cython.size_t, accepted) * segment_length,
                segment_length,
                length,
                last_length if accepted + length == segment_count else segment_length,
            )
            if result < length:
                # What was not taken will be offered again, and must meet the same fate then.
                state.tx = before
                for _drawn in range(result):
                    random_next(address(state.tx.random))
                if result > 0:
                    accepted += result
                return accepted if accepted > 0 else result
        accepted = end
    return accepted


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
    state: pointer[LossState] = cast(pointer[LossState], engine.private_state)
    inner: pointer[Engine] = wrapper_enter(engine)
    before: LossyDirection = state.tx
    result: int32_t
    if is_lost(address(state.tx), length):
        return 1
    result = inner.ops.tx_copy(inner, endpoint, destination, data, length)
    if result <= 0:
        state.tx = before
    return result


wrapper_fill_ops(address(_ops))
_ops.name = b"loss"
_ops.rx_poll = rx_poll
_ops.tx_run = tx_run
_ops.tx_copy = tx_copy


@cclass
class LossEngine(EngineHandle):
    """Loses each datagram with probability ``rate``.

    ``handle`` is the engine to wrap (any, also a wrapper); closing this closes it. ``direction``
    is "rx", "tx" or "both"; ``seed`` decides which datagrams go; of those received only frames of
    the types in ``rx_type_mask`` (bit ``1 << type``). Attributes ``rx_dropped_count``
    and ``tx_dropped_count``.

    Raises ValueError, EngineClosedError.
    """

    def __init__(
        self,
        handle: EngineHandle,
        *,
        rate: float = 0.0,
        seed: int = 0,
        direction: str = "both",
        rx_type_mask: int = 0xFFFFFFFF,
    ):
        engine: pointer[Engine] = cython.NULL
        if self.engine is not cython.NULL:
            raise ValueError("a LossEngine is initialised once")
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate}: a probability from 0 to 1 is needed")
        if direction not in ("rx", "tx", "both"):
            raise ValueError(f"direction {direction!r} is unknown: choose rx, tx or both")
        state: pointer[LossState] = cast(pointer[LossState], calloc(1, sizeof(LossState)))
        if state is cython.NULL:
            raise MemoryError
        try:
            engine_to_wrap(handle, address(engine))
        except BaseException:
            free(state)
            raise
        state.rx_type_mask = cast(uint32_t, rx_type_mask & 0xFFFFFFFF)
        state.rx.rate = rate if direction != "tx" else 0.0
        state.tx.rate = rate if direction != "rx" else 0.0
        random_seed(address(state.rx.random), cast(uint64_t, seed & ((1 << 64) - 1)))
        random_seed(address(state.tx.random), cast(uint64_t, ~seed & ((1 << 64) - 1)))
        self.adopt(wrapper_new(address(_ops), engine, state), f"loss({handle.name})", handle)

    @property
    def rx_dropped_count(self) -> int:
        """Datagrams received and dropped."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return cast(pointer[LossState], self.engine.private_state).rx.dropped_count

    @property
    def tx_dropped_count(self) -> int:
        """Datagrams taken for sending and dropped."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return cast(pointer[LossState], self.engine.private_state).tx.dropped_count
