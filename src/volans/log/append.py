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
from cython.cimports.libc.stdint import int16_t, int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.log.buffers import log_producer_position, log_rotate
from cython.cimports.volans.log.layout import (
    APPEND_ADMIN_ACTION,
    APPEND_BACK_PRESSURED,
    APPEND_MAX_POSITION_EXCEEDED,
    APPEND_MESSAGE_TOO_LONG,
    APPEND_NOT_CONNECTED,
    BATCH_RESERVATION_LENGTH,
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
from cython.cimports.volans.memory.atomic import (
    fence_release,
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
    FRAME_VERSION,
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


@cfunc
@nogil
@cython.inline
@exceptval(check=False)
def begin_frame(
    appender: pointer[Appender],
    term: pointer[uint8_t],
    term_offset: int32_t,
    term_id: int32_t,
    frame_length: int32_t,
    flags: uint8_t,
    frame_type: int16_t,
) -> pointer[DataHeader]:
    header: pointer[DataHeader] = cast(pointer[DataHeader], term + term_offset)
    store_release_i32(address(header.frame_length), -frame_length)
    # The negative length must not become visible after the fields behind it.
    fence_release()
    header.version = FRAME_VERSION
    header.flags = flags
    header.type = frame_type
    header.term_offset = term_offset
    header.session_id = appender.session_id
    header.stream_id = appender.stream_id
    header.term_id = term_id
    return header


@cfunc
@nogil
@exceptval(check=False)
def write_padding(
    appender: pointer[Appender],
    term: pointer[uint8_t],
    term_offset: int32_t,
    term_id: int32_t,
    frame_length: int32_t,
) -> void:
    header: pointer[DataHeader] = begin_frame(
        appender,
        term,
        term_offset,
        term_id,
        frame_length,
        DATA_FLAGS_UNFRAGMENTED,
        FRAME_TYPE_PAD,
    )
    store_release_i32(address(header.frame_length), frame_length)


@cfunc
@nogil
@cython.inline
@exceptval(check=False)
def write_whole(
    appender: pointer[Appender],
    term: pointer[uint8_t],
    term_offset: int32_t,
    term_id: int32_t,
    payload: pointer[cython.const[uint8_t]],
    length: int32_t,
    reserved_value: int64_t,
) -> void:
    header: pointer[DataHeader] = begin_frame(
        appender,
        term,
        term_offset,
        term_id,
        length + DATA_HEADER_LENGTH,
        DATA_FLAGS_UNFRAGMENTED,
        FRAME_TYPE_DATA,
    )
    header.reserved_value = reserved_value
    memcpy(cast(pointer[uint8_t], header) + DATA_HEADER_LENGTH, payload, length)
    store_release_i32(address(header.frame_length), length + DATA_HEADER_LENGTH)


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


# The position limit is reached: the most lasting reason comes first.
@cfunc
@nogil
@exceptval(check=False)
def refuse(appender: pointer[Appender], position: int64_t, framed_length: int32_t) -> int64_t:
    if position + framed_length >= appender.max_possible_position:
        return APPEND_MAX_POSITION_EXCEEDED
    if load_acquire_i32(address(appender.log.metadata.is_connected)) == 1:
        return APPEND_BACK_PRESSURED
    return APPEND_NOT_CONNECTED


# Past the end of the term. Only who reserved across the end finds room left, and pads it.
@cfunc
@nogil
@exceptval(check=False)
def trip(
    appender: pointer[Appender], term: pointer[uint8_t], term_offset: int32_t, term_id: int32_t
) -> int64_t:
    term_count: int32_t = term_id - appender.log.initial_term_id
    if term_offset < appender.log.term_length:
        write_padding(appender, term, term_offset, term_id, appender.log.term_length - term_offset)
    if (
        compute_position(
            term_id,
            appender.log.term_length,
            appender.log.position_bits_to_shift,
            appender.log.initial_term_id,
        )
        >= appender.max_possible_position
    ):
        return APPEND_MAX_POSITION_EXCEEDED
    log_rotate(address(appender.log), term_count, term_id)
    return APPEND_ADMIN_ACTION


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
@exceptval(check=False)
def rotate_exclusive(appender: pointer[Appender]) -> int64_t:
    index: int32_t
    if appender.term_begin_position + appender.log.term_length >= appender.max_possible_position:
        appender.term_offset = appender.log.term_length  # nothing fits any more, ever
        return APPEND_MAX_POSITION_EXCEEDED
    index = appender.active_partition_index + 1
    if index == 3:
        index = 0
    appender.active_partition_index = index
    appender.term_offset = 0
    appender.term_id += 1
    appender.term_begin_position += appender.log.term_length
    # The tail before the count, as in log_rotate; one writer needs no CAS.
    store_release_i64(
        address(appender.log.metadata.term_tail_counters[index]), pack_tail(appender.term_id, 0)
    )
    store_release_i32(
        address(appender.log.metadata.active_term_count),
        appender.term_id - appender.log.initial_term_id,
    )
    return APPEND_ADMIN_ACTION


@cfunc
@nogil
@exceptval(check=False)
def trip_exclusive(appender: pointer[Appender]) -> int64_t:
    if appender.term_offset < appender.log.term_length:
        write_padding(
            appender,
            appender.log.terms[appender.active_partition_index],
            appender.term_offset,
            appender.term_id,
            appender.log.term_length - appender.term_offset,
        )
    return rotate_exclusive(appender)


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


# --- batches -----------------------------------------------------------------------------------


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


# *code: the position behind the last message when all were accepted, else the APPEND_ code of
# the first one that was not.
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
    framed_length: int32_t = framed_length_of(appender, length)
    accepted: int64_t = 0
    code[0] = framed_length if framed_length < 0 else 0
    while accepted < count and code[0] >= 0:
        if length <= appender.max_payload_length:
            accepted += append_share(
                appender,
                exclusive,
                first + accepted * stride,
                stride,
                length,
                framed_length,
                count - accepted,
                code,
            )
        else:
            if exclusive:
                code[0] = append_exclusive(appender, first + accepted * stride, length, 0)
            else:
                code[0] = append(appender, first + accepted * stride, length, 0)
            if code[0] > 0:
                accepted += 1
    return accepted
