# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""SETUPs that were asked for and have not come (PROTOCOL.md section 10.11). Receiver only."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t
from cython.cimports.libc.stdlib import realloc
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.interests import session_remove_in_state
from cython.cimports.volans.driver.layout import (
    PENDING_SETUP_TIMEOUT_NS,
    SESSION_PENDING_SETUP,
    PendingSetup,
    ReceiveDestination,
    ReceiverState,
)
from cython.cimports.volans.driver.receive_endpoint import send_setup_request


@cfunc
@nogil
@exceptval(check=False)
def pending_setup_add(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    stream_id: int32_t,
    session_id: int32_t,
    is_periodic: bint,
) -> int32_t:
    capacity: int32_t = receiver.pending_setup_capacity
    grown: pointer[PendingSetup]
    if receiver.pending_setup_count == capacity:
        capacity = capacity * 2 if capacity > 0 else 8
        grown = cast(
            pointer[PendingSetup],
            realloc(receiver.pending_setups, capacity * sizeof(PendingSetup)),
        )
        if grown == cython.NULL:
            return -1
        receiver.pending_setups = grown
        receiver.pending_setup_capacity = capacity
    entry: pointer[PendingSetup] = address(receiver.pending_setups[receiver.pending_setup_count])
    receiver.pending_setup_count += 1
    memset(entry, 0, sizeof(PendingSetup))
    entry.destination = destination
    entry.is_periodic = is_periodic
    entry.stream_id = stream_id
    entry.session_id = session_id
    entry.time_of_last_setup_request_ns = receiver.now_ns
    return 0


@cfunc
@nogil
@exceptval(check=False)
def forget(entry: pointer[PendingSetup]) -> cython.void:
    # The next data of the session asks again.
    if not entry.is_periodic:
        session_remove_in_state(
            entry.destination.channel, entry.stream_id, entry.session_id, SESSION_PENDING_SETUP
        )


@cfunc
@nogil
@exceptval(check=False)
def remove_at(receiver: pointer[ReceiverState], index: int32_t) -> cython.void:
    receiver.pending_setup_count -= 1
    receiver.pending_setups[index] = receiver.pending_setups[receiver.pending_setup_count]


@cfunc
@nogil
@exceptval(check=False)
def pending_setups_drop(
    receiver: pointer[ReceiverState], destination: pointer[ReceiveDestination]
) -> cython.void:
    i: int32_t = receiver.pending_setup_count - 1
    while i >= 0:
        if receiver.pending_setups[i].destination == destination:
            forget(address(receiver.pending_setups[i]))
            remove_at(receiver, i)
        i -= 1


@cfunc
@nogil
@exceptval(check=False)
def pending_setups_poll(receiver: pointer[ReceiverState]) -> int32_t:
    work: int32_t = 0
    entry: pointer[PendingSetup]
    i: int32_t = receiver.pending_setup_count - 1
    while i >= 0:
        entry = address(receiver.pending_setups[i])
        if receiver.now_ns - entry.time_of_last_setup_request_ns > PENDING_SETUP_TIMEOUT_NS:
            if not entry.is_periodic:
                forget(entry)
                remove_at(receiver, i)
                work += 1
            elif (
                entry.destination.channel.streams.size > 0 and entry.destination.control.length > 0
            ):
                send_setup_request(
                    entry.destination,
                    address(entry.destination.control),
                    entry.stream_id,
                    entry.session_id,
                )
                entry.time_of_last_setup_request_ns = receiver.now_ns
                work += 1
        i -= 1
    return work
