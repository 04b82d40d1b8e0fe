# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Status messages, NAKs and round-trip measurements of an image. Receiver only.

What to say comes from the conductor through two sequence locks of the image: `end_..._change` is
read first (acquire), then the fields, then `begin_..._change`. When the two differ the conductor
was writing, and the next duty cycle tries again. PROTOCOL.md section 10.11.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.image_connections import (
    image_connection_control,
    image_connection_is_alive,
    image_connections_publish_count,
)
from cython.cimports.volans.driver.layout import (
    SYSTEM_LOSS_GAP_FILLS,
    SYSTEM_NAK_MESSAGES_SENT,
    SYSTEM_STATUS_MESSAGES_SENT,
    PublicationImage,
)
from cython.cimports.volans.driver.receive_endpoint import (
    send_error,
    send_nak,
    send_response_setup,
    send_rttm,
    send_status_message,
)
from cython.cimports.volans.log.position import compute_term_id, index_by_term_count
from cython.cimports.volans.log.rebuild import term_gap_fill
from cython.cimports.volans.memory.atomic import (
    counter_add,
    fence_acquire,
    load_acquire_i32,
    load_acquire_i64,
    load_acquire_u8,
    store_release_i32,
)
from cython.cimports.volans.protocol.layout import RTTM_FLAG_REPLY, SM_FLAG_EOS


@cfunc
@nogil
@exceptval(check=False)
def send_rejection(image: pointer[PublicationImage], reason: cython.p_const_char) -> int32_t:
    i: int32_t
    work: int32_t = 0
    for i in range(image.connection_count):
        if image_connection_control(address(image.connections[i])) != cython.NULL:
            work += send_error(
                image.connections[i].destination,
                image_connection_control(address(image.connections[i])),
                image.stream_id,
                image.session_id,
                13,  # ErrorCode.IMAGE_REJECTED
                reason,
            )
    return work


@cfunc
@nogil
@exceptval(check=False)
def announce_response(
    image: pointer[PublicationImage], response_session: int64_t, now_ns: int64_t
) -> int32_t:
    i: int32_t
    work: int32_t = 0
    for i in range(image.connection_count):
        if image_connection_is_alive(address(image.connections[i]), now_ns):
            work += send_response_setup(
                image.connections[i].destination,
                image_connection_control(address(image.connections[i])),
                image.stream_id,
                image.session_id,
                cast(int32_t, response_session),  # the low half
            )
    return work


@cfunc
@nogil
@exceptval(check=False)
def send_pending_status_message(image: pointer[PublicationImage], now_ns: int64_t) -> int32_t:
    work: int32_t = 0
    i: int32_t
    flags: uint8_t = 0
    change_number: int64_t = load_acquire_i64(address(image.end_sm_change))
    # The conductor sets it (release) to have its news sent at once.
    if load_acquire_i32(address(image.is_sm_deadline_reset_requested)) != 0:
        store_release_i32(address(image.is_sm_deadline_reset_requested), 0)
        image.next_sm_deadline_ns = now_ns - 1
    is_due: bint = image.is_sm_enabled != 0 and now_ns > image.next_sm_deadline_ns
    # Written once with release by the control plane.
    reason: int64_t = load_acquire_i64(cast(pointer[int64_t], address(image.rejection_reason)))
    if reason != 0:
        if is_due:
            work = send_rejection(image, cast(cython.p_const_char, reason))
            image.next_sm_deadline_ns = now_ns + image.status_message_timeout_ns
        return work
    if change_number == image.last_sm_change_number and not is_due:
        return 0
    # The control plane writes it with release, and 0 again once the response is received.
    response_session: int64_t = load_acquire_i64(address(image.response_session))
    if is_due and response_session != 0:
        work = announce_response(image, response_session, now_ns)
    position: int64_t = image.next_sm_position
    window_length: int32_t = image.next_sm_receiver_window_length
    fence_acquire()
    if load_acquire_i64(address(image.begin_sm_change)) != change_number:
        return 0
    if load_acquire_i32(address(image.is_sending_eos_sm)) != 0:
        flags = SM_FLAG_EOS
    for i in range(image.connection_count):
        if image_connection_is_alive(address(image.connections[i]), now_ns) and send_status_message(
            image.connections[i].destination,
            image_connection_control(address(image.connections[i])),
            image.stream_id,
            image.session_id,
            compute_term_id(position, image.log.position_bits_to_shift, image.log.initial_term_id),
            cast(int32_t, position & image.log.term_length_mask),
            window_length,
            flags,
        ):
            counter_add(image.shared.system[SYSTEM_STATUS_MESSAGES_SENT], 1)
            work += 1
    image.last_sm_position = position
    image.last_overrun_threshold = position + image.log.term_length // 2
    image.last_sm_change_number = change_number
    image.next_sm_deadline_ns = now_ns + image.status_message_timeout_ns
    image_connections_publish_count(image, now_ns)
    return work


@cfunc
@nogil
@exceptval(check=False)
def send_pending_loss(image: pointer[PublicationImage], now_ns: int64_t) -> int32_t:
    work: int32_t = 0
    i: int32_t
    change_number: int64_t = load_acquire_i64(address(image.end_loss_change))
    if change_number == image.last_loss_change_number:
        return 0
    term_id: int32_t = image.loss_term_id
    term_offset: int32_t = image.loss_term_offset
    length: int32_t = image.loss_length
    fence_acquire()
    if load_acquire_i64(address(image.begin_loss_change)) != change_number:
        return 0
    image.last_loss_change_number = change_number
    if load_acquire_u8(address(image.log.metadata.is_publication_revoked)) != 0:
        return 0
    if not image.is_reliable:
        if term_gap_fill(
            address(image.log),
            image.log.terms[index_by_term_count(term_id - image.log.initial_term_id)],
            term_id,
            term_offset,
            length,
        ):
            counter_add(image.shared.system[SYSTEM_LOSS_GAP_FILLS], 1)
        return 1
    for i in range(image.connection_count):
        if image_connection_is_alive(address(image.connections[i]), now_ns) and send_nak(
            image.connections[i].destination,
            image_connection_control(address(image.connections[i])),
            image.stream_id,
            image.session_id,
            term_id,
            term_offset,
            length,
        ):
            counter_add(image.shared.system[SYSTEM_NAK_MESSAGES_SENT], 1)
            counter_add(image.naks_sent, 1)
            work += 1
    return work


@cfunc
@nogil
@exceptval(check=False)
def send_pending_rttm(image: pointer[PublicationImage], now_ns: int64_t) -> int32_t:
    work: int32_t = 0
    i: int32_t
    if image.congestion_control.ops.should_measure_rtt(image, now_ns) == 0:
        return 0
    for i in range(image.connection_count):
        if image_connection_is_alive(address(image.connections[i]), now_ns) and send_rttm(
            image.connections[i].destination,
            image_connection_control(address(image.connections[i])),
            image.stream_id,
            image.session_id,
            now_ns,
            0,
            RTTM_FLAG_REPLY,
        ):
            image.congestion_control.ops.on_rttm_sent(image, now_ns)
            work += 1
    return work
