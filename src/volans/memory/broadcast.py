# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""One transmitter to any number of receivers, without back pressure (PROTOCOL.md section 5).

The transmitter never waits. It announces how far it is about to overwrite (tail intent)
before it touches a byte; a receiver copies a message and then checks that the intent had
not reached it: only then is the copy whole. Otherwise it was lapped and goes on from the
latest message.
"""

from __future__ import annotations

import cython
from cython import cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.memory.atomic import (
    fence_acquire,
    fence_release,
    load_acquire_i64,
    load_relaxed_i32,
    load_relaxed_i64,
    store_relaxed_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.layout import (
    BROADCAST_LATEST_OFFSET,
    BROADCAST_PADDING_MSG_TYPE_ID,
    BROADCAST_RECORD_HEADER_LENGTH,
    BROADCAST_TAIL_INTENT_OFFSET,
    BROADCAST_TAIL_OFFSET,
    BROADCAST_TRAILER_LENGTH,
    CACHE_LINE_LENGTH,
    RING_BAD_MSG_TYPE_ID,
    RING_MESSAGE_TOO_LONG,
    BroadcastBuffer,
    BroadcastReceiverState,
)


@cfunc
@nogil
@exceptval(check=False)
def broadcast_wrap(
    broadcast: pointer[BroadcastBuffer], memory: pointer[uint8_t], total_length: int64_t
) -> int32_t:
    """0, or -1 when the length is not a power of two (64 at least) plus the trailer."""
    capacity: int64_t = total_length - BROADCAST_TRAILER_LENGTH
    if capacity < CACHE_LINE_LENGTH or capacity > (1 << 30) or capacity & (capacity - 1) != 0:
        return -1
    trailer: pointer[uint8_t] = memory + capacity
    broadcast.buffer = memory
    broadcast.capacity = cast(int32_t, capacity)
    broadcast.max_message_length = broadcast.capacity >> 3
    broadcast.tail_intent_counter = cast(pointer[int64_t], trailer + BROADCAST_TAIL_INTENT_OFFSET)
    broadcast.tail_counter = cast(pointer[int64_t], trailer + BROADCAST_TAIL_OFFSET)
    broadcast.latest_counter = cast(pointer[int64_t], trailer + BROADCAST_LATEST_OFFSET)
    return 0


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def offset_of(broadcast: pointer[BroadcastBuffer], position: int64_t) -> int32_t:
    # Clearing the low bits keeps a corrupt position from running into the trailer.
    return cast(
        int32_t, position & (broadcast.capacity - 1) & -BROADCAST_RECORD_HEADER_LENGTH
    )


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def aligned(length: int32_t) -> int32_t:
    return (length + BROADCAST_RECORD_HEADER_LENGTH - 1) & -BROADCAST_RECORD_HEADER_LENGTH


@cfunc
@nogil
@exceptval(check=False)
def broadcast_transmit(
    broadcast: pointer[BroadcastBuffer],
    msg_type_id: int32_t,
    source: cython.p_const_void,
    length: int32_t,
) -> int32_t:
    if msg_type_id < 1:
        return RING_BAD_MSG_TYPE_ID
    if length < 0 or length > broadcast.max_message_length:
        return RING_MESSAGE_TOO_LONG
    tail: int64_t = load_relaxed_i64(broadcast.tail_counter)  # only the transmitter writes it
    offset: int32_t = offset_of(broadcast, tail)
    required: int32_t = aligned(length + BROADCAST_RECORD_HEADER_LENGTH)
    to_end: int32_t = broadcast.capacity - offset
    padding: int32_t = to_end if to_end < required else 0
    record: pointer[int32_t] = cast(pointer[int32_t], broadcast.buffer + offset)

    store_release_i64(broadcast.tail_intent_counter, tail + padding + required)
    fence_release()  # the intent becomes visible before any byte it warns of
    if padding != 0:
        store_relaxed_i32(record, padding)
        store_relaxed_i32(record + 1, BROADCAST_PADDING_MSG_TYPE_ID)
        tail += padding
        record = cast(pointer[int32_t], broadcast.buffer)
    store_relaxed_i32(record, length + BROADCAST_RECORD_HEADER_LENGTH)
    store_relaxed_i32(record + 1, msg_type_id)
    memcpy(record + 2, source, length)
    store_release_i64(broadcast.latest_counter, tail)
    store_release_i64(broadcast.tail_counter, tail + required)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def broadcast_receiver_init(
    receiver: pointer[BroadcastReceiverState], broadcast: pointer[BroadcastBuffer]
) -> cython.void:
    latest: int64_t = load_acquire_i64(broadcast.latest_counter)
    receiver.broadcast = broadcast
    receiver.cursor = latest
    receiver.next_record = latest
    receiver.lapped_count = 0


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def is_intact(broadcast: pointer[BroadcastBuffer], cursor: int64_t) -> cython.bint:
    """Whether what was read at cursor before this call cannot have been overwritten meanwhile."""
    fence_acquire()
    return cursor + broadcast.capacity > load_acquire_i64(broadcast.tail_intent_counter)


@cfunc
@nogil
@exceptval(check=False)
def jump_to_latest(receiver: pointer[BroadcastReceiverState]) -> int32_t:
    receiver.lapped_count += 1
    receiver.next_record = load_acquire_i64(receiver.broadcast.latest_counter)
    receiver.cursor = receiver.next_record
    return -2


@cfunc
@nogil
@exceptval(check=False)
def broadcast_receive(
    receiver: pointer[BroadcastReceiverState],
    msg_type_id: pointer[int32_t],
    scratch: pointer[uint8_t],
    scratch_length: int32_t,
) -> int32_t:
    broadcast: pointer[BroadcastBuffer] = receiver.broadcast
    cursor: int64_t = receiver.next_record
    if load_acquire_i64(broadcast.tail_counter) <= cursor:
        return -1
    if not is_intact(broadcast, cursor):
        return jump_to_latest(receiver)
    offset: int32_t = offset_of(broadcast, cursor)
    record: pointer[int32_t] = cast(pointer[int32_t], broadcast.buffer + offset)
    if load_relaxed_i32(record + 1) == BROADCAST_PADDING_MSG_TYPE_ID:
        # Padding is never last: its message, at the front, went out with the same tail.
        cursor += broadcast.capacity - offset
        offset = 0
        record = cast(pointer[int32_t], broadcast.buffer)
    record_length: int32_t = load_relaxed_i32(record)
    type_id: int32_t = load_relaxed_i32(record + 1)
    length: int32_t = record_length - BROADCAST_RECORD_HEADER_LENGTH
    if record_length < BROADCAST_RECORD_HEADER_LENGTH or record_length > broadcast.capacity - offset:
        # Overwritten while we looked, or corrupt: both mean these bytes cannot be followed.
        return jump_to_latest(receiver)
    if length > scratch_length:
        if not is_intact(broadcast, cursor):
            return jump_to_latest(receiver)
        msg_type_id[0] = length
        return -3
    memcpy(scratch, record + 2, length)
    if not is_intact(broadcast, cursor):
        return jump_to_latest(receiver)
    receiver.cursor = cursor
    receiver.next_record = cursor + aligned(record_length)
    msg_type_id[0] = type_id
    return length
