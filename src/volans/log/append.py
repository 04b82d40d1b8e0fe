# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Appending and claiming messages: the producer's half of the log (PROTOCOL.md section 3.5).

Every append is two steps. *Reserve* moves the tail by the framed length of the message: by a
fetch-and-add when producers share the log, by a release store when there is only one. What was
reserved belongs to this producer alone. *Write* then fills the frames, each by the same commit
protocol: the negative length first, the other fields and the payload, the positive length last
with release. Readers take positive lengths only; the negative one tells whoever must clean up
after a dead producer how far the frame reaches.

Who reserves past the end of a term has tripped: the one whose reservation began inside the term
pads the rest, all who tripped try to rotate, nobody tries again by himself.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, void
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.log.buffers import log_producer_position
from cython.cimports.volans.log.frames import begin_frame, write_whole
from cython.cimports.volans.log.layout import (
    APPEND_ADMIN_ACTION,
    APPEND_MAX_POSITION_EXCEEDED,
    APPEND_MESSAGE_TOO_LONG,
    MAX_MESSAGE_LENGTH,
    Appender,
    AppendSlot,
    ClaimResult,
    LogBuffers,
    Piece,
)
from cython.cimports.volans.log.position import (
    align_frame,
    compute_position,
    index_by_term_count,
    pack_tail,
    raw_tail_term_id,
    raw_tail_term_offset,
)
from cython.cimports.volans.log.term_end import (
    refuse,
    rotate_exclusive,
    trip,
    trip_exclusive,
    write_padding,
)
from cython.cimports.volans.memory.atomic import (
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_BEGIN,
    DATA_FLAG_END,
    DATA_FLAGS_UNFRAGMENTED,
    DATA_HEADER_LENGTH,
    FRAME_ALIGNMENT,
    FRAME_TYPE_DATA,
    FRAME_TYPE_PAD,
    DataHeader,
)


@cfunc
@nogil
@exceptval(check=False)
def appender_init(
    appender: pointer[Appender], log: pointer[LogBuffers], position_limit: pointer[int64_t]
) -> void:
    default_header: pointer[DataHeader] = cast(
        pointer[DataHeader], address(log.metadata.default_header[0])
    )
    appender.log = log[0]
    appender.position_limit = position_limit
    appender.max_possible_position = cast(int64_t, log.term_length) << 31
    appender.session_id = default_header.session_id
    appender.stream_id = default_header.stream_id
    appender.max_payload_length = log.metadata.mtu_length - DATA_HEADER_LENGTH
    if appender.max_payload_length < FRAME_ALIGNMENT:
        appender.max_payload_length = FRAME_ALIGNMENT  # never divide by nothing: corrupt metadata
    appender.max_message_length = log.term_length // 8
    if appender.max_message_length > MAX_MESSAGE_LENGTH:
        appender.max_message_length = MAX_MESSAGE_LENGTH
    appender.term_begin_position = 0
    appender.term_id = log.initial_term_id
    appender.term_offset = 0
    appender.active_partition_index = 0


@cfunc
@nogil
@exceptval(check=False)
def appender_init_exclusive(
    appender: pointer[Appender], log: pointer[LogBuffers], position_limit: pointer[int64_t]
) -> void:
    index: int32_t
    raw_tail: int64_t
    appender_init(appender, log, position_limit)
    index = index_by_term_count(load_acquire_i32(address(log.metadata.active_term_count)))
    raw_tail = load_acquire_i64(address(log.metadata.term_tail_counters[index]))
    appender.active_partition_index = index
    appender.term_id = raw_tail_term_id(raw_tail)
    appender.term_offset = raw_tail_term_offset(raw_tail, log.term_length)
    appender.term_begin_position = compute_position(
        appender.term_id, 0, log.position_bits_to_shift, log.initial_term_id
    )


@cfunc
@nogil
@exceptval(check=False)
def appender_position(appender: pointer[Appender], exclusive: cython.bint) -> int64_t:
    if exclusive:
        return appender.term_begin_position + appender.term_offset
    return log_producer_position(address(appender.log))


# --- frames ------------------------------------------------------------------------------------


# The general case: any number of pieces into any number of frames.
@cfunc
@nogil
@exceptval(check=False)
def write_pieces(
    appender: pointer[Appender],
    slot: pointer[AppendSlot],
    pieces: pointer[cython.const[Piece]],
    length: int64_t,
    reserved_value: int64_t,
) -> void:
    remaining: int64_t = length
    term_offset: int32_t = slot.term_offset
    flags: uint8_t = DATA_FLAG_BEGIN
    piece_index: int32_t = 0
    piece_offset: int64_t = 0
    frame_payload_length: int32_t
    wanted: int64_t
    step: int64_t
    target: pointer[uint8_t]
    header: pointer[DataHeader]
    while True:
        frame_payload_length = appender.max_payload_length
        if remaining <= frame_payload_length:
            frame_payload_length = cast(int32_t, remaining)
            flags = flags | DATA_FLAG_END
        header = begin_frame(
            appender,
            slot.term,
            term_offset,
            slot.term_id,
            frame_payload_length + DATA_HEADER_LENGTH,
            flags,
            FRAME_TYPE_DATA,
        )
        header.reserved_value = reserved_value
        target = cast(pointer[uint8_t], header) + DATA_HEADER_LENGTH
        wanted = frame_payload_length
        while wanted > 0:
            step = pieces[piece_index].length - piece_offset
            if step > wanted:
                step = wanted
            memcpy(target, pieces[piece_index].data + piece_offset, step)
            target += step
            wanted -= step
            piece_offset += step
            if piece_offset == pieces[piece_index].length:
                piece_index += 1
                piece_offset = 0
        store_release_i32(address(header.frame_length), frame_payload_length + DATA_HEADER_LENGTH)
        remaining -= frame_payload_length
        if remaining <= 0:
            return
        term_offset += align_frame(frame_payload_length + DATA_HEADER_LENGTH)
        flags = 0


# --- reserving ---------------------------------------------------------------------------------


# Bytes a message takes in a term, or APPEND_MESSAGE_TOO_LONG (also for a negative length).
@cfunc
@nogil
@cython.inline
@exceptval(check=False)
def framed_length_of(appender: pointer[Appender], length: int64_t) -> int32_t:
    max_payload_length: int32_t = appender.max_payload_length
    whole_count: int32_t
    rest: int32_t
    if 0 <= length <= max_payload_length:
        return align_frame(cast(int32_t, length) + DATA_HEADER_LENGTH)
    if length < 0 or length > appender.max_message_length:
        return APPEND_MESSAGE_TOO_LONG
    whole_count = cast(int32_t, length) // max_payload_length
    rest = cast(int32_t, length) - whole_count * max_payload_length
    whole_count *= align_frame(max_payload_length + DATA_HEADER_LENGTH)
    return whole_count + (align_frame(rest + DATA_HEADER_LENGTH) if rest > 0 else 0)


@cfunc
@nogil
@cython.inline
@exceptval(check=False)
def reserve(
    appender: pointer[Appender], framed_length: int32_t, slot: pointer[AppendSlot]
) -> int64_t:
    limit: int64_t = load_acquire_i64(appender.position_limit)
    term_count: int32_t = load_acquire_i32(address(appender.log.metadata.active_term_count))
    index: int32_t = index_by_term_count(term_count)
    tail: pointer[int64_t] = address(appender.log.metadata.term_tail_counters[index])
    raw_tail: int64_t = load_acquire_i64(tail)
    term_id: int32_t = raw_tail_term_id(raw_tail)
    term_offset: int32_t = raw_tail_term_offset(raw_tail, appender.log.term_length)
    position: int64_t
    if term_count != term_id - appender.log.initial_term_id:
        return APPEND_ADMIN_ACTION  # somebody is in the middle of a rotation
    position = compute_position(
        term_id, term_offset, appender.log.position_bits_to_shift, appender.log.initial_term_id
    )
    if position >= limit:
        return refuse(appender, position, framed_length)
    # Others may have been quicker since: only what the fetch-and-add returns is ours.
    raw_tail = fetch_add_i64(tail, framed_length)
    term_id = raw_tail_term_id(raw_tail)
    term_offset = raw_tail_term_offset(raw_tail, appender.log.term_length)
    if term_offset + framed_length > appender.log.term_length:
        return trip(appender, appender.log.terms[index], term_offset, term_id)
    slot.term = appender.log.terms[index]
    slot.term_offset = term_offset
    slot.term_id = term_id
    return compute_position(
        term_id,
        term_offset + framed_length,
        appender.log.position_bits_to_shift,
        appender.log.initial_term_id,
    )


@cfunc
@nogil
@cython.inline
@exceptval(check=False)
def reserve_exclusive(
    appender: pointer[Appender], framed_length: int32_t, slot: pointer[AppendSlot]
) -> int64_t:
    term_offset: int32_t = appender.term_offset
    position: int64_t = appender.term_begin_position + term_offset
    index: int32_t = appender.active_partition_index
    if position >= load_acquire_i64(appender.position_limit):
        return refuse(appender, position, framed_length)
    # The driver reads the tail: it moves before the frame is written, as a shared one does.
    store_release_i64(
        address(appender.log.metadata.term_tail_counters[index]),
        pack_tail(appender.term_id, term_offset + framed_length),
    )
    if term_offset + framed_length > appender.log.term_length:
        return trip_exclusive(appender)
    slot.term = appender.log.terms[index]
    slot.term_offset = term_offset
    slot.term_id = appender.term_id
    appender.term_offset = term_offset + framed_length
    return position + framed_length


# --- messages ----------------------------------------------------------------------------------


@cfunc
@nogil
@cython.inline
@exceptval(check=False)
def write_message(
    appender: pointer[Appender],
    slot: pointer[AppendSlot],
    payload: pointer[cython.const[uint8_t]],
    length: int32_t,
    reserved_value: int64_t,
) -> void:
    piece: Piece
    if length <= appender.max_payload_length:
        write_whole(
            appender, slot.term, slot.term_offset, slot.term_id, payload, length, reserved_value
        )
    else:
        piece.data = payload
        piece.length = length
        write_pieces(appender, slot, address(piece), length, reserved_value)


@cfunc
@nogil
@exceptval(check=False)
def append(
    appender: pointer[Appender],
    payload: pointer[cython.const[uint8_t]],
    length: int32_t,
    reserved_value: int64_t,
) -> int64_t:
    slot: AppendSlot = AppendSlot(cython.NULL, 0, 0)
    framed_length: int32_t = framed_length_of(appender, length)
    result: int64_t
    if framed_length < 0:
        return framed_length
    result = reserve(appender, framed_length, address(slot))
    if result > 0:
        write_message(appender, address(slot), payload, length, reserved_value)
    return result


@cfunc
@nogil
@exceptval(check=False)
def append_exclusive(
    appender: pointer[Appender],
    payload: pointer[cython.const[uint8_t]],
    length: int32_t,
    reserved_value: int64_t,
) -> int64_t:
    slot: AppendSlot = AppendSlot(cython.NULL, 0, 0)
    framed_length: int32_t = framed_length_of(appender, length)
    result: int64_t
    if framed_length < 0:
        return framed_length
    result = reserve_exclusive(appender, framed_length, address(slot))
    if result > 0:
        write_message(appender, address(slot), payload, length, reserved_value)
    return result


@cfunc
@nogil
@exceptval(check=False)
def append_gather(
    appender: pointer[Appender],
    pieces: pointer[cython.const[Piece]],
    piece_count: int32_t,
    length: int64_t,
    reserved_value: int64_t,
) -> int64_t:
    slot: AppendSlot = AppendSlot(cython.NULL, 0, 0)
    framed_length: int32_t = framed_length_of(appender, length)
    result: int64_t
    if framed_length < 0:
        return framed_length
    result = reserve(appender, framed_length, address(slot))
    if result > 0:
        write_pieces(appender, address(slot), pieces, length, reserved_value)
    return result


@cfunc
@nogil
@exceptval(check=False)
def append_gather_exclusive(
    appender: pointer[Appender],
    pieces: pointer[cython.const[Piece]],
    piece_count: int32_t,
    length: int64_t,
    reserved_value: int64_t,
) -> int64_t:
    slot: AppendSlot = AppendSlot(cython.NULL, 0, 0)
    framed_length: int32_t = framed_length_of(appender, length)
    result: int64_t
    if framed_length < 0:
        return framed_length
    result = reserve_exclusive(appender, framed_length, address(slot))
    if result > 0:
        write_pieces(appender, address(slot), pieces, length, reserved_value)
    return result


# --- claims: one frame whose payload the application writes itself ------------------------------


@cfunc
@nogil
@exceptval(check=False)
def hand_out(
    appender: pointer[Appender],
    slot: pointer[AppendSlot],
    length: int32_t,
    result: pointer[ClaimResult],
) -> void:
    result.header = begin_frame(
        appender,
        slot.term,
        slot.term_offset,
        slot.term_id,
        length + DATA_HEADER_LENGTH,
        DATA_FLAGS_UNFRAGMENTED,
        FRAME_TYPE_DATA,
    )
    result.header.reserved_value = 0
    result.payload = cast(pointer[uint8_t], result.header) + DATA_HEADER_LENGTH
    result.payload_length = length


@cfunc
@nogil
@exceptval(check=False)
def claim(appender: pointer[Appender], length: int32_t, result: pointer[ClaimResult]) -> int64_t:
    slot: AppendSlot = AppendSlot(cython.NULL, 0, 0)
    position: int64_t
    if length < 0 or length > appender.max_payload_length:
        return APPEND_MESSAGE_TOO_LONG
    position = reserve(appender, align_frame(length + DATA_HEADER_LENGTH), address(slot))
    if position > 0:
        hand_out(appender, address(slot), length, result)
    return position


@cfunc
@nogil
@exceptval(check=False)
def claim_exclusive(
    appender: pointer[Appender], length: int32_t, result: pointer[ClaimResult]
) -> int64_t:
    slot: AppendSlot = AppendSlot(cython.NULL, 0, 0)
    position: int64_t
    if length < 0 or length > appender.max_payload_length:
        return APPEND_MESSAGE_TOO_LONG
    position = reserve_exclusive(appender, align_frame(length + DATA_HEADER_LENGTH), address(slot))
    if position > 0:
        hand_out(appender, address(slot), length, result)
    return position


# frame_length: payload and header.
@cfunc
@nogil
@exceptval(check=False)
def claim_commit(header: pointer[DataHeader], frame_length: int32_t) -> void:
    store_release_i32(address(header.frame_length), frame_length)


@cfunc
@nogil
@exceptval(check=False)
def claim_abort(header: pointer[DataHeader], frame_length: int32_t) -> void:
    header.type = FRAME_TYPE_PAD
    store_release_i32(address(header.frame_length), frame_length)


# --- only with one producer --------------------------------------------------------------------


# length: payload bytes to skip; the frame is a header longer.
@cfunc
@nogil
@exceptval(check=False)
def append_padding_exclusive(appender: pointer[Appender], length: int32_t) -> int64_t:
    slot: AppendSlot = AppendSlot(cython.NULL, 0, 0)
    result: int64_t
    if length < 0 or length > appender.max_message_length:
        return APPEND_MESSAGE_TOO_LONG
    result = reserve_exclusive(appender, align_frame(length + DATA_HEADER_LENGTH), address(slot))
    if result > 0:
        write_padding(
            appender, slot.term, slot.term_offset, slot.term_id, length + DATA_HEADER_LENGTH
        )
    return result


# Whole frames made elsewhere for exactly this place. A full term rotates first: a block never
# trips, so its maker must be able to know where it goes.
@cfunc
@nogil
@exceptval(check=False)
def append_block_exclusive(
    appender: pointer[Appender], block: pointer[cython.const[uint8_t]], length: int32_t
) -> int64_t:
    position: int64_t
    target: pointer[uint8_t]
    first_word: int64_t
    if (
        appender.term_offset >= appender.log.term_length
        and rotate_exclusive(appender) == APPEND_MAX_POSITION_EXCEEDED
    ):
        return APPEND_MAX_POSITION_EXCEEDED
    if length < DATA_HEADER_LENGTH or length > appender.log.term_length - appender.term_offset:
        return APPEND_MESSAGE_TOO_LONG
    position = appender.term_begin_position + appender.term_offset
    if position >= load_acquire_i64(appender.position_limit):
        return refuse(appender, position, length)
    store_release_i64(
        address(appender.log.metadata.term_tail_counters[appender.active_partition_index]),
        pack_tail(appender.term_id, appender.term_offset + length),
    )
    target = appender.log.terms[appender.active_partition_index] + appender.term_offset
    memcpy(target + 8, block + 8, length - 8)
    # The first length commits the whole block.
    memcpy(address(first_word), block, 8)
    store_release_i64(cast(pointer[int64_t], target), first_word)
    appender.term_offset += length
    return position + length
