# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Control frames of a receive endpoint (PROTOCOL.md sections 10.3 to 10.6). Receiver only."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy, memset, strlen
from cython.cimports.volans.driver.layout import (
    SYSTEM_ERROR_FRAMES_SENT,
    SYSTEM_SHORT_SENDS,
    ReceiveChannelEndpoint,
)
from cython.cimports.volans.memory.atomic import counter_add, fetch_add_i64
from cython.cimports.volans.protocol.layout import (
    ERR_FLAG_HAS_GROUP_TAG,
    ERR_HEADER_LENGTH,
    FRAME_TYPE_ERR,
    FRAME_TYPE_NAK,
    FRAME_TYPE_RTTM,
    FRAME_TYPE_SM,
    MAX_ERROR_TEXT_LENGTH,
    NAK_LENGTH,
    RTTM_LENGTH,
    SM_FLAG_SEND_SETUP,
    SM_LENGTH,
    SM_WITH_GROUP_TAG_LENGTH,
    ErrorFrame,
    NakFrame,
    RttmFrame,
    StatusMessageFrame,
)
from cython.cimports.volans.transport.contract import Address


@cfunc
@nogil
@exceptval(check=False)
def send(
    endpoint: pointer[ReceiveChannelEndpoint],
    control: pointer[cython.const[Address]],
    frame: pointer[uint8_t],
    length: int32_t,
) -> int32_t:
    result: int32_t = endpoint.engine.ops.tx_copy(
        endpoint.engine, address(endpoint.endpoint), control, frame, length
    )
    if result == 0:
        # The queue is full: hand over what it holds, then there is room.
        endpoint.engine.ops.tx_flush(endpoint.engine)
        result = endpoint.engine.ops.tx_copy(
            endpoint.engine, address(endpoint.endpoint), control, frame, length
        )
    if result != 1:
        fetch_add_i64(endpoint.shared.system[SYSTEM_SHORT_SENDS], 1)
        return 0
    return 1


@cfunc
@nogil
@exceptval(check=False)
def send_status_message(
    endpoint: pointer[ReceiveChannelEndpoint],
    control: pointer[cython.const[Address]],
    stream_id: int32_t,
    session_id: int32_t,
    term_id: int32_t,
    term_offset: int32_t,
    receiver_window_length: int32_t,
    flags: uint8_t,
) -> int32_t:
    frame: StatusMessageFrame
    memset(address(frame), 0, sizeof(StatusMessageFrame))
    frame.frame_length = SM_WITH_GROUP_TAG_LENGTH if endpoint.has_group_tag else SM_LENGTH
    frame.flags = flags
    frame.type = FRAME_TYPE_SM
    frame.session_id = session_id
    frame.stream_id = stream_id
    frame.consumption_term_id = term_id
    frame.consumption_term_offset = term_offset
    frame.receiver_window_length = receiver_window_length
    frame.receiver_id = endpoint.receiver_id
    frame.group_tag = endpoint.group_tag
    return send(endpoint, control, cast(pointer[uint8_t], address(frame)), frame.frame_length)


@cfunc
@nogil
@exceptval(check=False)
def send_setup_request(
    endpoint: pointer[ReceiveChannelEndpoint],
    control: pointer[cython.const[Address]],
    stream_id: int32_t,
    session_id: int32_t,
) -> int32_t:
    return send_status_message(
        endpoint, control, stream_id, session_id, 0, 0, 0, SM_FLAG_SEND_SETUP
    )


@cfunc
@nogil
@exceptval(check=False)
def send_nak(
    endpoint: pointer[ReceiveChannelEndpoint],
    control: pointer[cython.const[Address]],
    stream_id: int32_t,
    session_id: int32_t,
    term_id: int32_t,
    term_offset: int32_t,
    length: int32_t,
) -> int32_t:
    frame: NakFrame
    memset(address(frame), 0, sizeof(NakFrame))
    frame.frame_length = NAK_LENGTH
    frame.type = FRAME_TYPE_NAK
    frame.session_id = session_id
    frame.stream_id = stream_id
    frame.term_id = term_id
    frame.term_offset = term_offset
    frame.length = length
    return send(endpoint, control, cast(pointer[uint8_t], address(frame)), NAK_LENGTH)


@cfunc
@nogil
@exceptval(check=False)
def send_rttm(
    endpoint: pointer[ReceiveChannelEndpoint],
    control: pointer[cython.const[Address]],
    stream_id: int32_t,
    session_id: int32_t,
    echo_timestamp_ns: int64_t,
    reception_delta_ns: int64_t,
    flags: uint8_t,
) -> int32_t:
    frame: RttmFrame
    memset(address(frame), 0, sizeof(RttmFrame))
    frame.frame_length = RTTM_LENGTH
    frame.flags = flags
    frame.type = FRAME_TYPE_RTTM
    frame.session_id = session_id
    frame.stream_id = stream_id
    frame.echo_timestamp_ns = echo_timestamp_ns
    frame.reception_delta_ns = reception_delta_ns
    frame.receiver_id = endpoint.receiver_id
    return send(endpoint, control, cast(pointer[uint8_t], address(frame)), RTTM_LENGTH)


@cfunc
@nogil
@exceptval(check=False)
def send_error(
    endpoint: pointer[ReceiveChannelEndpoint],
    control: pointer[cython.const[Address]],
    stream_id: int32_t,
    session_id: int32_t,
    error_code: int32_t,
    text: cython.p_const_char,
) -> int32_t:
    buffer: uint8_t[1064]
    frame: pointer[ErrorFrame] = cast(pointer[ErrorFrame], cast(cython.p_void, buffer))
    text_length: int32_t = MAX_ERROR_TEXT_LENGTH
    if strlen(text) < MAX_ERROR_TEXT_LENGTH:
        text_length = cast(int32_t, strlen(text))
    memset(buffer, 0, ERR_HEADER_LENGTH)
    frame.frame_length = ERR_HEADER_LENGTH + text_length
    frame.flags = ERR_FLAG_HAS_GROUP_TAG if endpoint.has_group_tag else 0
    frame.type = FRAME_TYPE_ERR
    frame.session_id = session_id
    frame.stream_id = stream_id
    frame.receiver_id = endpoint.receiver_id
    frame.group_tag = endpoint.group_tag
    frame.error_code = error_code
    frame.error_length = text_length
    memcpy(cast(pointer[uint8_t], buffer) + ERR_HEADER_LENGTH, text, text_length)
    if send(endpoint, control, buffer, frame.frame_length) == 0:
        return 0
    counter_add(endpoint.shared.system[SYSTEM_ERROR_FRAMES_SENT], 1)
    return 1


@cfunc
@nogil
@exceptval(check=False)
def answer_address(
    endpoint: pointer[ReceiveChannelEndpoint], source: pointer[cython.const[Address]]
) -> pointer[cython.const[Address]]:
    if endpoint.is_multicast:
        return address(endpoint.control)
    return source
