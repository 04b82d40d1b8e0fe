# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The destinations of a multi-destination endpoint: given by the client, or learnt.

Manual destinations come and go with the client's commands; dynamic ones come with the first status
message of a receiver and go when it was silent for DESTINATION_TIMEOUT_NS.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.volans.driver.layout import (
    DESTINATIONS_DYNAMIC,
    SEND_DESTINATIONS_MAX,
    SendDestination,
    SendDestinations,
)
from cython.cimports.volans.memory.atomic import store_release_i64
from cython.cimports.volans.transport.address import address_equal, address_port
from cython.cimports.volans.transport.contract import Address

cython.declare(MOVED_AFTER_NS=int64_t, DESTINATION_TIMEOUT_NS=int64_t)
DESTINATION_TIMEOUT_NS = 5_000_000_000
# A receiver sends status messages several times a second: silent for this long, it has moved.
MOVED_AFTER_NS = 1_000_000_000


@cfunc
@nogil
@exceptval(check=False)
def publish_count(destinations: pointer[SendDestinations]) -> cython.void:
    if destinations.count_counter != cython.NULL:
        store_release_i64(destinations.count_counter, destinations.count)


@cfunc
@nogil
@exceptval(check=False)
def append(destinations: pointer[SendDestinations]) -> pointer[SendDestination]:
    """A new last entry; NULL without memory."""
    grown: pointer[SendDestination]
    capacity: int32_t
    if destinations.count == destinations.capacity:
        capacity = destinations.capacity * 2 if destinations.capacity > 0 else 4
        grown = cast(
            pointer[SendDestination],
            realloc(destinations.array, cast(cython.size_t, capacity) * sizeof(SendDestination)),
        )
        if grown == cython.NULL:
            return cython.NULL
        destinations.array = grown
        destinations.capacity = capacity
    destinations.count += 1
    publish_count(destinations)
    return address(destinations.array[destinations.count - 1])


@cfunc
@nogil
@exceptval(check=False)
def remove_at(destinations: pointer[SendDestinations], index: int32_t) -> cython.void:
    destinations.count -= 1
    destinations.array[index] = destinations.array[destinations.count]
    publish_count(destinations)


@cfunc
@nogil
@exceptval(check=False)
def add(
    destinations: pointer[SendDestinations],
    registration_id: int64_t,
    receiver_id: int64_t,
    is_receiver_id_known: bint,
    where: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    entry: pointer[SendDestination] = append(destinations)
    if entry == cython.NULL:
        return
    entry.address = where[0]
    entry.registration_id = registration_id
    entry.receiver_id = receiver_id
    entry.is_receiver_id_known = is_receiver_id_known
    entry.time_of_last_activity_ns = now_ns


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_add(
    destinations: pointer[SendDestinations],
    registration_id: int64_t,
    where: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    add(destinations, registration_id, 0, False, where, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_remove(
    destinations: pointer[SendDestinations], registration_id: int64_t
) -> cython.void:
    i: int32_t
    for i in range(destinations.count):
        if destinations.array[i].registration_id == registration_id:
            remove_at(destinations, i)
            return


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_change(
    destinations: pointer[SendDestinations],
    registration_id: int64_t,
    where: pointer[cython.const[Address]],
) -> cython.void:
    i: int32_t
    for i in range(destinations.count):
        if destinations.array[i].registration_id == registration_id:
            destinations.array[i].address = where[0]


@cfunc
@nogil
@exceptval(check=False)
def find_by_address(
    destinations: pointer[SendDestinations], source: pointer[cython.const[Address]]
) -> int32_t:
    i: int32_t
    for i in range(destinations.count):
        if address_equal(address(destinations.array[i].address), source):
            return i
    return -1


@cfunc
@nogil
@exceptval(check=False)
def find_by_receiver(
    destinations: pointer[SendDestinations],
    receiver_id: int64_t,
    source: pointer[cython.const[Address]],
) -> int32_t:
    """The same receiver on the same port of another host."""
    i: int32_t
    entry: pointer[SendDestination]
    for i in range(destinations.count):
        entry = address(destinations.array[i])
        if (
            entry.is_receiver_id_known
            and entry.receiver_id == receiver_id
            and entry.address.length > 0
            and address_port(address(entry.address)) == address_port(source)
        ):
            return i
    return -1


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_heard(
    destinations: pointer[SendDestinations],
    receiver_id: int64_t,
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    is_dynamic: bint = destinations.mode == DESTINATIONS_DYNAMIC
    entry: pointer[SendDestination]
    index: int32_t = find_by_address(destinations, source)
    if index < 0:
        index = find_by_receiver(destinations, receiver_id, source)
        if index >= 0 and is_dynamic:
            entry = address(destinations.array[index])
            if now_ns - entry.time_of_last_activity_ns > MOVED_AFTER_NS:
                entry.address = source[0]
            else:
                # Alive at both addresses: one receiver that listens on two ways.
                index = -1
    if index >= 0:
        entry = address(destinations.array[index])
        entry.receiver_id = receiver_id
        entry.is_receiver_id_known = True
        entry.time_of_last_activity_ns = now_ns
    elif is_dynamic and destinations.count < SEND_DESTINATIONS_MAX:
        add(destinations, -1, receiver_id, True, source, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_find(
    destinations: pointer[SendDestinations],
    receiver_id: int64_t,
    source: pointer[cython.const[Address]],
) -> int64_t:
    index: int32_t = find_by_address(destinations, source)
    if index < 0:
        index = find_by_receiver(destinations, receiver_id, source)
    return destinations.array[index].registration_id if index >= 0 else -1


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_expire(
    destinations: pointer[SendDestinations], now_ns: int64_t
) -> cython.void:
    i: int32_t = destinations.count - 1
    if destinations.mode != DESTINATIONS_DYNAMIC:
        return
    while i >= 0:
        if now_ns > destinations.array[i].time_of_last_activity_ns + DESTINATION_TIMEOUT_NS:
            remove_at(destinations, i)
        i -= 1


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_next_start(destinations: pointer[SendDestinations]) -> int32_t:
    start: int32_t = destinations.round_robin_index
    if start >= destinations.count:
        start = 0
    destinations.round_robin_index = start + 1
    return start


@cfunc
@nogil
@exceptval(check=False)
def send_destinations_free(destinations: pointer[SendDestinations]) -> cython.void:
    free(destinations.array)
    destinations.array = cython.NULL
    destinations.count = 0
    destinations.capacity = 0
