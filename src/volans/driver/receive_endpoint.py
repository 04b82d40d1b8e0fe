# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Control frames of a receive destination (PROTOCOL.md sections 10.3 to 10.6). Receiver only."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy, memset, strlen
from cython.cimports.volans.driver.layout import (
    SYSTEM_ERROR_FRAMES_SENT,
    SYSTEM_SHORT_SENDS,
    ReceiveDestination,
)
from cython.cimports.volans.memory.atomic import counter_add, fetch_add_i64
from cython.cimports.volans.protocol.layout import (
    ERR_FLAG_HAS_GROUP_TAG,
    ERR_HEADER_LENGTH,
    FRAME_TYPE_ERR,
    FRAME_TYPE_NAK,
    FRAME_TYPE_RSP_SETUP,
    FRAME_TYPE_RTTM,
    FRAME_TYPE_SM,
    MAX_ERROR_TEXT_LENGTH,
    NAK_LENGTH,
    RSP_SETUP_LENGTH,
    RTTM_LENGTH,
    SM_FLAG_SEND_SETUP,
    SM_LENGTH,
    SM_WITH_GROUP_TAG_LENGTH,
    ErrorFrame,
    NakFrame,
    ResponseSetupFrame,
    RttmFrame,
    StatusMessageFrame,
)
from cython.cimports.volans.transport.contract import Address, Engine


@cfunc
@nogil
@exceptval(check=False)
def send(
    destination: pointer[ReceiveDestination],
    control: pointer[cython.const[Address]],
    frame: pointer[uint8_t],
    length: int32_t,
) -> int32_t:
    engine: pointer[Engine] = destination.channel.engine
    result: int32_t = engine.ops.tx_copy(
        engine, address(destination.endpoint), control, frame, length
    )
    if result == 0:
        # The queue is full: hand over what it holds, then there is room.
        engine.ops.tx_flush(engine)
        result = engine.ops.tx_copy(engine, address(destination.endpoint), control, frame, length)
    if result != 1:
        fetch_add_i64(destination.channel.shared.system[SYSTEM_SHORT_SENDS], 1)
        return 0
    return 1


@cfunc
@nogil
@exceptval(check=False)
def send_status_message(
    destination: pointer[ReceiveDestination],
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
    frame.frame_length = SM_LENGTH
    if destination.channel.has_group_tag:
        frame.frame_length = SM_WITH_GROUP_TAG_LENGTH
    frame.flags = flags
    frame.type = FRAME_TYPE_SM
    frame.session_id = session_id
    frame.stream_id = stream_id
    frame.consumption_term_id = term_id
    frame.consumption_term_offset = term_offset
    frame.receiver_window_length = receiver_window_length
    frame.receiver_id = destination.channel.receiver_id
    frame.group_tag = destination.channel.group_tag
    return send(destination, control, cast(pointer[uint8_t], address(frame)), frame.frame_length)


@cfunc
@nogil
@exceptval(check=False)
def send_setup_request(
    destination: pointer[ReceiveDestination],
    control: pointer[cython.const[Address]],
    stream_id: int32_t,
    session_id: int32_t,
) -> int32_t:
    return send_status_message(
        destination, control, stream_id, session_id, 0, 0, 0, SM_FLAG_SEND_SETUP
    )


@cfunc
@nogil
@exceptval(check=False)
def send_nak(
    destination: pointer[ReceiveDestination],
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
    return send(destination, control, cast(pointer[uint8_t], address(frame)), NAK_LENGTH)


@cfunc
@nogil
@exceptval(check=False)
def send_response_setup(
    destination: pointer[ReceiveDestination],
    control: pointer[cython.const[Address]],
    stream_id: int32_t,
    session_id: int32_t,
    response_session_id: int32_t,
) -> int32_t:
    frame: ResponseSetupFrame
    memset(address(frame), 0, sizeof(ResponseSetupFrame))
    frame.frame_length = RSP_SETUP_LENGTH
    frame.type = FRAME_TYPE_RSP_SETUP
    frame.session_id = session_id
    frame.stream_id = stream_id
    frame.response_session_id = response_session_id
    return send(destination, control, cast(pointer[uint8_t], address(frame)), RSP_SETUP_LENGTH)


@cfunc
@nogil
@exceptval(check=False)
def send_rttm(
    destination: pointer[ReceiveDestination],
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
    frame.receiver_id = destination.channel.receiver_id
    return send(destination, control, cast(pointer[uint8_t], address(frame)), RTTM_LENGTH)


@cfunc
@nogil
@exceptval(check=False)
def send_error(
    destination: pointer[ReceiveDestination],
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
    frame.flags = ERR_FLAG_HAS_GROUP_TAG if destination.channel.has_group_tag else 0
    frame.type = FRAME_TYPE_ERR
    frame.session_id = session_id
    frame.stream_id = stream_id
    frame.receiver_id = destination.channel.receiver_id
    frame.group_tag = destination.channel.group_tag
    frame.error_code = error_code
    frame.error_length = text_length
    memcpy(cast(pointer[uint8_t], buffer) + ERR_HEADER_LENGTH, text, text_length)
    if send(destination, control, buffer, frame.frame_length) == 0:
        return 0
    counter_add(destination.channel.shared.system[SYSTEM_ERROR_FRAMES_SENT], 1)
    return 1


@cfunc
@nogil
@exceptval(check=False)
def answer_address(
    destination: pointer[ReceiveDestination], source: pointer[cython.const[Address]]
) -> pointer[cython.const[Address]]:
    if destination.is_multicast:
        return address(destination.control)
    return source
