# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The subscribers of one log and the positions they have reached. Conductor only."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.volans.driver.layout import (
    SUBSCRIBER_ACTIVE,
    SUBSCRIBER_LINGER,
    Subscribable,
    Subscriber,
)
from cython.cimports.volans.memory.atomic import load_acquire_i64


@cfunc
@nogil
@exceptval(check=False)
def subscribable_add(
    subscribable: pointer[Subscribable],
    position: pointer[int64_t],
    counter_id: int32_t,
    subscription_registration_id: int64_t,
    is_tether: bint,
    is_rejoin: bint,
    now_ns: int64_t,
) -> int32_t:
    capacity: int32_t
    grown: pointer[Subscriber]
    if subscribable.count == subscribable.capacity:
        capacity = subscribable.capacity * 2 if subscribable.capacity > 0 else 4
        grown = cast(
            pointer[Subscriber], realloc(subscribable.array, capacity * sizeof(Subscriber))
        )
        if grown == cython.NULL:
            return -1
        subscribable.array = grown
        subscribable.capacity = capacity
    subscriber: pointer[Subscriber] = address(subscribable.array[subscribable.count])
    subscriber.position = position
    subscriber.counter_id = counter_id
    subscriber.subscription_registration_id = subscription_registration_id
    subscriber.time_of_last_update_ns = now_ns
    subscriber.state = SUBSCRIBER_ACTIVE
    subscriber.is_tether = is_tether
    subscriber.is_rejoin = is_rejoin
    subscribable.count += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def subscribable_remove(
    subscribable: pointer[Subscribable], subscription_registration_id: int64_t
) -> int32_t:
    i: int32_t
    counter_id: int32_t
    for i in range(subscribable.count):
        if subscribable.array[i].subscription_registration_id == subscription_registration_id:
            counter_id = subscribable.array[i].counter_id
            subscribable.count -= 1
            subscribable.array[i] = subscribable.array[subscribable.count]
            return counter_id
    return -1


@cfunc
@nogil
@exceptval(check=False)
def subscribable_free(subscribable: pointer[Subscribable]) -> cython.void:
    free(subscribable.array)
    subscribable.array = cython.NULL
    subscribable.count = 0
    subscribable.capacity = 0


@cfunc
@nogil
@exceptval(check=False)
def is_working(subscriber: pointer[cython.const[Subscriber]]) -> bint:
    return subscriber.state == SUBSCRIBER_ACTIVE or subscriber.state == SUBSCRIBER_LINGER


@cfunc
@nogil
@exceptval(check=False)
def working_count(subscribable: pointer[cython.const[Subscribable]]) -> int32_t:
    i: int32_t
    count: int32_t = 0
    for i in range(subscribable.count):
        if is_working(address(subscribable.array[i])):
            count += 1
    return count


@cfunc
@nogil
@exceptval(check=False)
def active_position_bounds(
    subscribable: pointer[cython.const[Subscribable]],
    minimum: pointer[int64_t],
    maximum: pointer[int64_t],
) -> int32_t:
    i: int32_t
    active: int32_t = 0
    position: int64_t
    for i in range(subscribable.count):
        if not is_working(address(subscribable.array[i])):
            continue
        position = load_acquire_i64(subscribable.array[i].position)
        if active == 0:
            minimum[0] = position
            maximum[0] = position
        elif position < minimum[0]:
            minimum[0] = position
        elif position > maximum[0]:
            maximum[0] = position
        active += 1
    return active
