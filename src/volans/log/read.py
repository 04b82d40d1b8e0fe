# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Walking over committed frames and handing them to whoever consumes the stream.

A frame is committed when its length word, read with acquire, is positive. A length that no
frame can have (below a header, or past the end of the term) reads as "not committed": a corrupt
log stops its reader and never leads it out of the mapped bytes.
"""

from __future__ import annotations

from cython import address, cast, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint32_t
from cython.cimports.volans.log.layout import ABORT, BREAK, COMMIT, LogBuffers, fragment_fn
from cython.cimports.volans.log.position import align_frame, index_by_position
from cython.cimports.volans.memory.atomic import load_acquire_i32, store_release_i64
from cython.cimports.volans.protocol.layout import (
    DATA_HEADER_LENGTH,
    FRAME_TYPE_PAD,
    DataHeader,
)


# Where reading must stop: the end of the term or the limit, whichever is nearer. A frame that
# begins before the limit is read whole.
@cfunc
@nogil
@exceptval(check=False)
def end_offset(log: pointer[LogBuffers], position: int64_t, limit_position: int64_t) -> int32_t:
    term_offset: int32_t = cast(int32_t, position & log.term_length_mask)
    # Not one frame fits behind the last header-sized slot.
    if limit_position - position < log.term_length - term_offset:
        return term_offset + cast(
            int32_t, limit_position - position if limit_position > position else 0
        )
    return log.term_length - DATA_HEADER_LENGTH + 1


@cfunc
@nogil
@exceptval(check=False)
def read_fragments(
    log: pointer[LogBuffers],
    position: pointer[int64_t],
    limit_position: int64_t,
    fragment_limit: int32_t,
    handler: fragment_fn,
    clientd: p_void,
) -> int32_t:
    start_position: int64_t = position[0]
    term: pointer[uint8_t] = log.terms[
        index_by_position(start_position, log.position_bits_to_shift)
    ]
    start_offset: int32_t = cast(int32_t, start_position & log.term_length_mask)
    limit_offset: int32_t = end_offset(log, start_position, limit_position)
    # Largest frame length at offset 0; shrinks as the offset grows.
    longest: int32_t = log.term_length - DATA_HEADER_LENGTH
    offset: int32_t = start_offset
    fragment_count: int32_t = 0
    frame_length: int32_t
    header: pointer[DataHeader]
    while offset < limit_offset and fragment_count < fragment_limit:
        header = cast(pointer[DataHeader], term + offset)
        frame_length = load_acquire_i32(address(header.frame_length))
        # One unsigned comparison: not committed, shorter than a header, or past the term's end.
        if cast(uint32_t, frame_length - DATA_HEADER_LENGTH) > cast(uint32_t, longest - offset):
            break
        offset += align_frame(frame_length)
        if header.type != FRAME_TYPE_PAD:
            fragment_count += 1
            handler(
                cast(pointer[uint8_t], header) + DATA_HEADER_LENGTH,
                frame_length - DATA_HEADER_LENGTH,
                header,
                clientd,
            )
    position[0] = start_position + (offset - start_offset)
    return fragment_count


# The one writer of *subscriber_position is the caller's thread; the driver reads it with acquire.
@cfunc
@nogil
@exceptval(check=False)
def read_controlled(
    log: pointer[LogBuffers],
    subscriber_position: pointer[int64_t],
    limit_position: int64_t,
    fragment_limit: int32_t,
    handler: fragment_fn,
    clientd: p_void,
) -> int32_t:
    start_position: int64_t = subscriber_position[0]
    term: pointer[uint8_t] = log.terms[
        index_by_position(start_position, log.position_bits_to_shift)
    ]
    start_offset: int32_t = cast(int32_t, start_position & log.term_length_mask)
    limit_offset: int32_t = end_offset(log, start_position, limit_position)
    longest: int32_t = log.term_length - DATA_HEADER_LENGTH
    committed_offset: int32_t = start_offset
    offset: int32_t = start_offset
    fragment_count: int32_t = 0
    frame_length: int32_t
    action: int32_t
    header: pointer[DataHeader]
    while offset < limit_offset and fragment_count < fragment_limit:
        header = cast(pointer[DataHeader], term + offset)
        frame_length = load_acquire_i32(address(header.frame_length))
        if cast(uint32_t, frame_length - DATA_HEADER_LENGTH) > cast(uint32_t, longest - offset):
            break
        if header.type == FRAME_TYPE_PAD:
            offset += align_frame(frame_length)
            continue
        action = handler(
            cast(pointer[uint8_t], header) + DATA_HEADER_LENGTH,
            frame_length - DATA_HEADER_LENGTH,
            header,
            clientd,
        )
        if action == ABORT:
            break
        fragment_count += 1
        offset += align_frame(frame_length)
        if action == BREAK:
            break
        if action == COMMIT:
            store_release_i64(subscriber_position, start_position + (offset - start_offset))
            committed_offset = offset
    if offset > committed_offset:
        store_release_i64(subscriber_position, start_position + (offset - start_offset))
    return fragment_count


@cfunc
@nogil
@exceptval(check=False)
def scan_block(term: pointer[uint8_t], term_offset: int32_t, limit_offset: int32_t) -> int32_t:
    offset: int32_t = term_offset
    frame_length: int32_t
    header: pointer[DataHeader]
    while offset < limit_offset:
        header = cast(pointer[DataHeader], term + offset)
        frame_length = load_acquire_i32(address(header.frame_length))
        if frame_length <= 0:
            break
        if header.type == FRAME_TYPE_PAD:
            if offset == term_offset:
                offset += align_frame(frame_length)
            break
        if (
            frame_length > limit_offset - offset
            or align_frame(frame_length) > limit_offset - offset
        ):
            break
        offset += align_frame(frame_length)
    return offset - term_offset
