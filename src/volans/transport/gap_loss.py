# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Wrapper `gap_loss`: lose chosen gaps of one term, each frame once, so that what is lost is known.

Retransmits pass. A datagram of several frames goes or stays as one, as the network has it.
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.memory.int64_map import (
    compound_key,
    int64_map_free,
    int64_map_get,
    int64_map_init,
    int64_map_put,
)
from cython.cimports.volans.protocol.layout import FRAME_TYPE_DATA, DataHeader
from cython.cimports.volans.transport.contract import Engine, EngineOps, RxDatagram
from cython.cimports.volans.transport.gap_loss import GapLossState
from cython.cimports.volans.transport.registry import EngineHandle, engine_to_wrap
from cython.cimports.volans.transport.wrapper import (
    wrapper_enter,
    wrapper_fill_ops,
    wrapper_leave,
    wrapper_new,
)

from volans.transport.errors import EngineClosedError

_ops = cython.declare(EngineOps)


@cfunc
@nogil
@exceptval(check=False)
def is_in_one_gap(
    state: pointer[GapLossState], start: int64_t, end: int64_t, judged_until: int64_t
) -> cython.bint:
    # Behind what was lost before: a retransmit passes.
    return (
        judged_until <= start
        and end > state.first_offset
        and start < state.first_offset + state.gap_length
    )


@cfunc
@nogil
@exceptval(check=False)
def is_in_many_gaps(
    state: pointer[GapLossState], start: int64_t, end: int64_t, judged_until: int64_t
) -> cython.bint:
    gap: int64_t
    next_gap: int64_t
    if start > state.last_offset or judged_until > start:
        return False
    gap = start - start % state.gap_radix
    next_gap = gap + state.gap_radix
    # Nothing is lost behind the start of the term: there is no gap 0.
    if gap > 0 and (start == gap or start < gap + state.gap_length):
        return True
    return end > next_gap


@cfunc
@nogil
@exceptval(check=False)
def is_lost(state: pointer[GapLossState], datagram: pointer[RxDatagram]) -> cython.bint:
    header: pointer[DataHeader] = cast(pointer[DataHeader], datagram.data)
    key: int64_t
    start: int64_t
    judged_until: int64_t
    known: p_void
    lost: cython.bint
    if (
        datagram.length < cast(int32_t, sizeof(DataHeader))
        or header.type != FRAME_TYPE_DATA
        or header.term_id != state.term_id
        or header.term_offset < 0
    ):
        return False
    start = header.term_offset
    key = compound_key(header.stream_id, header.session_id)
    known = int64_map_get(address(state.lost_until), key)
    # Whatever of the stream comes first is where its gaps may begin.
    judged_until = start if known == cython.NULL else cast(int64_t, known) - 1
    if state.gap_radix > 0:
        lost = is_in_many_gaps(state, start, start + datagram.length, judged_until)
    else:
        lost = is_in_one_gap(state, start, start + datagram.length, judged_until)
    if lost:
        judged_until = start + datagram.length
    if int64_map_put(address(state.lost_until), key, cast(p_void, judged_until + 1)) < 0:
        return False
    return lost


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    state: pointer[GapLossState] = cast(pointer[GapLossState], engine.private_state)
    inner: pointer[Engine] = wrapper_enter(engine)
    count: int32_t = inner.ops.rx_poll(inner, out, limit)
    kept: int32_t = 0
    i: int32_t
    for i in range(count):
        if is_lost(state, address(out[i])):
            state.dropped_count += 1
            inner.ops.rx_release(inner, address(out[i]), 1)
        else:
            if kept != i:
                out[kept] = out[i]
            kept += 1
    wrapper_leave(engine)
    return kept if count > 0 else count


@cfunc
@nogil
@exceptval(check=False)
def close(engine: pointer[Engine]) -> cython.void:
    state: pointer[GapLossState] = cast(pointer[GapLossState], engine.private_state)
    int64_map_free(address(state.lost_until))
    free(state)
    free(engine)


wrapper_fill_ops(address(_ops))
_ops.name = b"gap_loss"
_ops.rx_poll = rx_poll
_ops.close = close


@cclass
class GapLossEngine(EngineHandle):
    """Loses data frames received for one term, each once.

    ``handle`` is the engine to wrap (any, also a wrapper); closing this closes it. Without
    ``gap_radix``, frames that reach into the ``gap_length`` bytes from ``term_offset`` on are lost;
    with it (a power of two) a gap of ``gap_length`` bytes behind each of the first
    ``gap_count`` multiples. Attribute ``rx_dropped_count``.

    Raises ValueError, EngineClosedError.
    """

    def __init__(
        self,
        handle: EngineHandle,
        *,
        term_id: int,
        gap_length: int,
        term_offset: int = 0,
        gap_radix: int = 0,
        gap_count: int = 0,
    ):
        engine: pointer[Engine] = cython.NULL
        if self.engine is not cython.NULL:
            raise ValueError("a GapLossEngine is initialised once")
        if gap_radix < 0 or gap_radix & (gap_radix - 1):
            raise ValueError(f"gap_radix is {gap_radix}: 0 or a power of two is needed")
        for name, value in (
            ("gap_length", gap_length),
            ("term_offset", term_offset),
            ("gap_radix", gap_radix),
            ("gap_count", gap_count),
        ):
            if not 0 <= value <= 1 << 30:
                raise ValueError(f"{name} is {value}: 0 to {1 << 30} is possible")
        if not -(1 << 31) <= term_id < 1 << 31:
            raise ValueError(f"term_id is {term_id}: a signed number of 32 bits is needed")
        state: pointer[GapLossState] = cast(pointer[GapLossState], calloc(1, sizeof(GapLossState)))
        if state is cython.NULL or int64_map_init(address(state.lost_until), 16) < 0:
            free(state)
            raise MemoryError
        try:
            engine_to_wrap(handle, address(engine))
        except BaseException:
            int64_map_free(address(state.lost_until))
            free(state)
            raise
        state.term_id = term_id
        state.first_offset = term_offset
        state.gap_length = gap_length
        state.gap_radix = gap_radix
        state.last_offset = gap_count * gap_radix + gap_length
        self.adopt(wrapper_new(address(_ops), engine, state), f"gap_loss({handle.name})", handle)

    @property
    def rx_dropped_count(self) -> int:
        """Datagrams received and dropped."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return cast(pointer[GapLossState], self.engine.private_state).dropped_count
