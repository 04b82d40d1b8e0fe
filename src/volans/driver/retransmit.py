# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Sending again what a receiver asks for.

Each request takes a slot: it waits out the delay, is sent, and lingers, so that the same loss
reported by others (or by a NAK that crossed the data) is answered once. A unicast stream has one
slot, which the next loss takes over.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.driver.event_sink import tell_resend
from cython.cimports.volans.driver.layout import (
    MAX_RETRANSMITS,
    RETRANSMIT_DELAYED,
    RETRANSMIT_INACTIVE,
    RETRANSMIT_LINGERING,
    SYSTEM_RETRANSMIT_OVERFLOW,
    SYSTEM_RETRANSMITS_SENT,
    SYSTEM_RETRANSMITTED_BYTES,
    SYSTEM_SHORT_SENDS,
    NetworkPublication,
    RetransmitAction,
    RetransmitHandler,
)
from cython.cimports.volans.driver.send_layout import SendRun
from cython.cimports.volans.driver.send_run import (
    send_run_add,
    send_run_begin,
    send_run_end,
    send_run_skip,
)
from cython.cimports.volans.log.layout import MAX_MESSAGE_LENGTH
from cython.cimports.volans.log.position import compute_position, index_by_position
from cython.cimports.volans.log.scan import scan_for_availability
from cython.cimports.volans.memory.atomic import counter_add, fetch_add_i64, load_relaxed_i64


@cfunc
@nogil
@exceptval(check=False)
def retransmit_init(
    handler: pointer[RetransmitHandler], max_resend: int32_t, has_group_semantics: bint
) -> int32_t:
    slots: int32_t = 1
    if has_group_semantics:
        slots = max_resend
        if slots < 1:
            slots = 1
        if slots > MAX_RETRANSMITS:
            slots = MAX_RETRANSMITS
    handler.actions = cast(pointer[RetransmitAction], calloc(slots, sizeof(RetransmitAction)))
    handler.max_resend = slots
    handler.active_count = 0
    handler.has_group_semantics = has_group_semantics
    return 0 if handler.actions != cython.NULL else -1


@cfunc
@nogil
@exceptval(check=False)
def retransmit_close(handler: pointer[RetransmitHandler]) -> cython.void:
    free(handler.actions)
    handler.actions = cython.NULL
    handler.max_resend = 0
    handler.active_count = 0


@cfunc
@nogil
@exceptval(check=False)
def resend(
    publication: pointer[NetworkPublication],
    term_id: int32_t,
    term_offset: int32_t,
    length: int32_t,
) -> cython.void:
    run: SendRun
    padding: int32_t = 0
    available: int32_t
    limit: int32_t
    offset: int32_t = term_offset
    end: int32_t
    max_message_length: int64_t
    term: pointer[uint8_t]
    term_length: int32_t = publication.log.term_length
    position: int64_t = compute_position(
        term_id,
        term_offset,
        publication.log.position_bits_to_shift,
        publication.log.initial_term_id,
    )
    sender_position: int64_t = load_relaxed_i64(publication.sender_position)
    max_message_length = term_length >> 3
    if max_message_length > MAX_MESSAGE_LENGTH:
        max_message_length = MAX_MESSAGE_LENGTH
    # Behind that lies what the conductor may be zeroing.
    if (
        position < 0
        or position >= sender_position
        or position < sender_position - (term_length >> 1) - max_message_length
    ):
        return
    term = publication.log.terms[
        index_by_position(position, publication.log.position_bits_to_shift)
    ]
    end = term_offset + length if length < term_length - term_offset else term_length
    send_run_begin(address(run), publication)
    while offset < end:
        limit = end - offset
        if limit > publication.mtu_length:
            limit = publication.mtu_length
        available = scan_for_availability(term, offset, limit, address(padding))
        if available <= 0 or not send_run_add(address(run), term + offset, available):
            break
        if padding > 0 and not send_run_skip(address(run), padding):
            break
        offset += available + padding
    send_run_end(address(run))
    if run.result == 1:
        fetch_add_i64(publication.shared.system[SYSTEM_SHORT_SENDS], 1)
    if run.bytes_accepted > 0:
        counter_add(publication.shared.system[SYSTEM_RETRANSMITS_SENT], 1)
        counter_add(publication.shared.system[SYSTEM_RETRANSMITTED_BYTES], run.position_gain)


@cfunc
@nogil
@exceptval(check=False)
def covers(action: pointer[RetransmitAction], term_id: int32_t, term_offset: int32_t) -> bint:
    return (
        action.term_id == term_id
        and action.term_offset <= term_offset < action.term_offset + action.length
    )


@cfunc
@nogil
@exceptval(check=False)
def slot_for(
    publication: pointer[NetworkPublication], term_id: int32_t, term_offset: int32_t
) -> pointer[RetransmitAction]:
    """Where to note the request; NULL when it is being answered already, or no slot is free."""
    handler: pointer[RetransmitHandler] = address(publication.retransmit)
    free_slot: pointer[RetransmitAction] = cython.NULL
    action: pointer[RetransmitAction]
    i: int32_t
    for i in range(handler.max_resend):
        action = address(handler.actions[i])
        if action.state == RETRANSMIT_INACTIVE:
            if free_slot == cython.NULL:
                free_slot = action
        elif covers(action, term_id, term_offset):
            return cython.NULL
    if free_slot != cython.NULL:
        handler.active_count += 1
        return free_slot
    if not handler.has_group_semantics:
        return handler.actions
    counter_add(publication.shared.system[SYSTEM_RETRANSMIT_OVERFLOW], 1)
    return cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def send_and_linger(
    publication: pointer[NetworkPublication], action: pointer[RetransmitAction], now_ns: int64_t
) -> cython.void:
    resend(publication, action.term_id, action.term_offset, action.length)
    if publication.shared.event_sink != cython.NULL:
        tell_resend(publication, action.term_id, action.term_offset, action.length, now_ns)
    action.state = RETRANSMIT_LINGERING
    action.expiry_ns = now_ns + publication.shared.retransmit_linger_ns


@cfunc
@nogil
@exceptval(check=False)
def retransmit_on_nak(
    publication: pointer[NetworkPublication],
    term_id: int32_t,
    term_offset: int32_t,
    length: int32_t,
    now_ns: int64_t,
) -> cython.void:
    action: pointer[RetransmitAction]
    if length <= 0:
        return
    action = slot_for(publication, term_id, term_offset)
    if action == cython.NULL:
        return
    action.term_id = term_id
    action.term_offset = term_offset
    action.length = publication.flow_control.ops.max_retransmit_length(
        publication, term_offset, length
    )
    if publication.shared.retransmit_delay_ns == 0:
        send_and_linger(publication, action, now_ns)
    else:
        action.state = RETRANSMIT_DELAYED
        action.expiry_ns = now_ns + publication.shared.retransmit_delay_ns


@cfunc
@nogil
@exceptval(check=False)
def retransmit_on_timeouts(
    publication: pointer[NetworkPublication], now_ns: int64_t
) -> cython.void:
    handler: pointer[RetransmitHandler] = address(publication.retransmit)
    action: pointer[RetransmitAction]
    i: int32_t
    if handler.active_count == 0:
        return
    for i in range(handler.max_resend):
        action = address(handler.actions[i])
        if action.state == RETRANSMIT_INACTIVE or now_ns <= action.expiry_ns:
            continue
        if action.state == RETRANSMIT_DELAYED:
            send_and_linger(publication, action, now_ns)
        else:
            action.state = RETRANSMIT_INACTIVE
            handler.active_count -= 1
