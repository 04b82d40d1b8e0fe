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
    DESTINATIONS_NONE,
    SYSTEM_SHORT_SENDS,
    NetworkPublication,
    SendChannelEndpoint,
    SendDestination,
    SendDestinations,
)
from cython.cimports.volans.driver.send_destinations import (
    send_destinations_expire,
    send_destinations_next_start,
)
from cython.cimports.volans.driver.send_layout import SendRun
from cython.cimports.volans.driver.send_timestamp import send_timestamps_write
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
def is_to_many(publication: pointer[NetworkPublication]) -> bint:
    return (
        publication.endpoint.destinations.mode != DESTINATIONS_NONE and not publication.is_response
    )


@cfunc
@nogil
@exceptval(check=False)
def offer(
    run: pointer[SendRun],
    destination: pointer[Address],
    segment_count: int32_t,
    last_length: int32_t,
) -> int32_t:
    """Datagrams taken, or -errno; a full queue is flushed once, for more streams than it holds."""
    endpoint: pointer[SendChannelEndpoint] = run.publication.endpoint
    taken: int32_t = 0
    result: int32_t
    attempt: int32_t
    for attempt in range(2):
        result = endpoint.engine.ops.tx_run(
            endpoint.engine,
            address(endpoint.endpoint),
            destination,
            run.base + cast(int64_t, taken) * run.segment_length,
            run.segment_length,
            segment_count - taken,
            last_length,
        )
        if result < 0:
            return result if taken == 0 else taken
        taken += result
        if taken == segment_count:
            break
        if attempt == 0:
            endpoint.engine.ops.tx_flush(endpoint.engine)
    return taken


@cfunc
@nogil
@exceptval(check=False)
def note_failure(endpoint: pointer[SendChannelEndpoint], error: int32_t) -> cython.void:
    """One of several destinations cannot be sent to: the sender logs it with its next flush."""
    endpoint.engine.stats.tx_errors += 1
    endpoint.engine.stats.last_errno = -error


@cfunc
@nogil
@exceptval(check=False)
def offer_to_all(run: pointer[SendRun]) -> int32_t:
    """Datagrams the stream goes on by, or -errno when no destination at all could be sent to.

    The first one that takes anything says how many; to another one that takes fewer the rest is
    lost, as in the network, and its receiver asks for it. With nobody to send to the stream
    goes on.
    """
    endpoint: pointer[SendChannelEndpoint] = run.publication.endpoint
    destinations: pointer[SendDestinations] = address(endpoint.destinations)
    destination: pointer[SendDestination]
    segment_count: int32_t = run.segment_count
    last_length: int32_t = run.last_length
    is_taken: bint = False
    failure: int32_t = 0
    i: int32_t
    start: int32_t
    taken: int32_t
    send_destinations_expire(destinations, endpoint.engine.now_ns)
    start = send_destinations_next_start(destinations)
    for i in range(destinations.count):
        destination = address(destinations.array[(start + i) % destinations.count])
        if destination.address.length == 0:
            continue
        taken = offer(run, address(destination.address), segment_count, last_length)
        if taken < 0:
            failure = taken
            note_failure(endpoint, failure)
        elif is_taken:
            if taken < segment_count:
                fetch_add_i64(run.publication.shared.system[SYSTEM_SHORT_SENDS], 1)
        elif taken == 0:
            return 0
        else:
            is_taken = True
            if taken < segment_count:
                segment_count = taken
                last_length = run.segment_length
    return failure if failure < 0 and not is_taken else segment_count


@cfunc
@nogil
@exceptval(check=False)
def hand_over(run: pointer[SendRun]) -> cython.void:
    """Offer the gathered run."""
    destination: pointer[Address]
    taken: int32_t
    if run.segment_count == 0 or run.result != 0:
        return
    if is_to_many(run.publication):
        taken = offer_to_all(run)
    else:
        destination = destination_of(run.publication)
        if destination.length == 0:
            run.result = 1
            return
        taken = offer(run, destination, run.segment_count, run.last_length)
    if taken < 0:
        run.result = taken
    elif taken == run.segment_count:
        accept(run, taken - 1, run.last_length)
        run.segment_count = 0
    else:
        accept(run, taken, 0)
        run.base += cast(int64_t, taken) * run.segment_length
        run.segment_count -= taken
        run.result = 1


@cfunc
@nogil
@exceptval(check=False)
def send_run_add(
    run: pointer[SendRun], data: pointer[cython.const[uint8_t]], length: int32_t
) -> bint:
    if run.publication.endpoint.has_send_timestamp:
        send_timestamps_write(run.publication, cast(pointer[uint8_t], data), length)
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
def copy_to(
    endpoint: pointer[SendChannelEndpoint],
    destination: pointer[Address],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    if destination.length == 0:
        return 0
    return endpoint.engine.ops.tx_copy(
        endpoint.engine, address(endpoint.endpoint), destination, data, length
    )


@cfunc
@nogil
@exceptval(check=False)
def copy_to_all(
    endpoint: pointer[SendChannelEndpoint],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    """1 also when there is nobody to send to; 0 or -errno only when nobody could be sent to."""
    destinations: pointer[SendDestinations] = address(endpoint.destinations)
    destination: pointer[Address]
    is_taken: bint = False
    is_offered: bint = False
    failure: int32_t = 0
    result: int32_t
    i: int32_t
    start: int32_t
    send_destinations_expire(destinations, endpoint.engine.now_ns)
    start = send_destinations_next_start(destinations)
    for i in range(destinations.count):
        destination = address(destinations.array[(start + i) % destinations.count].address)
        if destination.length == 0:
            continue
        is_offered = True
        result = copy_to(endpoint, destination, data, length)
        if result < 0:
            failure = result
            note_failure(endpoint, failure)
        elif result > 0:
            is_taken = True
        else:
            fetch_add_i64(endpoint.shared.system[SYSTEM_SHORT_SENDS], 1)
    return 1 if is_taken or not is_offered else failure


@cfunc
@nogil
@exceptval(check=False)
def send_copy(
    publication: pointer[NetworkPublication],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    result: int32_t
    if is_to_many(publication):
        return copy_to_all(publication.endpoint, data, length)
    result = copy_to(publication.endpoint, destination_of(publication), data, length)
    if result == 0:
        # The receiver counts here too.
        fetch_add_i64(publication.shared.system[SYSTEM_SHORT_SENDS], 1)
    return result
