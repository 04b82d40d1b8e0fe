# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Congestion control `static`: the receiver window never changes.

The window lies in the image itself (`max_receiver_window_length`), so there is no state to own.
"""

from __future__ import annotations

import cython
from cython import address, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.driver.layout import CongestionControlOps, PublicationImage
from cython.cimports.volans.transport.contract import Address

_ops = cython.declare(CongestionControlOps)


@cfunc
@nogil
@exceptval(check=False)
def window_length(image: pointer[PublicationImage]) -> int32_t:
    return image.max_receiver_window_length


@cfunc
@nogil
@exceptval(check=False)
def should_measure_rtt(image: pointer[PublicationImage], now_ns: int64_t) -> int32_t:
    return 0


@cfunc
@nogil
@exceptval(check=False)
def on_rttm_sent(image: pointer[PublicationImage], now_ns: int64_t) -> cython.void:
    pass


@cfunc
@nogil
@exceptval(check=False)
def on_rttm(
    image: pointer[PublicationImage],
    now_ns: int64_t,
    rtt_ns: int64_t,
    source: pointer[cython.const[Address]],
) -> cython.void:
    pass


@cfunc
@nogil
@exceptval(check=False)
def on_track_rebuild(
    image: pointer[PublicationImage],
    force_status_message: pointer[int32_t],
    now_ns: int64_t,
    new_consumption_position: int64_t,
    last_sm_position: int64_t,
    hwm_position: int64_t,
    rebuild_position: int64_t,
    new_rebuild_position: int64_t,
    loss_occurred: int32_t,
) -> int32_t:
    force_status_message[0] = 0
    return image.max_receiver_window_length


@cfunc
@nogil
@exceptval(check=False)
def close(image: pointer[PublicationImage]) -> cython.void:
    pass


@cfunc
@nogil
@exceptval(check=False)
def static_window_open(
    image: pointer[PublicationImage], receiver_window_length: int32_t
) -> cython.void:
    # More than half a term could not be told apart from an over-run.
    if receiver_window_length > image.log.term_length // 2:
        receiver_window_length = image.log.term_length // 2
    image.max_receiver_window_length = receiver_window_length
    image.congestion_control.ops = address(_ops)
    image.congestion_control.state = cython.NULL


_ops.name = b"static"
_ops.initial_window_length = window_length
_ops.max_window_length = window_length
_ops.should_measure_rtt = should_measure_rtt
_ops.on_rttm_sent = on_rttm_sent
_ops.on_rttm = on_rttm
_ops.on_track_rebuild = on_track_rebuild
_ops.close = close
