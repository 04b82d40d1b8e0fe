# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Control frames that come back on the socket a channel's publications send from.

Whatever arrives is hostile until checked: lengths against the datagram, positions against the
stream's term.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.frame_validation import is_frame_valid
from cython.cimports.volans.driver.layout import (
    DESTINATIONS_NONE,
    SYSTEM_ERROR_FRAMES_RECEIVED,
    SYSTEM_INVALID_PACKETS,
    SYSTEM_NAK_MESSAGES_RECEIVED,
    SYSTEM_STATUS_MESSAGES_RECEIVED,
    SYSTEM_STATUS_MESSAGES_REJECTED,
    NetworkPublication,
    SendChannelEndpoint,
)
from cython.cimports.volans.driver.publication_feedback import (
    publication_on_error_frame,
    publication_on_nak,
    publication_on_response_setup,
    publication_on_rttm,
    publication_on_status_message,
)
from cython.cimports.volans.driver.send_destinations import (
    send_destinations_find,
    send_destinations_heard,
)
from cython.cimports.volans.log.layout import TERM_MAX_LENGTH
from cython.cimports.volans.log.position import compute_position
from cython.cimports.volans.memory.atomic import counter_add, fetch_add_i64, load_relaxed_i64
from cython.cimports.volans.memory.int64_map import (
    compound_key,
    int64_map_get,
    int64_map_put,
    int64_map_remove,
)
from cython.cimports.volans.protocol.layout import (
    ERR_HEADER_LENGTH,
    FRAME_ALIGNMENT,
    FRAME_TYPE_ERR,
    FRAME_TYPE_NAK,
    FRAME_TYPE_RSP_SETUP,
    FRAME_TYPE_RTTM,
    FRAME_TYPE_SM,
    MAX_ERROR_TEXT_LENGTH,
    SM_FLAG_SEND_SETUP,
    ErrorFrame,
    FrameHeader,
    NakFrame,
    ResponseSetupFrame,
    RttmFrame,
    StatusMessageFrame,
)
from cython.cimports.volans.transport.contract import Address, RxDatagram


@cfunc
@nogil
@exceptval(check=False)
def send_endpoint_add_publication(
    endpoint: pointer[SendChannelEndpoint], publication: pointer[NetworkPublication]
) -> int32_t:
    return int64_map_put(
        address(endpoint.publications),
        compound_key(publication.stream_id, publication.session_id),
        publication,
    )


@cfunc
@nogil
@exceptval(check=False)
def send_endpoint_remove_publication(
    endpoint: pointer[SendChannelEndpoint], publication: pointer[NetworkPublication]
) -> cython.void:
    # A later publication may have taken the same session and stream meanwhile: leave that one.
    if find(endpoint, publication.stream_id, publication.session_id) == publication:
        int64_map_remove(
            address(endpoint.publications),
            compound_key(publication.stream_id, publication.session_id),
        )


@cfunc
@nogil
@exceptval(check=False)
def find(
    endpoint: pointer[SendChannelEndpoint], stream_id: int32_t, session_id: int32_t
) -> pointer[NetworkPublication]:
    return cast(
        pointer[NetworkPublication],
        int64_map_get(address(endpoint.publications), compound_key(stream_id, session_id)),
    )


@cfunc
@nogil
@exceptval(check=False)
def count_invalid(endpoint: pointer[SendChannelEndpoint]) -> cython.void:
    # The receiver counts here too.
    fetch_add_i64(endpoint.shared.system[SYSTEM_INVALID_PACKETS], 1)


@cfunc
@nogil
@exceptval(check=False)
def is_term_offset(term_offset: int32_t, term_length: int32_t) -> bint:
    return 0 <= term_offset < term_length and term_offset & (FRAME_ALIGNMENT - 1) == 0


@cfunc
@nogil
@exceptval(check=False)
def is_near_sender(
    publication: pointer[NetworkPublication],
    message: pointer[cython.const[StatusMessageFrame]],
) -> bint:
    """A status message further than half a term away is stale, or of another stream's life."""
    distance: int64_t = compute_position(
        message.consumption_term_id,
        message.consumption_term_offset,
        publication.log.position_bits_to_shift,
        publication.log.initial_term_id,
    ) - load_relaxed_i64(publication.sender_position)
    half: int64_t = publication.log.term_length >> 1
    return -half <= distance <= half


@cfunc
@nogil
@exceptval(check=False)
def on_status_message(
    endpoint: pointer[SendChannelEndpoint],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    message: pointer[cython.const[StatusMessageFrame]] = cast(
        pointer[cython.const[StatusMessageFrame]], frame
    )
    publication: pointer[NetworkPublication] = find(endpoint, message.stream_id, message.session_id)
    term_length: int32_t = TERM_MAX_LENGTH
    if publication != cython.NULL:
        term_length = publication.log.term_length
    if (
        not is_term_offset(message.consumption_term_offset, term_length)
        or message.receiver_window_length < 0
        or message.receiver_window_length > term_length >> 1
    ):
        count_invalid(endpoint)
        return
    counter_add(endpoint.shared.system[SYSTEM_STATUS_MESSAGES_RECEIVED], 1)
    if (
        publication != cython.NULL
        and not message.flags & SM_FLAG_SEND_SETUP
        and not is_near_sender(publication, message)
    ):
        counter_add(endpoint.shared.system[SYSTEM_STATUS_MESSAGES_REJECTED], 1)
        return
    if endpoint.destinations.mode != DESTINATIONS_NONE:
        # Also for streams that are not here: so a receiver asks for the first SETUP.
        send_destinations_heard(address(endpoint.destinations), message.receiver_id, source, now_ns)
    if publication == cython.NULL:
        return
    publication_on_status_message(publication, frame, length, source, now_ns)
    endpoint.time_of_last_status_message_ns = now_ns


@cfunc
@nogil
@exceptval(check=False)
def on_nak(
    endpoint: pointer[SendChannelEndpoint],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    now_ns: int64_t,
) -> cython.void:
    nak: pointer[cython.const[NakFrame]] = cast(pointer[cython.const[NakFrame]], frame)
    publication: pointer[NetworkPublication] = find(endpoint, nak.stream_id, nak.session_id)
    if publication == cython.NULL:
        return
    if (
        not is_term_offset(nak.term_offset, publication.log.term_length)
        or nak.length < 0
        or nak.length > publication.log.term_length - nak.term_offset
    ):
        count_invalid(endpoint)
        return
    counter_add(endpoint.shared.system[SYSTEM_NAK_MESSAGES_RECEIVED], 1)
    publication_on_nak(publication, frame, length, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def on_error_frame(
    endpoint: pointer[SendChannelEndpoint],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    error: pointer[cython.const[ErrorFrame]] = cast(pointer[cython.const[ErrorFrame]], frame)
    publication: pointer[NetworkPublication]
    if (
        error.error_length < 0
        or error.error_length > MAX_ERROR_TEXT_LENGTH
        or error.error_length > error.frame_length - ERR_HEADER_LENGTH
    ):
        count_invalid(endpoint)
        return
    counter_add(endpoint.shared.system[SYSTEM_ERROR_FRAMES_RECEIVED], 1)
    publication = find(endpoint, error.stream_id, error.session_id)
    if publication != cython.NULL:
        publication_on_error_frame(
            publication,
            frame,
            length,
            source,
            send_destinations_find(address(endpoint.destinations), error.receiver_id, source),
            now_ns,
        )


@cfunc
@nogil
@exceptval(check=False)
def on_rttm(
    endpoint: pointer[SendChannelEndpoint],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
) -> cython.void:
    rttm: pointer[cython.const[RttmFrame]] = cast(pointer[cython.const[RttmFrame]], frame)
    publication: pointer[NetworkPublication] = find(endpoint, rttm.stream_id, rttm.session_id)
    if publication != cython.NULL:
        publication_on_rttm(publication, frame, length, source)


@cfunc
@nogil
@exceptval(check=False)
def on_response_setup(
    endpoint: pointer[SendChannelEndpoint], frame: pointer[cython.const[uint8_t]]
) -> cython.void:
    setup: pointer[cython.const[ResponseSetupFrame]] = cast(
        pointer[cython.const[ResponseSetupFrame]], frame
    )
    publication: pointer[NetworkPublication] = find(endpoint, setup.stream_id, setup.session_id)
    if publication != cython.NULL:
        publication_on_response_setup(publication, setup.response_session_id)


@cfunc
@nogil
@exceptval(check=False)
def on_frame(
    endpoint: pointer[SendChannelEndpoint],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    frame_type: int32_t
    if not is_frame_valid(frame, length):
        count_invalid(endpoint)
        return
    frame_type = cast(pointer[cython.const[FrameHeader]], frame).type
    if frame_type == FRAME_TYPE_SM:
        on_status_message(endpoint, frame, length, source, now_ns)
    elif frame_type == FRAME_TYPE_NAK:
        on_nak(endpoint, frame, length, now_ns)
    elif frame_type == FRAME_TYPE_ERR:
        on_error_frame(endpoint, frame, length, source, now_ns)
    elif frame_type == FRAME_TYPE_RTTM:
        on_rttm(endpoint, frame, length, source)
    elif frame_type == FRAME_TYPE_RSP_SETUP:
        on_response_setup(endpoint, frame)
    # Data, SETUP and the others are well formed and not for a sender.


@cfunc
@nogil
@exceptval(check=False)
def send_endpoint_on_datagram(
    endpoint: pointer[SendChannelEndpoint],
    datagram: pointer[cython.const[RxDatagram]],
    now_ns: int64_t,
) -> cython.void:
    offset: int32_t = 0
    length: int32_t = datagram.segment_length
    if length <= 0 or length > datagram.length:
        length = datagram.length
    while True:
        if length > datagram.length - offset:
            length = datagram.length - offset
        on_frame(endpoint, datagram.data + offset, length, address(datagram.source), now_ns)
        offset += length
        if offset >= datagram.length:
            break
