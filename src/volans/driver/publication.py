# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A network publication, sender's side.

SETUP until someone listens, then data out of the term, else heartbeats.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.layout import (
    SYSTEM_HEARTBEATS_SENT,
    SYSTEM_SENDER_FLOW_CONTROL_LIMITS,
    SYSTEM_SHORT_SENDS,
    NetworkPublication,
)
from cython.cimports.volans.driver.receiver_liveness import (
    receivers_expire,
    receivers_publish,
)
from cython.cimports.volans.driver.retransmit import retransmit_on_timeouts
from cython.cimports.volans.driver.send_layout import SendRun
from cython.cimports.volans.driver.send_run import (
    send_copy,
    send_run_add,
    send_run_begin,
    send_run_end,
    send_run_skip,
)
from cython.cimports.volans.log.position import compute_term_id, index_by_position
from cython.cimports.volans.log.scan import scan_for_availability
from cython.cimports.volans.memory.atomic import (
    counter_add,
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    load_acquire_u8,
    load_relaxed_i64,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_EOS,
    DATA_FLAG_REVOKED,
    DATA_FLAGS_UNFRAGMENTED,
    FRAME_TYPE_DATA,
    FRAME_TYPE_SETUP,
    FRAME_VERSION,
    SETUP_FLAG_GROUP,
    SETUP_FLAG_SEND_RESPONSE_SETUP,
    SETUP_LENGTH,
    DataHeader,
    SetupFrame,
)

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
    publication.time_of_last_setup_ns = now_ns
    if publication.flow_control.ops.on_setup != cython.NULL:
        publication.flow_control.ops.on_setup(
            publication, now_ns, load_relaxed_i64(publication.sender_limit)
        )
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
