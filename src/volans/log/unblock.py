# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Making a log readable again when a producer died between reserving and committing.

The caller (the driver) has seen the consumers stand at the blocked position for its whole
unblock time-out while the producers' tail is ahead of it.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, void
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.log.buffers import log_rotate
from cython.cimports.volans.log.layout import LogBuffers
from cython.cimports.volans.log.position import (
    index_by_position,
    index_by_term_count,
    raw_tail_term_id,
    raw_tail_term_offset,
)
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
)
from cython.cimports.volans.protocol.layout import (
    FRAME_ALIGNMENT,
    FRAME_TYPE_PAD,
    DataHeader,
)


# Everything but the length word comes from the default header; the length goes last (release).
@cfunc
@nogil
@exceptval(check=False)
def make_padding(
    log: pointer[LogBuffers],
    term: pointer[uint8_t],
    term_offset: int32_t,
    term_id: int32_t,
    frame_length: int32_t,
) -> void:
    header: pointer[DataHeader] = cast(pointer[DataHeader], term + term_offset)
    default_header: pointer[DataHeader] = cast(
        pointer[DataHeader], address(log.metadata.default_header[0])
    )
    memcpy(cast(pointer[uint8_t], header) + 4, cast(pointer[uint8_t], default_header) + 4, 28)
    header.type = FRAME_TYPE_PAD
    header.term_offset = term_offset
    header.term_id = term_id
    store_release_i32(address(header.frame_length), frame_length)


# A live producer may have begun a frame behind our back while we looked further ahead.
@cfunc
@nogil
@exceptval(check=False)
def still_empty(term: pointer[uint8_t], from_offset: int32_t, to_offset: int32_t) -> cython.bint:
    offset: int32_t = to_offset - FRAME_ALIGNMENT
    while offset >= from_offset:
        if load_acquire_i32(cast(pointer[int32_t], term + offset)) != 0:
            return False
        offset -= FRAME_ALIGNMENT
    return True


@cfunc
@nogil
@exceptval(check=False)
def log_unblock(log: pointer[LogBuffers], blocked_position: int64_t) -> int32_t:
    term_count: int32_t = cast(int32_t, blocked_position >> log.position_bits_to_shift)
    index: int32_t = index_by_position(blocked_position, log.position_bits_to_shift)
    term: pointer[uint8_t] = log.terms[index]
    blocked_offset: int32_t = cast(int32_t, blocked_position & log.term_length_mask)
    active_term_count: int32_t = load_acquire_i32(address(log.metadata.active_term_count))
    raw_tail: int64_t = load_acquire_i64(address(log.metadata.term_tail_counters[index]))
    term_id: int32_t = raw_tail_term_id(raw_tail)
    tail_offset: int32_t = raw_tail_term_offset(raw_tail, log.term_length)
    frame_length: int32_t
    offset: int32_t

    if blocked_offset == 0 and active_term_count == term_count - 1:
        # The term before is complete but who completed it never rotated.
        raw_tail = load_acquire_i64(
            address(log.metadata.term_tail_counters[index_by_term_count(active_term_count)])
        )
        log_rotate(log, active_term_count, raw_tail_term_id(raw_tail))
        return 1
    if term_id - log.initial_term_id != term_count:
        return 0  # not (or no longer) the term of this position

    frame_length = load_acquire_i32(cast(pointer[int32_t], term + blocked_offset))
    if frame_length > 0:
        return 0
    if frame_length < 0:
        # Begun and never committed: its length is known.
        frame_length = -frame_length
        if frame_length < FRAME_ALIGNMENT or frame_length > log.term_length - blocked_offset:
            frame_length = log.term_length - blocked_offset  # corrupt: give the term up
        make_padding(log, term, blocked_offset, term_id, frame_length)
        return 1

    # Reserved and never begun: it reaches to the next frame or, when the tail says that nothing
    # follows, to the end of the term.
    offset = blocked_offset + FRAME_ALIGNMENT
    while offset < tail_offset:
        if load_acquire_i32(cast(pointer[int32_t], term + offset)) != 0:
            if not still_empty(term, blocked_offset, offset):
                return 0
            make_padding(log, term, blocked_offset, term_id, offset - blocked_offset)
            return 1
        offset += FRAME_ALIGNMENT
    if tail_offset == log.term_length and still_empty(term, blocked_offset, tail_offset):
        make_padding(log, term, blocked_offset, term_id, log.term_length - blocked_offset)
        log_rotate(log, term_count, term_id)
        return 1
    return 0
