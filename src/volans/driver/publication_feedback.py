# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What receivers tell a network publication: status messages, NAKs, RTT questions, rejections."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.driver.layout import (
    TO_CONTROL_PUBLICATION_ERROR,
    NetworkPublication,
    PublicationErrorReport,
)
from cython.cimports.volans.driver.publication_status import (
    publication_has_subscribers,
    publication_set_connected,
)
from cython.cimports.volans.driver.receiver_liveness import (
    receiver_heard,
    receiver_left,
    receivers_publish,
)
from cython.cimports.volans.driver.response_layout import (
    TO_CONTROL_RESPONSE_CONNECTED,
    TO_CONTROL_RESPONSE_SETUP,
    ResponseSetupReport,
)
from cython.cimports.volans.driver.retransmit import retransmit_on_nak
from cython.cimports.volans.driver.send_run import (
    send_copy,
)
from cython.cimports.volans.driver.shared import to_control
from cython.cimports.volans.memory.atomic import (
    counter_add,
    load_acquire_i32,
    load_relaxed_i32,
    load_relaxed_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    ERR_FLAG_HAS_GROUP_TAG,
    ERR_HEADER_LENGTH,
    FRAME_TYPE_RTTM,
    FRAME_VERSION,
    RTTM_FLAG_REPLY,
    RTTM_LENGTH,
    SM_FLAG_EOS,
    SM_FLAG_SEND_SETUP,
    ErrorFrame,
    NakFrame,
    RttmFrame,
    StatusMessageFrame,
)
from cython.cimports.volans.transport.contract import Address

cython.declare(SETUP_INTERVAL_NS=int64_t)
SETUP_INTERVAL_NS = 100_000_000


@cfunc
@nogil
@exceptval(check=False)
def elicit_setup(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    source: pointer[cython.const[Address]],
) -> cython.void:
    if load_acquire_i32(address(publication.is_end_of_stream)) != 0:
        return
    publication.is_setup_elicited = True
    if publication.flow_control.ops.on_setup_request != cython.NULL:
        publication.flow_control.ops.on_setup_request(publication, frame)
    if publication.is_response:
        if publication.response_address.length == 0:
            # The SETUPs so far went nowhere: the first one is not to wait for its interval.
            publication.time_of_last_setup_ns -= SETUP_INTERVAL_NS + 1
        publication.response_address = source[0]


@cfunc
@nogil
@exceptval(check=False)
def report_response(
    publication: pointer[NetworkPublication], msg_type_id: int32_t, session_id: int32_t
) -> cython.void:
    report: ResponseSetupReport
    memset(address(report), 0, sizeof(ResponseSetupReport))
    report.response_correlation_id = publication.response_correlation_id
    report.response_session_id = session_id
    to_control(publication.shared, msg_type_id, address(report), sizeof(ResponseSetupReport))


@cfunc
@nogil
@exceptval(check=False)
def publication_on_response_setup(
    publication: pointer[NetworkPublication], response_session_id: int32_t
) -> cython.void:
    if publication.is_response or publication.response_correlation_id < 0:
        return
    report_response(publication, TO_CONTROL_RESPONSE_SETUP, response_session_id)


@cfunc
@nogil
@exceptval(check=False)
def publication_on_status_message(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    message: pointer[cython.const[StatusMessageFrame]] = cast(
        pointer[cython.const[StatusMessageFrame]], frame
    )
    had_receivers: bint
    if message.flags & SM_FLAG_SEND_SETUP:
        elicit_setup(publication, frame, source)
        return
    publication.status_message_deadline_ns = now_ns + publication.connection_timeout_ns
    if message.flags & SM_FLAG_EOS:
        receiver_left(publication, message.receiver_id)
        if publication.endpoint.is_unicast:
            store_release_i32(address(publication.has_received_unicast_eos), 1)
    else:
        receiver_heard(publication, message.receiver_id, now_ns)
        # Whoever left before, somebody listens now and may still need retransmits.
        if load_relaxed_i32(address(publication.has_received_unicast_eos)) != 0:
            store_release_i32(address(publication.has_received_unicast_eos), 0)
    had_receivers = load_relaxed_i32(address(publication.has_receivers)) != 0
    receivers_publish(publication)
    if (
        publication.is_response
        and not had_receivers
        and load_relaxed_i32(address(publication.has_receivers)) != 0
    ):
        report_response(publication, TO_CONTROL_RESPONSE_CONNECTED, publication.session_id)
    publication.has_initial_connection = True
    store_release_i64(
        publication.sender_limit,
        publication.flow_control.ops.on_status_message(
            publication, frame, length, source, load_relaxed_i64(publication.sender_limit), now_ns
        ),
    )
    publication_set_connected(publication, publication_has_subscribers(publication))


@cfunc
@nogil
@exceptval(check=False)
def publication_on_nak(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    now_ns: int64_t,
) -> cython.void:
    nak: pointer[cython.const[NakFrame]] = cast(pointer[cython.const[NakFrame]], frame)
    counter_add(publication.naks_received, 1)
    retransmit_on_nak(publication, nak.term_id, nak.term_offset, nak.length, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def publication_on_rttm(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
) -> cython.void:
    question: pointer[cython.const[RttmFrame]] = cast(pointer[cython.const[RttmFrame]], frame)
    answer: RttmFrame
    if not question.flags & RTTM_FLAG_REPLY:
        return
    answer.frame_length = RTTM_LENGTH
    answer.version = FRAME_VERSION
    answer.flags = 0
    answer.type = FRAME_TYPE_RTTM
    answer.session_id = publication.session_id
    answer.stream_id = publication.stream_id
    answer.echo_timestamp_ns = question.echo_timestamp_ns
    answer.reception_delta_ns = 0
    answer.receiver_id = question.receiver_id
    # The way of the data, not back to the source: that is the way whose time is asked for.
    send_copy(publication, cast(pointer[uint8_t], address(answer)), RTTM_LENGTH)


@cfunc
@nogil
@exceptval(check=False)
def publication_on_error_frame(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    destination_registration_id: int64_t,
    now_ns: int64_t,
) -> cython.void:
    error: pointer[cython.const[ErrorFrame]] = cast(pointer[cython.const[ErrorFrame]], frame)
    report: PublicationErrorReport
    if publication.flow_control.ops.on_error != cython.NULL:
        publication.flow_control.ops.on_error(publication, error.receiver_id)
    if not receiver_left(publication, error.receiver_id):
        return
    memset(address(report), 0, sizeof(PublicationErrorReport))
    report.registration_id = publication.registration_id
    report.destination_registration_id = destination_registration_id
    report.session_id = error.session_id
    report.stream_id = error.stream_id
    report.receiver_id = error.receiver_id
    report.group_tag = error.group_tag if error.flags & ERR_FLAG_HAS_GROUP_TAG else -1
    report.error_code = error.error_code
    report.error_length = error.error_length
    report.source = source[0]
    memcpy(report.text, frame + ERR_HEADER_LENGTH, error.error_length)
    to_control(
        publication.shared,
        TO_CONTROL_PUBLICATION_ERROR,
        address(report),
        sizeof(PublicationErrorReport),
    )
