# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Which endpoints to read next: all of them in turn when they are few, the readable ones of many.

An empty read costs about what an epoll_wait costs, so up to a handful of endpoints are just
tried. Beyond that (or once somebody wants to sleep on the engine) they are registered with
epoll, which makes every arrival a little dearer and every idle endpoint free.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import EALREADY, ENOMEM, errno
from cython.cimports.libc.stdint import int32_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memset
from cython.cimports.volans.transport.contract import Endpoint, Engine
from cython.cimports.volans.transport.layout import PollSet
from cython.cimports.volans.transport.net import (
    EPOLL_CLOEXEC,
    close,
    epoll_add,
    epoll_create1,
    epoll_event,
    epoll_pointer,
    epoll_remove,
    epoll_wait,
)


@cfunc
@nogil
@exceptval(check=False)
def poll_set_init(poll_set: pointer[PollSet], epoll_above_count: int32_t) -> int32_t:
    memset(poll_set, 0, sizeof(PollSet))
    poll_set.epoll_descriptor = -1
    poll_set.epoll_above_count = epoll_above_count
    return grow(poll_set, 16)


@cfunc
@nogil
@exceptval(check=False)
def grow(poll_set: pointer[PollSet], capacity: int32_t) -> int32_t:
    memory: cython.p_void
    memory = realloc(poll_set.endpoints, capacity * sizeof(cython.p_void))
    if memory is cython.NULL:
        return -ENOMEM
    poll_set.endpoints = cast(pointer[pointer[Endpoint]], memory)
    memory = realloc(poll_set.candidates, capacity * sizeof(cython.p_void))
    if memory is cython.NULL:
        return -ENOMEM
    poll_set.candidates = cast(pointer[pointer[Endpoint]], memory)
    memory = realloc(poll_set.events, capacity * sizeof(epoll_event))
    if memory is cython.NULL:
        return -ENOMEM
    poll_set.events = cast(pointer[epoll_event], memory)
    poll_set.capacity = capacity
    return 0


@cfunc
@nogil
@exceptval(check=False)
def poll_set_free(poll_set: pointer[PollSet]) -> cython.void:
    if poll_set.epoll_descriptor >= 0:
        close(poll_set.epoll_descriptor)
        poll_set.epoll_descriptor = -1
    free(poll_set.endpoints)
    free(poll_set.candidates)
    free(poll_set.events)
    poll_set.endpoints = cython.NULL
    poll_set.candidates = cython.NULL
    poll_set.events = cython.NULL
    poll_set.count = 0


@cfunc
@nogil
@exceptval(check=False)
def start_epoll(poll_set: pointer[PollSet]) -> int32_t:
    i: int32_t
    if poll_set.epoll_descriptor >= 0:
        return 0
    poll_set.epoll_descriptor = epoll_create1(EPOLL_CLOEXEC)
    if poll_set.epoll_descriptor < 0:
        return -errno
    for i in range(poll_set.count):
        if (
            epoll_add(
                poll_set.epoll_descriptor,
                poll_set.endpoints[i].descriptor,
                poll_set.endpoints[i],
            )
            < 0
        ):
            close(poll_set.epoll_descriptor)
            poll_set.epoll_descriptor = -1
            return -errno
    return 0


@cfunc
@nogil
@exceptval(check=False)
def poll_set_add(poll_set: pointer[PollSet], endpoint: pointer[Endpoint]) -> int32_t:
    result: int32_t
    if endpoint.index >= 0:
        return -EALREADY
    if poll_set.count == poll_set.capacity:
        result = grow(poll_set, poll_set.capacity * 2)
        if result < 0:
            return result
    if poll_set.count >= poll_set.epoll_above_count:
        result = start_epoll(poll_set)
        if result < 0:
            return result
    if (
        poll_set.epoll_descriptor >= 0
        and epoll_add(poll_set.epoll_descriptor, endpoint.descriptor, endpoint) < 0
    ):
        return -errno
    endpoint.index = poll_set.count
    poll_set.endpoints[poll_set.count] = endpoint
    poll_set.count += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def poll_set_remove(poll_set: pointer[PollSet], endpoint: pointer[Endpoint]) -> cython.void:
    index: int32_t = endpoint.index
    if index < 0 or index >= poll_set.count or poll_set.endpoints[index] != endpoint:
        return
    if poll_set.epoll_descriptor >= 0:
        epoll_remove(poll_set.epoll_descriptor, endpoint.descriptor)
    poll_set.count -= 1
    poll_set.endpoints[index] = poll_set.endpoints[poll_set.count]
    poll_set.endpoints[index].index = index
    endpoint.index = -1


@cfunc
@nogil
@exceptval(check=False)
def poll_set_candidates(poll_set: pointer[PollSet], engine: pointer[Engine]) -> int32_t:
    count: int32_t = poll_set.count
    start: int32_t
    i: int32_t
    if count > poll_set.epoll_above_count and poll_set.epoll_descriptor >= 0:
        count = epoll_wait(poll_set.epoll_descriptor, poll_set.events, poll_set.capacity, 0)
        engine.stats.system_calls += 1
        if count <= 0:
            return 0
        start = poll_set.start % count
        for i in range(count):
            poll_set.candidates[i] = cast(
                pointer[Endpoint], epoll_pointer(address(poll_set.events[(start + i) % count]))
            )
    elif count > 0:
        start = poll_set.start % count
        for i in range(count - start):
            poll_set.candidates[i] = poll_set.endpoints[start + i]
        for i in range(start):
            poll_set.candidates[count - start + i] = poll_set.endpoints[i]
    else:
        return 0
    poll_set.start = start + 1
    return count


@cfunc
@nogil
@exceptval(check=False)
def poll_set_share(room: int32_t, candidates_after: int32_t) -> int32_t:
    if room <= 0:
        return 0
    return room - candidates_after if room > candidates_after else 1


@cfunc
@nogil
@exceptval(check=False)
def poll_set_wait_descriptor(poll_set: pointer[PollSet]) -> int32_t:
    result: int32_t = start_epoll(poll_set)
    return result if result < 0 else poll_set.epoll_descriptor
