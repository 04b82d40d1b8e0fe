# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Unicast flow control: one receiver, whose status messages move the limit forward."""

from __future__ import annotations

import cython
from cython import address, bint, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.flow_control.layout import UNICAST_RETRANSMIT_WINDOWS
from cython.cimports.volans.driver.flow_control.window import (
    capped_retransmit_length,
    window_edge,
)
from cython.cimports.volans.driver.layout import FlowControlOps, NetworkPublication
from cython.cimports.volans.transport.contract import Address

_ops = cython.declare(FlowControlOps)


@cfunc
@nogil
@exceptval(check=False)
def on_status_message(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    sender_limit: int64_t,
    now_ns: int64_t,
) -> int64_t:
    edge: int64_t = window_edge(publication, frame)
    return edge if edge > sender_limit else sender_limit


@cfunc
@nogil
@exceptval(check=False)
def on_idle(
    publication: pointer[NetworkPublication],
    now_ns: int64_t,
    sender_limit: int64_t,
    sender_position: int64_t,
    is_end_of_stream: bint,
) -> int64_t:
    return sender_limit


@cfunc
@nogil
@exceptval(check=False)
def max_retransmit_length(
    publication: pointer[NetworkPublication], term_offset: int32_t, length: int32_t
) -> int32_t:
    return capped_retransmit_length(publication, term_offset, length, UNICAST_RETRANSMIT_WINDOWS)


@cfunc
@nogil
@exceptval(check=False)
def close(publication: pointer[NetworkPublication]) -> cython.void:
    publication.flow_control.ops = cython.NULL


_ops.name = b"unicast"
_ops.on_status_message = on_status_message
_ops.on_idle = on_idle
_ops.max_retransmit_length = max_retransmit_length
_ops.close = close


@cfunc
@nogil
@exceptval(check=False)
def unicast_flow_control() -> pointer[cython.const[FlowControlOps]]:
    return address(_ops)
