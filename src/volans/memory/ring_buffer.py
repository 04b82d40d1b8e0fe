# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Ring buffers of typed messages between threads or processes (PROTOCOL.md section 4).

Two kinds share one layout and one reader: many producers claim by compare-and-set on the
tail (``mpsc_``), a single producer just moves it (``spsc_``). The consumer alone moves the
head. A record's length word is its state: 0 not there yet, negative being written,
positive published. What other processes wrote is never trusted with an address.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.memory.atomic import (
    cas_i64,
    fence_release,
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    load_relaxed_i64,
    store_relaxed_i32,
    store_relaxed_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.layout import (
    RING_BAD_MSG_TYPE_ID,
    RING_CONSUMER_HEARTBEAT_OFFSET,
    RING_CORRELATION_COUNTER_OFFSET,
    RING_FULL,
    RING_HEAD_CACHE_POSITION_OFFSET,
    RING_HEAD_POSITION_OFFSET,
    RING_MESSAGE_TOO_LONG,
    RING_OK,
    RING_PADDING_MSG_TYPE_ID,
    RING_RECORD_ALIGNMENT,
    RING_RECORD_HEADER_LENGTH,
    RING_TAIL_POSITION_OFFSET,
    RING_TRAILER_LENGTH,
    RingBuffer,
    message_handler_fn,
)


@cfunc
@nogil
@exceptval(check=False)
def ring_buffer_wrap(
    ring: pointer[RingBuffer], memory: pointer[uint8_t], total_length: int64_t
) -> int32_t:
    capacity: int64_t = total_length - RING_TRAILER_LENGTH
    if capacity < RING_RECORD_ALIGNMENT or capacity > (1 << 30) or capacity & (capacity - 1) != 0:
        return -1
    trailer: pointer[uint8_t] = memory + capacity
    ring.buffer = memory
    ring.capacity = cast(int32_t, capacity)
    ring.max_message_length = 0 if capacity == RING_RECORD_ALIGNMENT else ring.capacity >> 3
    ring.tail_position = cast(pointer[int64_t], trailer + RING_TAIL_POSITION_OFFSET)
    ring.head_cache_position = cast(pointer[int64_t], trailer + RING_HEAD_CACHE_POSITION_OFFSET)
    ring.head_position = cast(pointer[int64_t], trailer + RING_HEAD_POSITION_OFFSET)
    ring.correlation_counter = cast(pointer[int64_t], trailer + RING_CORRELATION_COUNTER_OFFSET)
    ring.consumer_heartbeat = cast(pointer[int64_t], trailer + RING_CONSUMER_HEARTBEAT_OFFSET)
    ring.corrupt_record_count = 0
    return 0


@cfunc
@nogil
@exceptval(check=False)
def ring_buffer_next_correlation_id(ring: pointer[RingBuffer]) -> int64_t:
    return fetch_add_i64(ring.correlation_counter, 1)


@cfunc
@nogil
@exceptval(check=False)
def ring_buffer_size_bytes(ring: pointer[RingBuffer]) -> int64_t:
    # The head is read on both sides of the tail: only if it stood still the difference counts.
    head: int64_t = load_acquire_i64(ring.head_position)
    tail: int64_t
    again: int64_t
    while True:
        tail = load_acquire_i64(ring.tail_position)
        again = load_acquire_i64(ring.head_position)
        if again == head:
            break
        head = again
    return max(0, min(tail - head, cast(int64_t, ring.capacity)))


# --- records -------------------------------------------------------------------------------


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def record_word(ring: pointer[RingBuffer], index: int32_t) -> pointer[int32_t]:
    """Address of a record's length; its message type id is the word after."""
    return cast(pointer[int32_t], ring.buffer + index)


@cfunc
@nogil
@exceptval(check=False)
def index_of(ring: pointer[RingBuffer], position: int64_t) -> int32_t:
    # Clearing the low bits costs nothing and keeps a corrupt position from crossing a record.
    return cast(int32_t, position & (ring.capacity - 1) & -RING_RECORD_ALIGNMENT)


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def aligned(length: int32_t) -> int32_t:
    return (length + RING_RECORD_ALIGNMENT - 1) & -RING_RECORD_ALIGNMENT


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def begin_record(
    ring: pointer[RingBuffer], index: int32_t, msg_type_id: int32_t, record_length: int32_t
) -> cython.void:
    """Mark a claimed record as being written: unblocking must know how long it is."""
    word: pointer[int32_t] = record_word(ring, index)
    store_release_i32(word, -record_length)
    fence_release()  # nothing of the message may become visible before the negative length
    store_relaxed_i32(word + 1, msg_type_id)


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def write_padding(ring: pointer[RingBuffer], index: int32_t, length: int32_t) -> cython.void:
    begin_record(ring, index, RING_PADDING_MSG_TYPE_ID, length)
    store_release_i32(record_word(ring, index), length)


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def check_message(ring: pointer[RingBuffer], msg_type_id: int32_t, length: int32_t) -> int32_t:
    if msg_type_id < 1:
        return RING_BAD_MSG_TYPE_ID
    if length < 0 or length > ring.max_message_length:
        return RING_MESSAGE_TOO_LONG
    return RING_OK


# --- producers -----------------------------------------------------------------------------


@cfunc
@nogil
@exceptval(check=False)
def mpsc_reserve(ring: pointer[RingBuffer], required: int32_t) -> int32_t:
    """Index of `required` contiguous bytes owned by the caller, or RING_FULL.

    Every producer races with a compare-and-set on the tail; padding to the end, when the
    record does not fit there, belongs to the winner too.
    """
    head: int64_t = load_acquire_i64(ring.head_cache_position)
    tail: int64_t
    index: int32_t
    padding: int32_t
    while True:
        tail = load_acquire_i64(ring.tail_position)
        if required > ring.capacity - (tail - head):
            head = load_acquire_i64(ring.head_position)
            if required > ring.capacity - (tail - head):
                return RING_FULL
            store_release_i64(ring.head_cache_position, head)
        padding = 0
        index = index_of(ring, tail)
        if required > ring.capacity - index:
            if required > index_of(ring, head):
                head = load_acquire_i64(ring.head_position)
                if required > index_of(ring, head):
                    return RING_FULL
                store_release_i64(ring.head_cache_position, head)
            padding = ring.capacity - index
        if cas_i64(ring.tail_position, tail, tail + required + padding):
            break
    if padding != 0:
        write_padding(ring, index, padding)
        return 0
    return index


@cfunc
@nogil
@exceptval(check=False)
def spsc_reserve(ring: pointer[RingBuffer], required: int32_t) -> int32_t:
    """As mpsc_reserve for the only producer: no compare-and-set, but an own duty.

    An SPSC consumer of any implementation may leave consumed bytes as they are, so the
    header *after* the new record is zeroed before the record is published.
    """
    tail: int64_t = load_relaxed_i64(ring.tail_position)  # only this thread writes it
    head: int64_t = load_relaxed_i64(ring.head_cache_position)
    needed: int32_t = required + RING_RECORD_HEADER_LENGTH
    index: int32_t = index_of(ring, tail)
    to_end: int32_t = ring.capacity - index
    padding: int32_t = 0
    if needed > ring.capacity - (tail - head):
        head = load_acquire_i64(ring.head_position)
        if needed > ring.capacity - (tail - head):
            return RING_FULL
        store_relaxed_i64(ring.head_cache_position, head)
    if required == to_end:
        clear_header(ring, 0)
    elif needed > to_end:
        if needed > index_of(ring, head):
            head = load_acquire_i64(ring.head_position)
            if needed > index_of(ring, head):
                return RING_FULL
            store_relaxed_i64(ring.head_cache_position, head)
        padding = to_end
        clear_header(ring, 0)
        clear_header(ring, required)
    else:
        clear_header(ring, index + required)
    store_release_i64(ring.tail_position, tail + required + padding)
    if padding != 0:
        write_padding(ring, index, padding)
        return 0
    return index


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def clear_header(ring: pointer[RingBuffer], index: int32_t) -> cython.void:
    word: pointer[int32_t] = record_word(ring, index)
    store_relaxed_i32(word, 0)
    store_relaxed_i32(word + 1, 0)


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def fill_record(
    ring: pointer[RingBuffer],
    index: int32_t,
    msg_type_id: int32_t,
    source: cython.p_const_void,
    length: int32_t,
) -> cython.void:
    record_length: int32_t = length + RING_RECORD_HEADER_LENGTH
    begin_record(ring, index, msg_type_id, record_length)
    memcpy(ring.buffer + index + RING_RECORD_HEADER_LENGTH, source, length)
    store_release_i32(record_word(ring, index), record_length)


@cfunc
@nogil
@exceptval(check=False)
def mpsc_ring_write(
    ring: pointer[RingBuffer], msg_type_id: int32_t, source: cython.p_const_void, length: int32_t
) -> int32_t:
    result: int32_t = check_message(ring, msg_type_id, length)
    if result != RING_OK:
        return result
    index: int32_t = mpsc_reserve(ring, aligned(length + RING_RECORD_HEADER_LENGTH))
    if index < 0:
        return index
    fill_record(ring, index, msg_type_id, source, length)
    return RING_OK


@cfunc
@nogil
@exceptval(check=False)
def spsc_ring_write(
    ring: pointer[RingBuffer], msg_type_id: int32_t, source: cython.p_const_void, length: int32_t
) -> int32_t:
    result: int32_t = check_message(ring, msg_type_id, length)
    if result != RING_OK:
        return result
    index: int32_t = spsc_reserve(ring, aligned(length + RING_RECORD_HEADER_LENGTH))
    if index < 0:
        return index
    fill_record(ring, index, msg_type_id, source, length)
    return RING_OK


@cfunc
@nogil
@exceptval(check=False)
def mpsc_ring_claim(ring: pointer[RingBuffer], msg_type_id: int32_t, length: int32_t) -> int32_t:
    result: int32_t = check_message(ring, msg_type_id, length)
    if result != RING_OK:
        return result
    index: int32_t = mpsc_reserve(ring, aligned(length + RING_RECORD_HEADER_LENGTH))
    if index < 0:
        return index
    begin_record(ring, index, msg_type_id, length + RING_RECORD_HEADER_LENGTH)
    return index + RING_RECORD_HEADER_LENGTH


@cfunc
@nogil
@exceptval(check=False)
def spsc_ring_claim(ring: pointer[RingBuffer], msg_type_id: int32_t, length: int32_t) -> int32_t:
    result: int32_t = check_message(ring, msg_type_id, length)
    if result != RING_OK:
        return result
    index: int32_t = spsc_reserve(ring, aligned(length + RING_RECORD_HEADER_LENGTH))
    if index < 0:
        return index
    begin_record(ring, index, msg_type_id, length + RING_RECORD_HEADER_LENGTH)
    return index + RING_RECORD_HEADER_LENGTH


@cfunc
@nogil
@exceptval(check=False)
def ring_commit(ring: pointer[RingBuffer], index: int32_t) -> cython.void:
    # A record that is not being written any more was unblocked by the consumer: leave it.
    word: pointer[int32_t] = record_word(ring, index - RING_RECORD_HEADER_LENGTH)
    length: int32_t = load_acquire_i32(word)
    if length < 0:
        store_release_i32(word, -length)


@cfunc
@nogil
@exceptval(check=False)
def ring_abort(ring: pointer[RingBuffer], index: int32_t) -> cython.void:
    word: pointer[int32_t] = record_word(ring, index - RING_RECORD_HEADER_LENGTH)
    length: int32_t = load_acquire_i32(word)
    if length < 0:
        store_relaxed_i32(word + 1, RING_PADDING_MSG_TYPE_ID)
        store_release_i32(word, -length)


# --- the consumer --------------------------------------------------------------------------


@cfunc
@nogil
@exceptval(check=False)
def next_message(
    ring: pointer[RingBuffer],
    head_index: int32_t,
    bytes_read: pointer[int32_t],
    msg_type_id: pointer[int32_t],
    length: pointer[int32_t],
) -> int32_t:
    """Step over the next record of the contiguous block; index of its payload, -1 at the end.

    Padding is stepped over. A length no producer of this ring can write (shorter than a
    header, past what was claimed) cannot be followed: what was claimed is given up and counted.
    """
    block_length: int32_t = ring.capacity - head_index
    claimed: int64_t
    index: int32_t
    word: pointer[int32_t]
    record_length: int32_t
    while bytes_read[0] < block_length:
        index = head_index + bytes_read[0]
        word = record_word(ring, index)
        record_length = load_acquire_i32(word)
        if record_length <= 0:
            return -1
        # Who wrote the length (release) had moved the tail before.
        claimed = load_acquire_i64(ring.tail_position) - load_relaxed_i64(ring.head_position)
        if (
            record_length < RING_RECORD_HEADER_LENGTH
            or record_length > block_length - bytes_read[0]
            or record_length > claimed - bytes_read[0]
        ):
            ring.corrupt_record_count += 1
            bytes_read[0] = published_bytes(ring, head_index, bytes_read[0])
            return -1
        bytes_read[0] += aligned(record_length)
        msg_type_id[0] = word[1]
        if msg_type_id[0] != RING_PADDING_MSG_TYPE_ID:
            length[0] = record_length - RING_RECORD_HEADER_LENGTH
            return index + RING_RECORD_HEADER_LENGTH
    return -1


@cfunc
@nogil
@exceptval(check=False)
def published_bytes(ring: pointer[RingBuffer], head_index: int32_t, at_least: int32_t) -> int32_t:
    """Claimed bytes from the head up to the tail or the end of the buffer; always past at_least."""
    size: int64_t = load_acquire_i64(ring.tail_position) - load_relaxed_i64(ring.head_position)
    smallest: int64_t = at_least + RING_RECORD_ALIGNMENT
    size = max(size & -RING_RECORD_ALIGNMENT, smallest)
    return cast(int32_t, min(size, cast(int64_t, ring.capacity - head_index)))


@cfunc
@nogil
@exceptval(check=False)
def release_read(
    ring: pointer[RingBuffer], head: int64_t, head_index: int32_t, bytes_read: int32_t
) -> cython.void:
    # Zeroes first: a producer that sees the new head (acquire) finds length words of 0.
    if bytes_read != 0:
        memset(ring.buffer + head_index, 0, bytes_read)
        store_release_i64(ring.head_position, head + bytes_read)


@cfunc
@nogil
@exceptval(check=False)
def mpsc_ring_read(
    ring: pointer[RingBuffer], handler: message_handler_fn, clientd: p_void, message_limit: int32_t
) -> int32_t:
    head: int64_t = load_relaxed_i64(ring.head_position)  # only the consumer writes it
    head_index: int32_t = index_of(ring, head)
    bytes_read: int32_t = 0
    messages_read: int32_t = 0
    msg_type_id: int32_t = 0
    length: int32_t = 0
    payload: int32_t
    while messages_read < message_limit:
        payload = next_message(
            ring, head_index, address(bytes_read), address(msg_type_id), address(length)
        )
        if payload < 0:
            break
        messages_read += 1
        handler(msg_type_id, ring.buffer + payload, length, clientd)
    release_read(ring, head, head_index, bytes_read)
    return messages_read


@cfunc
@nogil
@exceptval(check=False)
def spsc_ring_read(
    ring: pointer[RingBuffer], handler: message_handler_fn, clientd: p_void, message_limit: int32_t
) -> int32_t:
    # Zeroing is not needed for this kind (the producer clears ahead) but keeps one rule for both.
    return mpsc_ring_read(ring, handler, clientd, message_limit)


@cfunc
@nogil
@exceptval(check=False)
def mpsc_ring_unblock(ring: pointer[RingBuffer]) -> int32_t:
    """1 when a producer that died between claim and commit was turned into padding, else 0."""
    head: int64_t = load_acquire_i64(ring.head_position)
    tail: int64_t = load_acquire_i64(ring.tail_position)
    if head == tail:
        return 0
    consumer_index: int32_t = index_of(ring, head)
    producer_index: int32_t = index_of(ring, tail)
    block_length: int32_t = ring.capacity - consumer_index
    word: pointer[int32_t] = record_word(ring, consumer_index)
    length: int32_t = load_acquire_i32(word)
    if length < 0:
        store_relaxed_i32(word + 1, RING_PADDING_MSG_TYPE_ID)
        if length < -block_length:
            length = -block_length
        store_release_i32(word, -length)
        return 1
    if length > 0:
        return 0
    # Claimed, but not even a length: the gap ends where the next producer's record begins.
    limit: int32_t = producer_index if producer_index > consumer_index else ring.capacity
    index: int32_t = consumer_index + RING_RECORD_ALIGNMENT
    while index < limit:
        if load_acquire_i32(record_word(ring, index)) != 0:
            if not is_zero_between(ring, consumer_index, index):
                return 0
            store_relaxed_i32(word + 1, RING_PADDING_MSG_TYPE_ID)
            store_release_i32(word, index - consumer_index)
            return 1
        index += RING_RECORD_ALIGNMENT
    return 0


@cfunc
@nogil
@exceptval(check=False)
def is_zero_between(ring: pointer[RingBuffer], first: int32_t, end: int32_t) -> cython.bint:
    """Whether still no length word lies in [first, end): the slow producer may have woken up."""
    index: int32_t = end - RING_RECORD_ALIGNMENT
    while index >= first:
        if load_acquire_i32(record_word(ring, index)) != 0:
            return False
        index -= RING_RECORD_ALIGNMENT
    return True
