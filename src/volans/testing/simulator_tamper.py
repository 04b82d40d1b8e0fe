# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""An engine that is broken on purpose, to see whether a simulation's checks notice."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.protocol.layout import (
    DATA_HEADER_LENGTH,
    FRAME_HEADER_LENGTH,
    FRAME_TYPE_DATA,
    FRAME_TYPE_NAK,
    FrameHeader,
)
from cython.cimports.volans.testing.simulator_tamper import TamperState
from cython.cimports.volans.transport.contract import Engine, EngineOps, RxDatagram
from cython.cimports.volans.transport.registry import EngineHandle, engine_to_wrap
from cython.cimports.volans.transport.wrapper import (
    wrapper_enter,
    wrapper_fill_ops,
    wrapper_leave,
    wrapper_new,
)

_ops = cython.declare(EngineOps)


@cfunc
@nogil
@exceptval(check=False)
def tamper(state: pointer[TamperState], datagram: pointer[RxDatagram]) -> cython.bint:
    """Whether the datagram is to be dropped; it may be changed."""
    header: pointer[FrameHeader] = cast(pointer[FrameHeader], datagram.data)
    bytes_: pointer[uint8_t] = cast(pointer[uint8_t], datagram.data)
    drops: cython.bint
    if datagram.length < FRAME_HEADER_LENGTH:
        return False
    drops = state.drops_naks != 0 and header.type == FRAME_TYPE_NAK
    if not drops and not (
        state.corrupts_payloads != 0
        and header.type == FRAME_TYPE_DATA
        and header.frame_length > DATA_HEADER_LENGTH
    ):
        return False
    state.seen_count += 1
    if state.seen_count % state.period_count != 0:
        return False
    state.tampered_count += 1
    if not drops:
        bytes_[DATA_HEADER_LENGTH] ^= 1
    return drops


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    inner: pointer[Engine] = wrapper_enter(engine)
    count: int32_t = inner.ops.rx_poll(inner, out, limit)
    kept: int32_t = 0
    i: int32_t
    for i in range(count):
        if tamper(cast(pointer[TamperState], engine.private_state), address(out[i])):
            inner.ops.rx_release(inner, address(out[i]), 1)
        else:
            if kept != i:
                out[kept] = out[i]
            kept += 1
    wrapper_leave(engine)
    return count if count < 0 else kept


wrapper_fill_ops(address(_ops))
_ops.name = b"tamper"
_ops.rx_poll = rx_poll


@cclass
class TamperEngine(EngineHandle):
    """Spoils every ``period_count``-th datagram of a kind as it arrives.

    ``handle`` is the engine to wrap; closing this closes it. ``drops_naks``: requests for
    retransmits are never seen. ``corrupts_payloads``: the first payload byte of a data datagram
    has a bit flipped. Attribute ``tampered_count``. Raises ValueError, EngineClosedError.
    """

    def __init__(
        self,
        handle: EngineHandle,
        *,
        drops_naks: bool = False,
        corrupts_payloads: bool = False,
        period_count: int64_t = 1,
    ):
        engine: pointer[Engine] = cython.NULL
        if period_count < 1:
            raise ValueError(f"period_count is {period_count}: choose 1 or more")
        state: pointer[TamperState] = cast(pointer[TamperState], calloc(1, sizeof(TamperState)))
        if state is cython.NULL:
            raise MemoryError
        try:
            engine_to_wrap(handle, address(engine))
        except BaseException:
            free(state)
            raise
        state.drops_naks = 1 if drops_naks else 0
        state.corrupts_payloads = 1 if corrupts_payloads else 0
        state.period_count = period_count
        self.adopt(wrapper_new(address(_ops), engine, state), f"tamper({handle.name})", handle)

    @property
    def tampered_count(self) -> int:
        """Datagrams spoilt so far; 0 once the engine is closed."""
        if self.engine is cython.NULL:
            return 0
        return cast(pointer[TamperState], self.engine.private_state).tampered_count
