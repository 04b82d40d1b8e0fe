# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Arithmetic that flow control strategies share."""

from __future__ import annotations

import cython
from cython import cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.layout import NetworkPublication
from cython.cimports.volans.log.position import compute_position
from cython.cimports.volans.protocol.layout import StatusMessageFrame


@cfunc
@nogil
@exceptval(check=False)
def window_edge(
    publication: pointer[NetworkPublication], frame: pointer[cython.const[uint8_t]]
) -> int64_t:
    message: pointer[cython.const[StatusMessageFrame]] = cast(
        pointer[cython.const[StatusMessageFrame]], frame
    )
    return (
        compute_position(
            message.consumption_term_id,
            message.consumption_term_offset,
            publication.log.position_bits_to_shift,
            publication.log.initial_term_id,
        )
        + message.receiver_window_length
    )


@cfunc
@nogil
@exceptval(check=False)
def capped_retransmit_length(
    publication: pointer[NetworkPublication],
    term_offset: int32_t,
    length: int32_t,
    window_multiple: int32_t,
) -> int32_t:
    window: int64_t = publication.shared.initial_window_length
    if publication.flow_control.retransmit_window_multiple > 0:
        window_multiple = publication.flow_control.retransmit_window_multiple
    most: int64_t = publication.log.term_length - term_offset
    if window > publication.log.term_length >> 1:
        window = publication.log.term_length >> 1
    if window * window_multiple < most:
        most = window * window_multiple
    return cast(int32_t, most) if most < length else length
