# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Appending many equal messages: the tail moves once for a whole share of them.

Each frame still keeps the commit protocol, so readers follow while the batch is being written.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, void
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.log.append import append, append_exclusive
from cython.cimports.volans.log.frames import write_whole
from cython.cimports.volans.log.layout import (
    APPEND_ADMIN_ACTION,
    BATCH_RESERVATION_LENGTH,
    Appender,
)
from cython.cimports.volans.log.position import (
    align_frame,
    compute_position,
    index_by_term_count,
    pack_tail,
    raw_tail_term_id,
    raw_tail_term_offset,
)
from cython.cimports.volans.log.term_end import refuse, trip, trip_exclusive
from cython.cimports.volans.memory.atomic import (
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import DATA_HEADER_LENGTH


# How many messages of framed_length the limit lets through from position on, at most `count`.
# One reservation is never longer than the greatest message, so that producers sharing a log
# cannot overrun the window further than with single messages.
@cfunc
@nogil
@cython.inline
@exceptval(check=False)
def batch_share(
    appender: pointer[Appender],
    position: int64_t,
    limit: int64_t,
    framed_length: int32_t,
    count: int64_t,
) -> int64_t:
    room: int64_t = limit - position
    share: int64_t
    if room > BATCH_RESERVATION_LENGTH:
        room = BATCH_RESERVATION_LENGTH
    if room > appender.max_message_length:
        room = appender.max_message_length
    # The last one may begin before the limit and end behind it.
    share = (room + framed_length - 1) // framed_length
    return share if share < count else count


@cfunc
@nogil
@exceptval(check=False)
def write_run(
    appender: pointer[Appender],
    term: pointer[uint8_t],
    term_offset: int32_t,
    term_id: int32_t,
    first: pointer[cython.const[uint8_t]],
    stride: int64_t,
    length: int32_t,
    framed_length: int32_t,
    count: int64_t,
) -> void:
    i: int64_t
    for i in range(count):
        write_whole(appender, term, term_offset, term_id, first + i * stride, length, 0)
        term_offset += framed_length


# Messages of one frame each: a whole share is reserved at once. What does not fit the term is
# padded, so a batch that trips still delivers its beginning.
@cfunc
@nogil
@exceptval(check=False)
def append_share(
    appender: pointer[Appender],
    exclusive: cython.bint,
    first: pointer[cython.const[uint8_t]],
    stride: int64_t,
    length: int32_t,
    framed_length: int32_t,
    count: int64_t,
    code: pointer[int64_t],
) -> int64_t:
    limit: int64_t = load_acquire_i64(appender.position_limit)
    term_count: int32_t
    index: int32_t
    tail: pointer[int64_t]
    raw_tail: int64_t
    term_id: int32_t
    term_offset: int32_t
    position: int64_t
    share: int64_t
    fitting: int64_t
    if exclusive:
        index = appender.active_partition_index
        term_id = appender.term_id
        term_offset = appender.term_offset
        position = appender.term_begin_position + term_offset
    else:
        term_count = load_acquire_i32(address(appender.log.metadata.active_term_count))
        index = index_by_term_count(term_count)
        raw_tail = load_acquire_i64(address(appender.log.metadata.term_tail_counters[index]))
        term_id = raw_tail_term_id(raw_tail)
        term_offset = raw_tail_term_offset(raw_tail, appender.log.term_length)
        if term_count != term_id - appender.log.initial_term_id:
            code[0] = APPEND_ADMIN_ACTION
            return 0
        position = compute_position(
            term_id,
            term_offset,
            appender.log.position_bits_to_shift,
            appender.log.initial_term_id,
        )
    if position >= limit:
        code[0] = refuse(appender, position, framed_length)
        return 0
    share = batch_share(appender, position, limit, framed_length, count)
    tail = address(appender.log.metadata.term_tail_counters[index])
    if exclusive:
        store_release_i64(
            tail, pack_tail(term_id, term_offset + cast(int32_t, share) * framed_length)
        )
    else:
        raw_tail = fetch_add_i64(tail, share * framed_length)
        term_id = raw_tail_term_id(raw_tail)
        term_offset = raw_tail_term_offset(raw_tail, appender.log.term_length)
    fitting = (appender.log.term_length - term_offset) // framed_length
    if fitting > share:
        fitting = share
    write_run(
        appender,
        appender.log.terms[index],
        term_offset,
        term_id,
        first,
        stride,
        length,
        framed_length,
        fitting,
    )
    term_offset += cast(int32_t, fitting) * framed_length
    if exclusive:
        appender.term_offset = term_offset
    if fitting < share:
        if exclusive:
            code[0] = trip_exclusive(appender)
        else:
            code[0] = trip(appender, appender.log.terms[index], term_offset, term_id)
    else:
        code[0] = compute_position(
            term_id,
            term_offset,
            appender.log.position_bits_to_shift,
            appender.log.initial_term_id,
        )
    return fitting


@cfunc
@nogil
@exceptval(check=False)
def append_batch(
    appender: pointer[Appender],
    exclusive: cython.bint,
    first: pointer[cython.const[uint8_t]],
    stride: int64_t,
    length: int32_t,
    count: int64_t,
    code: pointer[int64_t],
) -> int64_t:
    accepted: int64_t = 0
    code[0] = 0
    while accepted < count and code[0] >= 0:
        if 0 <= length <= appender.max_payload_length:
            accepted += append_share(
                appender,
                exclusive,
                first + accepted * stride,
                stride,
                length,
                align_frame(length + DATA_HEADER_LENGTH),
                count - accepted,
                code,
            )
        else:
            # Fragmented, or too long.
            if exclusive:
                code[0] = append_exclusive(appender, first + accepted * stride, length, 0)
            else:
                code[0] = append(appender, first + accepted * stride, length, 0)
            if code[0] > 0:
                accepted += 1
    return accepted
