# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Streams of a receive endpoint and the sessions known of each."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.driver.layout import (
    SESSION_ACTIVE,
    SESSION_INIT_IN_PROGRESS,
    SESSION_STATES_MAX,
    PublicationImage,
    ReceiveChannelEndpoint,
    SessionInterest,
    StreamInterest,
)
from cython.cimports.volans.memory.int64_map import (
    int64_map_free,
    int64_map_get,
    int64_map_init,
    int64_map_put,
    int64_map_remove,
)


@cfunc
@nogil
@exceptval(check=False)
def stream_find(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t
) -> pointer[StreamInterest]:
    return cast(pointer[StreamInterest], int64_map_get(address(endpoint.streams), stream_id))


@cfunc
@nogil
@exceptval(check=False)
def stream_free(stream: pointer[StreamInterest]) -> cython.void:
    i: int32_t
    for i in range(stream.sessions.capacity):
        free(stream.sessions.values[i])
    int64_map_free(address(stream.sessions))
    int64_map_free(address(stream.subscribed_sessions))
    free(stream)


@cfunc
@nogil
@exceptval(check=False)
def stream_find_or_add(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t
) -> pointer[StreamInterest]:
    stream: pointer[StreamInterest] = stream_find(endpoint, stream_id)
    if stream != cython.NULL:
        return stream
    stream = cast(pointer[StreamInterest], calloc(1, sizeof(StreamInterest)))
    if stream == cython.NULL:
        return cython.NULL
    stream.stream_id = stream_id
    if (
        int64_map_init(address(stream.subscribed_sessions), 8) < 0
        or int64_map_init(address(stream.sessions), 8) < 0
        or int64_map_put(address(endpoint.streams), stream_id, stream) < 0
    ):
        stream_free(stream)
        return cython.NULL
    return stream


@cfunc
@nogil
@exceptval(check=False)
def stream_remove(
    endpoint: pointer[ReceiveChannelEndpoint], stream: pointer[StreamInterest]
) -> cython.void:
    int64_map_remove(address(endpoint.streams), stream.stream_id)
    stream_free(stream)


@cfunc
@nogil
@exceptval(check=False)
def stream_wants(stream: pointer[StreamInterest], session_id: int32_t) -> bint:
    return (
        stream.is_all_sessions
        or int64_map_get(address(stream.subscribed_sessions), session_id) != cython.NULL
    )


@cfunc
@nogil
@exceptval(check=False)
def counts_as_image(state: int32_t) -> bint:
    return state in (SESSION_ACTIVE, SESSION_INIT_IN_PROGRESS)


@cfunc
@nogil
@exceptval(check=False)
def session_find(stream: pointer[StreamInterest], session_id: int32_t) -> pointer[SessionInterest]:
    return cast(pointer[SessionInterest], int64_map_get(address(stream.sessions), session_id))


@cfunc
@nogil
@exceptval(check=False)
def session_set(
    stream: pointer[StreamInterest],
    session_id: int32_t,
    state: int32_t,
    image: pointer[PublicationImage],
) -> int32_t:
    session: pointer[SessionInterest] = session_find(stream, session_id)
    if session == cython.NULL:
        if stream.sessions.size >= SESSION_STATES_MAX and state != SESSION_ACTIVE:
            return -1
        session = cast(pointer[SessionInterest], calloc(1, sizeof(SessionInterest)))
        if session == cython.NULL:
            return -1
        if int64_map_put(address(stream.sessions), session_id, session) < 0:
            free(session)
            return -1
    if counts_as_image(session.state):
        stream.image_count -= 1
    if counts_as_image(state):
        stream.image_count += 1
    session.state = state
    session.image = image
    return 0


@cfunc
@nogil
@exceptval(check=False)
def session_remove(stream: pointer[StreamInterest], session_id: int32_t) -> cython.void:
    session: pointer[SessionInterest] = cast(
        pointer[SessionInterest], int64_map_remove(address(stream.sessions), session_id)
    )
    if session != cython.NULL:
        if counts_as_image(session.state):
            stream.image_count -= 1
        free(session)


@cfunc
@nogil
@exceptval(check=False)
def session_remove_in_state(
    endpoint: pointer[ReceiveChannelEndpoint],
    stream_id: int32_t,
    session_id: int32_t,
    state: int32_t,
) -> cython.void:
    stream: pointer[StreamInterest] = stream_find(endpoint, stream_id)
    session: pointer[SessionInterest]
    if stream == cython.NULL:
        return
    session = session_find(stream, session_id)
    if session != cython.NULL and session.state == state:
        session_remove(stream, session_id)


# Both walks: a removal closes the hole with an entry from behind, so the slot is looked at again.
@cfunc
@nogil
@exceptval(check=False)
def sessions_remove_unsubscribed(stream: pointer[StreamInterest]) -> cython.void:
    slot: int32_t = 0
    while slot < stream.sessions.capacity:
        if stream.sessions.values[slot] != cython.NULL and (
            int64_map_get(address(stream.subscribed_sessions), stream.sessions.keys[slot])
            == cython.NULL
        ):
            session_remove(stream, cast(int32_t, stream.sessions.keys[slot]))
        else:
            slot += 1


@cfunc
@nogil
@exceptval(check=False)
def sessions_remove_in_state(stream: pointer[StreamInterest], state: int32_t) -> cython.void:
    slot: int32_t = 0
    session: pointer[SessionInterest]
    while slot < stream.sessions.capacity:
        session = cast(pointer[SessionInterest], stream.sessions.values[slot])
        if session != cython.NULL and session.state == state:
            session_remove(stream, cast(int32_t, stream.sessions.keys[slot]))
        else:
            slot += 1
