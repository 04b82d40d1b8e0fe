# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Congestion control `cubic`: a loss shrinks the receiver window, and time lets it grow again.

As in TCP's CUBIC (RFC 9438, with C = 0.4 and a decrease B = 0.2), the window is a cubic function of
the time since the last loss: it comes back quickly to where the loss was, lingers there, then
probes beyond. The receiver measures round trips, the conductor moves the window.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, double, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.math import cbrt
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.driver.congestion.layout import (
    CUBIC_INITIAL_SEGMENTS,
    CUBIC_RTT_MAX_NS,
    CUBIC_RTT_TIMEOUT_MULTIPLE,
    CubicState,
)
from cython.cimports.volans.driver.layout import CongestionControlOps, PublicationImage
from cython.cimports.volans.memory.atomic import load_acquire_i64, store_release_i64
from cython.cimports.volans.transport.contract import Address

cython.declare(GROWTH=double, DECREASE=double, NANOSECONDS_PER_SECOND=double)
GROWTH = 0.4
DECREASE = 0.2
NANOSECONDS_PER_SECOND = 1e9

_ops = cython.declare(CongestionControlOps)


@cfunc
@nogil
@exceptval(check=False)
def state_of(image: pointer[PublicationImage]) -> pointer[CubicState]:
    return cast(pointer[CubicState], image.congestion_control.state)


@cfunc
@nogil
@exceptval(check=False)
def recovery_seconds(segments: int32_t) -> double:
    return cbrt(segments * DECREASE / GROWTH)


@cfunc
@nogil
@exceptval(check=False)
def initial_window_length(image: pointer[PublicationImage]) -> int32_t:
    state: pointer[CubicState] = state_of(image)
    segments: int32_t = CUBIC_INITIAL_SEGMENTS
    if segments > state.max_segments:
        segments = state.max_segments
    return segments * state.mtu_length


@cfunc
@nogil
@exceptval(check=False)
def max_window_length(image: pointer[PublicationImage]) -> int32_t:
    return image.max_receiver_window_length


@cfunc
@nogil
@exceptval(check=False)
def should_measure_rtt(image: pointer[PublicationImage], now_ns: int64_t) -> int32_t:
    state: pointer[CubicState] = state_of(image)
    return state.measure_rtt and now_ns > state.time_of_last_rtt_ns + state.rtt_timeout_ns


@cfunc
@nogil
@exceptval(check=False)
def on_rttm_sent(image: pointer[PublicationImage], now_ns: int64_t) -> cython.void:
    state_of(image).time_of_last_rtt_ns = now_ns


@cfunc
@nogil
@exceptval(check=False)
def on_rttm(
    image: pointer[PublicationImage],
    now_ns: int64_t,
    rtt_ns: int64_t,
    source: pointer[cython.const[Address]],
) -> cython.void:
    state: pointer[CubicState] = state_of(image)
    longest_ns: int64_t = rtt_ns if rtt_ns > state.initial_rtt_ns else state.initial_rtt_ns
    if rtt_ns <= 0 or rtt_ns > cast(int64_t, CUBIC_RTT_MAX_NS):
        # An answer that was never asked for: it must not put off the next question for ever.
        return
    state.time_of_last_rtt_ns = now_ns
    state.rtt_timeout_ns = longest_ns * CUBIC_RTT_TIMEOUT_MULTIPLE
    # The conductor reads it with acquire.
    store_release_i64(address(state.rtt_ns), rtt_ns)
    if image.congestion_control.rtt_counter != cython.NULL:
        store_release_i64(image.congestion_control.rtt_counter, rtt_ns)


@cfunc
@nogil
@exceptval(check=False)
def shrink(state: pointer[CubicState], now_ns: int64_t) -> cython.void:
    state.segments_at_loss = state.segments
    state.recovery_seconds = recovery_seconds(state.segments)
    state.segments = cast(int32_t, state.segments * (1.0 - DECREASE))
    if state.segments < 1:
        state.segments = 1
    state.time_of_last_loss_ns = now_ns


@cfunc
@nogil
@exceptval(check=False)
def grow(state: pointer[CubicState], now_ns: int64_t) -> cython.void:
    seconds: double = cast(double, now_ns - state.time_of_last_loss_ns) / NANOSECONDS_PER_SECOND
    from_recovery: double = seconds - state.recovery_seconds
    # As a fraction: after a long quiet time the cube is more than an int32 holds.
    segments: double = state.segments_at_loss + cast(
        int64_t, GROWTH * from_recovery * from_recovery * from_recovery
    )
    tcp_segments: double
    rtt_seconds: double
    if state.is_tcp_friendly and segments < state.segments_at_loss:
        rtt_seconds = cast(double, load_acquire_i64(address(state.rtt_ns))) / NANOSECONDS_PER_SECOND
        tcp_segments = state.segments_at_loss * (1.0 - DECREASE) + (
            3.0 * DECREASE / (2.0 - DECREASE)
        ) * (seconds / rtt_seconds)
        if tcp_segments > segments:
            segments = tcp_segments
    if segments > state.max_segments:
        segments = state.max_segments
    if segments < 1:
        segments = 1
    state.segments = cast(int32_t, segments)
    state.time_of_last_update_ns = now_ns


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
    state: pointer[CubicState] = state_of(image)
    window_length: int32_t
    force_status_message[0] = 0
    if loss_occurred:
        shrink(state, now_ns)
        force_status_message[0] = 1
    elif (
        state.segments < state.max_segments
        and now_ns > state.time_of_last_update_ns + state.initial_rtt_ns
    ):
        grow(state, now_ns)
    elif state.segments == 1 and new_consumption_position > last_sm_position:
        # A window of one datagram has to be told of as soon as it moves.
        force_status_message[0] = 1
    window_length = state.segments * state.mtu_length
    if image.congestion_control.window_counter != cython.NULL:
        store_release_i64(image.congestion_control.window_counter, window_length)
    return window_length


@cfunc
@nogil
@exceptval(check=False)
def close(image: pointer[PublicationImage]) -> cython.void:
    free(image.congestion_control.state)
    image.congestion_control.state = cython.NULL
    image.congestion_control.ops = cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def cubic_open(
    image: pointer[PublicationImage], receiver_window_length: int32_t, now_ns: int64_t
) -> int32_t:
    state: pointer[CubicState] = cast(pointer[CubicState], calloc(1, sizeof(CubicState)))
    if state == cython.NULL:
        return -1
    # More than half a term could not be told apart from an over-run.
    if receiver_window_length > image.log.term_length // 2:
        receiver_window_length = image.log.term_length // 2
    image.max_receiver_window_length = receiver_window_length
    image.congestion_control.ops = address(_ops)
    image.congestion_control.state = state
    state.mtu_length = image.mtu_length
    state.max_segments = receiver_window_length // image.mtu_length
    if state.max_segments < 1:
        state.max_segments = 1
    state.initial_rtt_ns = image.shared.cubic_initial_rtt_ns
    state.measure_rtt = image.shared.cubic_measure_rtt
    state.is_tcp_friendly = image.shared.cubic_tcp_mode
    state.segments = initial_window_length(image) // image.mtu_length
    # As if a loss had just happened at the greatest window: growth begins on the near side.
    state.segments_at_loss = state.max_segments
    state.recovery_seconds = recovery_seconds(state.max_segments)
    state.time_of_last_loss_ns = now_ns
    state.time_of_last_update_ns = now_ns
    state.rtt_ns = state.initial_rtt_ns if state.initial_rtt_ns > 0 else 1
    state.rtt_timeout_ns = state.initial_rtt_ns * CUBIC_RTT_TIMEOUT_MULTIPLE
    # The first measurement may be made at once.
    state.time_of_last_rtt_ns = now_ns - state.rtt_timeout_ns - 1
    if image.congestion_control.rtt_counter != cython.NULL:
        store_release_i64(image.congestion_control.rtt_counter, 0)
    if image.congestion_control.window_counter != cython.NULL:
        store_release_i64(image.congestion_control.window_counter, initial_window_length(image))
    return 0


_ops.name = b"cubic"
_ops.initial_window_length = initial_window_length
_ops.max_window_length = max_window_length
_ops.should_measure_rtt = should_measure_rtt
_ops.on_rttm_sent = on_rttm_sent
_ops.on_rttm = on_rttm
_ops.on_track_rebuild = on_track_rebuild
_ops.close = close
