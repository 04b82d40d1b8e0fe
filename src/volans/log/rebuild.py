# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Rebuilding a term from packets that arrive in any order, more than once, or never.

One thread (the receiver) inserts and fills; subscribers read length words with acquire.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, void
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.log.layout import LogBuffers
from cython.cimports.volans.log.position import align_frame
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_relaxed_i32,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_HEADER_LENGTH,
    FRAME_ALIGNMENT,
    FRAME_TYPE_PAD,
    DataHeader,
)


@cfunc
@nogil
@exceptval(check=False)
def term_insert(
    term: pointer[uint8_t],
    term_offset: int32_t,
    packet: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> void:
    target: pointer[uint8_t] = term + term_offset
    first_word: int64_t
    if load_relaxed_i32(cast(pointer[int32_t], target)) != 0:
        return
    memcpy(target + 8, packet + 8, length - 8)
    # The first frame's length comes last: until then a reader cannot get to anything behind it.
    memcpy(address(first_word), packet, 8)
    store_release_i64(cast(pointer[int64_t], target), first_word)


@cfunc
@nogil
@exceptval(check=False)
def term_gap_scan(
    term: pointer[cython.const[uint8_t]],
    term_id: int32_t,
    rebuild_offset: int32_t,
    limit_offset: int32_t,
    gap_length: pointer[int32_t],
) -> int32_t:
    offset: int32_t = rebuild_offset
    gap_offset: int32_t
    frame_length: int32_t
    while offset < limit_offset:
        frame_length = load_acquire_i32(cast(pointer[int32_t], term + offset))
        if frame_length <= 0:
            break
        if frame_length > limit_offset - offset:
            # Datagrams that overlapped wrote payload where a length should be: go no further.
            offset = limit_offset
            break
        offset += align_frame(frame_length)
    gap_offset = offset
    if offset < limit_offset:
        offset += FRAME_ALIGNMENT
        while offset < limit_offset:
            if load_acquire_i32(cast(pointer[int32_t], term + offset)) != 0:
                break
            offset += FRAME_ALIGNMENT
    gap_length[0] = offset - gap_offset
    return gap_offset


@cfunc
@nogil
@exceptval(check=False)
def term_gap_fill(
    log: pointer[LogBuffers],
    term: pointer[uint8_t],
    term_id: int32_t,
    gap_offset: int32_t,
    gap_length: int32_t,
) -> int32_t:
    offset: int32_t = gap_offset + gap_length - FRAME_ALIGNMENT
    header: pointer[DataHeader] = cast(pointer[DataHeader], term + gap_offset)
    while offset >= gap_offset:
        # Something arrived late: it is not a gap any more.
        if load_acquire_i32(cast(pointer[int32_t], term + offset)) != 0:
            return 0
        offset -= FRAME_ALIGNMENT
    memcpy(header, address(log.metadata.default_header[0]), DATA_HEADER_LENGTH)
    header.type = FRAME_TYPE_PAD
    header.term_offset = gap_offset
    header.term_id = term_id
    store_release_i32(address(header.frame_length), gap_length)
    return 1
