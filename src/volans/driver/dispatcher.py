# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""From a frame's stream and session to its image, or to what must come before there is one.

A session goes: unknown → PENDING_SETUP (data came, a SETUP was asked for) → INIT_IN_PROGRESS (the
SETUP came, the control plane makes the image) → ACTIVE → COOL_DOWN (the image went; nothing is
made again until the control plane says so). PROTOCOL.md section 10.11.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, uint8_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.image import image_on_data, image_on_rttm, image_on_setup
from cython.cimports.volans.driver.interests import (
    session_find,
    session_remove,
    session_remove_in_state,
    session_set,
    sessions_remove_in_state,
    sessions_remove_unsubscribed,
    stream_find,
    stream_find_or_add,
    stream_remove,
    stream_wants,
)
from cython.cimports.volans.driver.layout import (
    SESSION_ACTIVE,
    SESSION_COOL_DOWN,
    SESSION_INIT_IN_PROGRESS,
    SESSION_NO_INTEREST,
    SESSION_PENDING_SETUP,
    SYSTEM_CONDUCTOR_PROXY_FAILS,
    SYSTEM_POSSIBLE_TTL_ASYMMETRY,
    TO_CONTROL_CREATE_IMAGE,
    CreateImageRequest,
    PublicationImage,
    ReceiveChannelEndpoint,
    ReceiveDestination,
    ReceiverState,
    SessionInterest,
    StreamInterest,
)
from cython.cimports.volans.driver.pending_setups import pending_setup_add
from cython.cimports.volans.driver.receive_endpoint import (
    answer_address,
    send_rttm,
    send_setup_request,
)
from cython.cimports.volans.driver.shared import record_error
from cython.cimports.volans.memory.atomic import counter_add, fetch_add_i64, load_acquire_i32
from cython.cimports.volans.memory.int64_map import int64_map_put, int64_map_remove
from cython.cimports.volans.memory.layout import RING_OK
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_write
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_EOS,
    RTTM_FLAG_REPLY,
    DataHeader,
    RttmFrame,
    SetupFrame,
)
from cython.cimports.volans.transport.contract import Address, RxDatagram


# --- what the control plane wants ---------------------------------------------------------------
@cfunc
@nogil
@exceptval(check=False)
def dispatcher_add_subscription(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t
) -> int32_t:
    stream: pointer[StreamInterest] = stream_find_or_add(endpoint, stream_id)
    if stream == cython.NULL:
        return -1
    if not stream.is_all_sessions:
        stream.is_all_sessions = True
        sessions_remove_in_state(stream, SESSION_NO_INTEREST)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_remove_subscription(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t
) -> cython.void:
    stream: pointer[StreamInterest] = stream_find(endpoint, stream_id)
    if stream == cython.NULL:
        return
    stream.is_all_sessions = False
    sessions_remove_unsubscribed(stream)
    if stream.subscribed_sessions.size == 0:
        stream_remove(endpoint, stream)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_add_subscription_by_session(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t, session_id: int32_t
) -> int32_t:
    stream: pointer[StreamInterest] = stream_find_or_add(endpoint, stream_id)
    session: pointer[SessionInterest]
    if stream == cython.NULL:
        return -1
    if int64_map_put(address(stream.subscribed_sessions), session_id, stream) < 0:
        return -1
    session = session_find(stream, session_id)
    if session != cython.NULL and session.state == SESSION_NO_INTEREST:
        session_remove(stream, session_id)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_remove_subscription_by_session(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t, session_id: int32_t
) -> cython.void:
    stream: pointer[StreamInterest] = stream_find(endpoint, stream_id)
    if stream == cython.NULL:
        return
    int64_map_remove(address(stream.subscribed_sessions), session_id)
    if not stream.is_all_sessions:
        session_remove(stream, session_id)
        if stream.subscribed_sessions.size == 0:
            stream_remove(endpoint, stream)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_add_image(
    endpoint: pointer[ReceiveChannelEndpoint], image: pointer[PublicationImage]
) -> int32_t:
    stream: pointer[StreamInterest] = stream_find(endpoint, image.stream_id)
    if stream == cython.NULL:
        return 0  # nobody listens any more; the image times out
    return session_set(stream, image.session_id, SESSION_ACTIVE, image)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_remove_image(
    endpoint: pointer[ReceiveChannelEndpoint], image: pointer[PublicationImage]
) -> cython.void:
    stream: pointer[StreamInterest] = stream_find(endpoint, image.stream_id)
    session: pointer[SessionInterest]
    if stream == cython.NULL:
        return
    session = session_find(stream, image.session_id)
    if session == cython.NULL or session.image != image:
        return
    if load_acquire_i32(address(image.is_end_of_stream)) != 0:
        # It ended of its own: who takes the session up again is new.
        session_remove(stream, image.session_id)
    else:
        session_set(stream, image.session_id, SESSION_COOL_DOWN, cython.NULL)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_remove_init_in_progress(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t, session_id: int32_t
) -> cython.void:
    session_remove_in_state(endpoint, stream_id, session_id, SESSION_INIT_IN_PROGRESS)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_remove_cool_down(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t, session_id: int32_t
) -> cython.void:
    session_remove_in_state(endpoint, stream_id, session_id, SESSION_COOL_DOWN)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_clear(endpoint: pointer[ReceiveChannelEndpoint]) -> cython.void:
    slot: int32_t = 0
    while slot < endpoint.streams.capacity:
        if endpoint.streams.values[slot] != cython.NULL:
            stream_remove(endpoint, cast(pointer[StreamInterest], endpoint.streams.values[slot]))
        else:
            slot += 1


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_session_state(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t, session_id: int32_t
) -> int32_t:
    stream: pointer[StreamInterest] = stream_find(endpoint, stream_id)
    session: pointer[SessionInterest]
    if stream == cython.NULL:
        return 0
    session = session_find(stream, session_id)
    return 0 if session == cython.NULL else session.state


# --- what comes from the network ----------------------------------------------------------------
@cfunc
@nogil
@exceptval(check=False)
def elicit_setup(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    stream: pointer[StreamInterest],
    session_id: int32_t,
    source: pointer[cython.const[Address]],
) -> cython.void:
    if not stream_wants(stream, session_id):
        # Remembered, so that the next datagram of this session costs one look-up.
        session_set(stream, session_id, SESSION_NO_INTEREST, cython.NULL)
        return
    if session_set(stream, session_id, SESSION_PENDING_SETUP, cython.NULL) < 0:
        return
    if pending_setup_add(receiver, destination, stream.stream_id, session_id, False) < 0:
        session_remove(stream, session_id)
        return
    send_setup_request(
        destination, answer_address(destination, source), stream.stream_id, session_id
    )


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_on_data(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    packet: pointer[cython.const[uint8_t]],
    length: int32_t,
    datagram: pointer[cython.const[RxDatagram]],
) -> cython.void:
    header: pointer[DataHeader] = cast(pointer[DataHeader], packet)
    stream: pointer[StreamInterest] = stream_find(destination.channel, header.stream_id)
    session: pointer[SessionInterest]
    if stream == cython.NULL:
        return
    session = session_find(stream, header.session_id)
    if session == cython.NULL:
        # A stream that has ended needs no image.
        if header.flags & DATA_FLAG_EOS == 0:
            elicit_setup(receiver, destination, stream, header.session_id, address(datagram.source))
    elif session.state == SESSION_ACTIVE:
        image_on_data(session.image, destination, packet, length, datagram, receiver.now_ns)


@cfunc
@nogil
@exceptval(check=False)
def is_session_limit_reached(
    endpoint: pointer[ReceiveChannelEndpoint], stream: pointer[StreamInterest]
) -> cython.bint:
    return (
        stream.image_count >= endpoint.shared.stream_session_limit
        or stream.image_count >= endpoint.session_count_limit
    )


@cfunc
@nogil
@exceptval(check=False)
def request_image(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    stream: pointer[StreamInterest],
    setup: pointer[cython.const[SetupFrame]],
    source: pointer[cython.const[Address]],
) -> cython.void:
    request: CreateImageRequest
    if is_session_limit_reached(destination.channel, stream):
        record_error(
            receiver.shared,
            receiver.now_ms,
            0,
            b"image refused: its stream is at stream.session.limit sessions: raise the limit",
        )
        return
    if destination.is_multicast and destination.multicast_ttl < setup.ttl:
        counter_add(receiver.shared.system[SYSTEM_POSSIBLE_TTL_ASYMMETRY], 1)
    if session_set(stream, setup.session_id, SESSION_INIT_IN_PROGRESS, cython.NULL) < 0:
        return
    memset(address(request), 0, sizeof(CreateImageRequest))
    request.endpoint = destination.channel
    request.endpoint_id = destination.channel.id
    request.destination_id = destination.id
    request.session_id = setup.session_id
    request.stream_id = setup.stream_id
    request.initial_term_id = setup.initial_term_id
    request.active_term_id = setup.active_term_id
    request.term_offset = setup.term_offset
    request.term_length = setup.term_length
    request.mtu_length = setup.mtu_length
    request.flags = setup.flags
    request.control = answer_address(destination, source)[0]
    request.source = source[0]
    if (
        mpsc_ring_write(
            address(receiver.shared.to_control),
            TO_CONTROL_CREATE_IMAGE,
            address(request),
            sizeof(CreateImageRequest),
        )
        != RING_OK
    ):
        # Nobody will answer: the next SETUP tries again.
        fetch_add_i64(receiver.shared.system[SYSTEM_CONDUCTOR_PROXY_FAILS], 1)
        session_remove(stream, setup.session_id)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_on_setup(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    setup: pointer[cython.const[SetupFrame]],
    source: pointer[cython.const[Address]],
) -> cython.void:
    stream: pointer[StreamInterest] = stream_find(destination.channel, setup.stream_id)
    session: pointer[SessionInterest]
    if stream == cython.NULL:
        return
    session = session_find(stream, setup.session_id)
    if session == cython.NULL:
        if stream_wants(stream, setup.session_id):
            request_image(receiver, destination, stream, setup, source)
        else:
            session_set(stream, setup.session_id, SESSION_NO_INTEREST, cython.NULL)
    elif session.state == SESSION_ACTIVE:
        image_on_setup(session.image, destination, source, receiver.now_ns)
    elif session.state == SESSION_PENDING_SETUP:
        request_image(receiver, destination, stream, setup, source)


@cfunc
@nogil
@exceptval(check=False)
def dispatcher_on_rttm(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    rttm: pointer[cython.const[RttmFrame]],
    source: pointer[cython.const[Address]],
) -> cython.void:
    stream: pointer[StreamInterest] = stream_find(destination.channel, rttm.stream_id)
    session: pointer[SessionInterest]
    if stream == cython.NULL:
        return
    session = session_find(stream, rttm.session_id)
    if session == cython.NULL or session.state != SESSION_ACTIVE:
        return
    if rttm.flags & RTTM_FLAG_REPLY:
        send_rttm(
            destination,
            answer_address(destination, source),
            rttm.stream_id,
            rttm.session_id,
            rttm.echo_timestamp_ns,
            0,
            0,
        )
    else:
        image_on_rttm(
            session.image,
            cast(pointer[uint8_t], rttm),
            rttm.frame_length,
            source,
            receiver.now_ns,
        )
