# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Finds the subscribers that are about to stall a stream, before they do.

A subscriber that lags more than half the stream's window behind for longer than a threshold is told
to the control plane, again in every timer interval while it lasts, and once more when it lags less
than a quarter of the window or has gone. Conductor only.
"""

from __future__ import annotations

import cython
from cython import address, bint, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.driver.layout import (
    STREAM_ACTIVE,
    SUBSCRIBER_ACTIVE,
    IpcPublication,
    NetworkPublication,
    PacerState,
    PublicationImage,
    Subscribable,
)
from cython.cimports.volans.driver.shared import to_control
from cython.cimports.volans.driver.slow_layout import (
    SLOW_SUSPECT_MAX,
    TO_CONTROL_SLOW_SUBSCRIBER,
    SlowSubscriberReport,
    SlowSubscribers,
    SlowSuspect,
)
from cython.cimports.volans.memory.atomic import load_acquire_i64, load_relaxed_i64


@cfunc
@nogil
@exceptval(check=False)
def find_suspect(
    slow: pointer[SlowSubscribers], position: pointer[cython.const[int64_t]]
) -> pointer[SlowSuspect]:
    i: int32_t
    for i in range(slow.count):
        if slow.suspects[i].position == position:
            return address(slow.suspects[i])
    return cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def look_at(
    slow: pointer[SlowSubscribers],
    subscribable: pointer[cython.const[Subscribable]],
    stream_registration_id: int64_t,
    newest_position: int64_t,
    window_bytes: int64_t,
    now_ns: int64_t,
) -> cython.void:
    i: int32_t
    lag_bytes: int64_t
    suspect: pointer[SlowSuspect]
    for i in range(subscribable.count):
        if subscribable.array[i].state != SUBSCRIBER_ACTIVE:
            continue
        # The client writes its position with release.
        lag_bytes = newest_position - load_acquire_i64(subscribable.array[i].position)
        if lag_bytes <= window_bytes // 4:
            continue
        suspect = find_suspect(slow, subscribable.array[i].position)
        if suspect == cython.NULL:
            if lag_bytes <= window_bytes // 2 or slow.count == SLOW_SUSPECT_MAX:
                continue
            suspect = address(slow.suspects[slow.count])
            slow.count += 1
            suspect.position = subscribable.array[i].position
            suspect.stream_registration_id = stream_registration_id
            suspect.counter_id = subscribable.array[i].counter_id
            suspect.is_told = 0
            suspect.lagging_since_ns = now_ns
        suspect.lag_bytes = lag_bytes
        suspect.seen_in_scan = slow.scan_number


@cfunc
@nogil
@exceptval(check=False)
def tell(
    pacer: pointer[PacerState], suspect: pointer[cython.const[SlowSuspect]], lag_bytes: int64_t
) -> bint:
    report: SlowSubscriberReport
    report.stream_registration_id = suspect.stream_registration_id
    report.lag_bytes = lag_bytes
    report.counter_id = suspect.counter_id
    return to_control(
        pacer.shared, TO_CONTROL_SLOW_SUBSCRIBER, address(report), sizeof(SlowSubscriberReport)
    )


@cfunc
@nogil
@exceptval(check=False)
def settle(
    slow: pointer[SlowSubscribers], pacer: pointer[PacerState], now_ns: int64_t
) -> cython.void:
    """Tell of those that lag for too long, and drop those that do no more."""
    i: int32_t = 0
    suspect: pointer[SlowSuspect]
    is_due: bint
    while i < slow.count:
        suspect = address(slow.suspects[i])
        if suspect.seen_in_scan != slow.scan_number:
            # With a full ring it stays, to be told of the next time.
            if not suspect.is_told or tell(pacer, suspect, -1):
                slow.count -= 1
                slow.suspects[i] = slow.suspects[slow.count]
                continue
        else:
            is_due = (
                now_ns - suspect.told_at_ns >= pacer.shared.timer_interval_ns
                if suspect.is_told
                else now_ns - suspect.lagging_since_ns >= slow.threshold_ns
            )
            if is_due and tell(pacer, suspect, suspect.lag_bytes):
                suspect.is_told = 1
                suspect.told_at_ns = now_ns
        i += 1


@cfunc
@nogil
@exceptval(check=False)
def slow_subscribers_check(
    slow: pointer[SlowSubscribers], pacer: pointer[PacerState], now_ns: int64_t
) -> cython.void:
    i: int32_t
    ipc: pointer[IpcPublication]
    publication: pointer[NetworkPublication]
    image: pointer[PublicationImage]
    if slow.threshold_ns == 0 or now_ns < slow.deadline_ns:
        return
    slow.deadline_ns = now_ns + slow.threshold_ns // 4
    slow.scan_number += 1
    for i in range(pacer.ipc_count):
        ipc = pacer.ipc_publications[i]
        if ipc.state == STREAM_ACTIVE:
            look_at(
                slow,
                address(ipc.subscribers),
                ipc.registration_id,
                load_relaxed_i64(ipc.publisher_position),
                ipc.term_window_length,
                now_ns,
            )
    for i in range(pacer.publication_count):
        publication = pacer.publications[i]
        if publication.state == STREAM_ACTIVE and publication.spies.count > 0:
            look_at(
                slow,
                address(publication.spies),
                publication.registration_id,
                load_relaxed_i64(publication.publisher_position),
                publication.term_window_length,
                now_ns,
            )
    for i in range(pacer.image_count):
        image = pacer.images[i]
        if image.state == STREAM_ACTIVE:
            look_at(
                slow,
                address(image.subscribers),
                image.correlation_id,
                load_acquire_i64(image.receiver_hwm),
                image.next_sm_receiver_window_length,
                now_ns,
            )
    settle(slow, pacer, now_ns)
