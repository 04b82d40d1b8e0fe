# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Handing datagrams to the engine as runs out of the term.

A run is what the transport contract calls one: equal lengths one behind the other, the last may be
shorter.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.layout import (
    SYSTEM_SHORT_SENDS,
    NetworkPublication,
    SendChannelEndpoint,
)
from cython.cimports.volans.driver.send_layout import SendRun
from cython.cimports.volans.memory.atomic import fetch_add_i64
from cython.cimports.volans.transport.contract import Address


@cfunc
@nogil
@exceptval(check=False)
def destination_of(publication: pointer[NetworkPublication]) -> pointer[Address]:
    if publication.is_response:
        return address(publication.response_address)
    return address(publication.endpoint.destination)


@cfunc
@nogil
@exceptval(check=False)
def send_run_begin(run: pointer[SendRun], publication: pointer[NetworkPublication]) -> cython.void:
    run.publication = publication
    run.base = cython.NULL
    run.segment_length = 0
    run.segment_count = 0
    run.last_length = 0
    run.result = 0
    run.bytes_accepted = 0
    run.position_gain = 0


@cfunc
@nogil
@exceptval(check=False)
def accept(run: pointer[SendRun], whole_count: int32_t, last_length: int32_t) -> cython.void:
    byte_count: int64_t = cast(int64_t, whole_count) * run.segment_length + last_length
    run.bytes_accepted += byte_count
    run.position_gain += byte_count


@cfunc
@nogil
@exceptval(check=False)
def hand_over(run: pointer[SendRun]) -> cython.void:
    """Offer the gathered run; a full queue is flushed once, for more streams than it has places."""
    endpoint: pointer[SendChannelEndpoint] = run.publication.endpoint
    destination: pointer[Address] = destination_of(run.publication)
    attempt: int32_t
    accepted: int32_t
    if run.segment_count == 0 or run.result != 0:
        return
    if destination.length == 0:
        run.result = 1
        return
    for attempt in range(2):
        accepted = endpoint.engine.ops.tx_run(
            endpoint.engine,
            address(endpoint.endpoint),
            destination,
            run.base,
            run.segment_length,
            run.segment_count,
            run.last_length,
        )
        if accepted < 0:
            run.result = accepted
            return
        if accepted == run.segment_count:
            accept(run, accepted - 1, run.last_length)
            run.segment_count = 0
            return
        accept(run, accepted, 0)
        run.base += cast(int64_t, accepted) * run.segment_length
        run.segment_count -= accepted
        if attempt == 0:
            endpoint.engine.ops.tx_flush(endpoint.engine)
    run.result = 1


@cfunc
@nogil
@exceptval(check=False)
def send_run_add(
    run: pointer[SendRun], data: pointer[cython.const[uint8_t]], length: int32_t
) -> bint:
    if run.segment_count > 0:
        if length <= run.segment_length and run.last_length == run.segment_length:
            run.segment_count += 1
            run.last_length = length
            return run.result == 0
        hand_over(run)
        if run.result != 0:
            return False
    run.base = data
    run.segment_length = length
    run.last_length = length
    run.segment_count = 1
    return True


@cfunc
@nogil
@exceptval(check=False)
def send_run_skip(run: pointer[SendRun], padding: int32_t) -> bint:
    hand_over(run)
    if run.result == 0:
        run.position_gain += padding
    return run.result == 0


@cfunc
@nogil
@exceptval(check=False)
def send_run_end(run: pointer[SendRun]) -> cython.void:
    hand_over(run)


@cfunc
@nogil
@exceptval(check=False)
def send_copy(
    publication: pointer[NetworkPublication],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    endpoint: pointer[SendChannelEndpoint] = publication.endpoint
    destination: pointer[Address] = destination_of(publication)
    result: int32_t = 0
    if destination.length > 0:
        result = endpoint.engine.ops.tx_copy(
            endpoint.engine, address(endpoint.endpoint), destination, data, length
        )
    if result == 0:
        # The receiver counts here too.
        fetch_add_i64(publication.shared.system[SYSTEM_SHORT_SENDS], 1)
    return result
