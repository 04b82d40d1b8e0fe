# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A network publication, sender's side.

SETUP until someone listens, then data out of the term, else heartbeats.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.driver.layout import (
    SYSTEM_HEARTBEATS_SENT,
    SYSTEM_SENDER_FLOW_CONTROL_LIMITS,
    SYSTEM_SHORT_SENDS,
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
    receivers_expire,
    receivers_publish,
)
from cython.cimports.volans.driver.retransmit import retransmit_on_nak, retransmit_on_timeouts
from cython.cimports.volans.driver.send_layout import SendRun
from cython.cimports.volans.driver.send_run import (
    send_copy,
    send_run_add,
    send_run_begin,
    send_run_end,
    send_run_skip,
)
from cython.cimports.volans.driver.shared import to_control
from cython.cimports.volans.log.position import compute_term_id, index_by_position
from cython.cimports.volans.log.scan import scan_for_availability
from cython.cimports.volans.memory.atomic import (
    counter_add,
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    load_acquire_u8,
    load_relaxed_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_EOS,
    DATA_FLAG_REVOKED,
    DATA_FLAGS_UNFRAGMENTED,
    ERR_FLAG_HAS_GROUP_TAG,
    ERR_HEADER_LENGTH,
    FRAME_TYPE_DATA,
    FRAME_TYPE_RTTM,
    FRAME_TYPE_SETUP,
    FRAME_VERSION,
    RTTM_FLAG_REPLY,
    RTTM_LENGTH,
    SETUP_FLAG_GROUP,
    SETUP_FLAG_SEND_RESPONSE_SETUP,
    SETUP_LENGTH,
    SM_FLAG_EOS,
    SM_FLAG_SEND_SETUP,
    DataHeader,
    ErrorFrame,
    NakFrame,
    RttmFrame,
    SetupFrame,
    StatusMessageFrame,
)
from cython.cimports.volans.transport.contract import Address

cython.declare(SETUP_INTERVAL_NS=int64_t, HEARTBEAT_INTERVAL_NS=int64_t)
SETUP_INTERVAL_NS = 100_000_000
HEARTBEAT_INTERVAL_NS = 100_000_000


@cfunc
@nogil
@exceptval(check=False)
def is_end_of_stream(publication: pointer[NetworkPublication]) -> bint:
    return load_acquire_i32(address(publication.is_end_of_stream)) != 0


@cfunc
@nogil
@exceptval(check=False)
def count_copy(publication: pointer[NetworkPublication], result: int32_t) -> cython.void:
    if result == 0:
        fetch_add_i64(publication.shared.system[SYSTEM_SHORT_SENDS], 1)


@cfunc
@nogil
@exceptval(check=False)
def send_setup_when_due(
    publication: pointer[NetworkPublication],
    term_id: int32_t,
    term_offset: int32_t,
    now_ns: int64_t,
) -> int32_t:
    """0, or -errno."""
    frame: SetupFrame
    result: int32_t
    if now_ns <= publication.time_of_last_setup_ns + SETUP_INTERVAL_NS:
        return 0
    frame.frame_length = SETUP_LENGTH
    frame.version = FRAME_VERSION
    frame.flags = 0
    if publication.response_correlation_id != -1 and not publication.is_response:
        frame.flags |= SETUP_FLAG_SEND_RESPONSE_SETUP
    if publication.retransmit.has_group_semantics:
        frame.flags |= SETUP_FLAG_GROUP
    frame.type = FRAME_TYPE_SETUP
    frame.term_offset = term_offset
    frame.session_id = publication.session_id
    frame.stream_id = publication.stream_id
    frame.initial_term_id = publication.log.initial_term_id
    frame.active_term_id = term_id
    frame.term_length = publication.log.term_length
    frame.mtu_length = publication.mtu_length
    frame.ttl = publication.endpoint.multicast_ttl
    result = send_copy(publication, cast(pointer[uint8_t], address(frame)), SETUP_LENGTH)
    count_copy(publication, result)
    publication.time_of_last_setup_ns = now_ns
    if load_acquire_i32(address(publication.has_receivers)) != 0:
        publication.is_setup_elicited = False
    return result if result < 0 else 0


@cfunc
@nogil
@exceptval(check=False)
def send_heartbeat_when_due(
    publication: pointer[NetworkPublication],
    term_id: int32_t,
    term_offset: int32_t,
    now_ns: int64_t,
) -> int32_t:
    """Bytes queued, or -errno."""
    frame: DataHeader
    result: int32_t
    if (
        not publication.has_initial_connection
        or now_ns <= publication.time_of_last_data_or_heartbeat_ns + HEARTBEAT_INTERVAL_NS
    ):
        return 0
    frame.frame_length = 0
    frame.version = FRAME_VERSION
    frame.flags = DATA_FLAGS_UNFRAGMENTED
    if load_acquire_u8(address(publication.log.metadata.is_publication_revoked)) != 0:
        frame.flags |= DATA_FLAG_EOS | DATA_FLAG_REVOKED
    elif publication.signal_eos and is_end_of_stream(publication):
        frame.flags |= DATA_FLAG_EOS
    frame.type = FRAME_TYPE_DATA
    frame.term_offset = term_offset
    frame.session_id = publication.session_id
    frame.stream_id = publication.stream_id
    frame.term_id = term_id
    frame.reserved_value = 0
    result = send_copy(publication, cast(pointer[uint8_t], address(frame)), sizeof(DataHeader))
    count_copy(publication, result)
    counter_add(publication.shared.system[SYSTEM_HEARTBEATS_SENT], 1)
    publication.time_of_last_data_or_heartbeat_ns = now_ns
    return cast(int32_t, sizeof(DataHeader)) if result == 1 else result


@cfunc
@nogil
@exceptval(check=False)
def note_flow_control_limit(publication: pointer[NetworkPublication]) -> cython.void:
    """Count once for each time the stream is stopped, not for each cycle it stands."""
    if publication.track_sender_limits:
        counter_add(publication.back_pressure_events, 1)
        counter_add(publication.shared.system[SYSTEM_SENDER_FLOW_CONTROL_LIMITS], 1)
        publication.track_sender_limits = False


@cfunc
@nogil
@exceptval(check=False)
def send_data(
    publication: pointer[NetworkPublication],
    sender_position: int64_t,
    term_offset: int32_t,
    now_ns: int64_t,
) -> int64_t:
    """Bytes queued, or -errno."""
    run: SendRun
    padding: int32_t = 0
    available: int32_t = 0
    scan_limit: int64_t
    _i: int32_t
    offset: int32_t = term_offset
    term_length: int32_t = publication.log.term_length
    window: int64_t = load_relaxed_i64(publication.sender_limit) - sender_position
    term: pointer[uint8_t] = publication.log.terms[
        index_by_position(sender_position, publication.log.position_bits_to_shift)
    ]
    if window <= 0:
        note_flow_control_limit(publication)
        return 0
    send_run_begin(address(run), publication)
    for _i in range(publication.max_messages_per_send):
        scan_limit = publication.mtu_length
        if scan_limit > window:
            scan_limit = window
        if scan_limit > term_length - offset:
            scan_limit = term_length - offset
        if scan_limit <= 0:
            break
        available = scan_for_availability(term, offset, cast(int32_t, scan_limit), address(padding))
        if available <= 0:
            break
        if not send_run_add(address(run), term + offset, available):
            break
        if padding > 0 and not send_run_skip(address(run), padding):
            break
        offset += available + padding
        window -= available + padding
    send_run_end(address(run))
    if run.result < 0 and run.bytes_accepted == 0:
        return run.result
    if run.result != 0:
        fetch_add_i64(publication.shared.system[SYSTEM_SHORT_SENDS], 1)
    if run.bytes_accepted > 0:
        publication.time_of_last_data_or_heartbeat_ns = now_ns
        publication.track_sender_limits = True
        store_release_i64(publication.sender_position, sender_position + run.position_gain)
    if available < 0:
        note_flow_control_limit(publication)
    return run.bytes_accepted


@cfunc
@nogil
@exceptval(check=False)
def when_idle(
    publication: pointer[NetworkPublication], sender_position: int64_t, now_ns: int64_t
) -> cython.void:
    """Let spies pull an unconnected stream along, flow control age, and silent receivers go."""
    at_end: bint = is_end_of_stream(publication)
    spy_position: int64_t
    limit: int64_t = load_relaxed_i64(publication.sender_limit)
    position: int64_t = sender_position
    if (
        publication.spies_simulate_connection
        and load_acquire_i32(address(publication.has_spies)) != 0
        and load_acquire_i32(address(publication.has_receivers)) == 0
    ):
        spy_position = load_acquire_i64(address(publication.max_spy_position))
        if spy_position > position:
            position = spy_position
            store_release_i64(publication.sender_position, position)
        limit = position
    store_release_i64(
        publication.sender_limit,
        publication.flow_control.ops.on_idle(publication, now_ns, limit, position, at_end),
    )
    if publication.receiver_liveness.size > 0:
        receivers_expire(publication, now_ns)
    receivers_publish(publication)


@cfunc
@nogil
@exceptval(check=False)
def publication_send(publication: pointer[NetworkPublication], now_ns: int64_t) -> int32_t:
    result: int32_t
    bytes_sent: int64_t
    sender_position: int64_t = load_relaxed_i64(publication.sender_position)
    term_id: int32_t = compute_term_id(
        sender_position,
        publication.log.position_bits_to_shift,
        publication.log.initial_term_id,
    )
    term_offset: int32_t = cast(int32_t, sender_position & publication.log.term_length_mask)
    if not publication.has_initial_connection or publication.is_setup_elicited:
        result = send_setup_when_due(publication, term_id, term_offset, now_ns)
        if result < 0:
            return result
    bytes_sent = send_data(publication, sender_position, term_offset, now_ns)
    if bytes_sent < 0:
        return cast(int32_t, bytes_sent)
    if bytes_sent == 0:
        bytes_sent = send_heartbeat_when_due(publication, term_id, term_offset, now_ns)
        when_idle(publication, sender_position, now_ns)
    retransmit_on_timeouts(publication, now_ns)
    return cast(int32_t, bytes_sent)


@cfunc
@nogil
@exceptval(check=False)
def elicit_setup(
    publication: pointer[NetworkPublication], source: pointer[cython.const[Address]]
) -> cython.void:
    if is_end_of_stream(publication):
        return
    publication.is_setup_elicited = True
    if publication.is_response:
        publication.response_address = source[0]


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
    if message.flags & SM_FLAG_SEND_SETUP:
        elicit_setup(publication, source)
        return
    publication.status_message_deadline_ns = now_ns + publication.connection_timeout_ns
    if message.flags & SM_FLAG_EOS:
        receiver_left(publication, message.receiver_id)
        if publication.endpoint.is_unicast:
            store_release_i32(address(publication.has_received_unicast_eos), 1)
    else:
        receiver_heard(publication, message.receiver_id, now_ns)
    receivers_publish(publication)
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
    count_copy(
        publication,
        send_copy(publication, cast(pointer[uint8_t], address(answer)), RTTM_LENGTH),
    )


@cfunc
@nogil
@exceptval(check=False)
def publication_on_error_frame(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    error: pointer[cython.const[ErrorFrame]] = cast(pointer[cython.const[ErrorFrame]], frame)
    report: PublicationErrorReport
    if not receiver_left(publication, error.receiver_id):
        return
    memset(address(report), 0, sizeof(PublicationErrorReport))
    report.registration_id = publication.registration_id
    report.destination_registration_id = -1
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
