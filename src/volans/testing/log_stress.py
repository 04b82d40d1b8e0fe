# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Producers and a consumer of one log in threads that hold no GIL.

Every message says who sent it, its number, and has bytes that follow from both; the consumer
checks all of it, moves the limit along and cleans behind itself like a driver would.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, p_void, pointer, void
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.log.append import (
    append,
    append_batch,
    append_exclusive,
    append_gather,
    append_gather_exclusive,
    appender_init,
    claim,
    claim_abort,
    claim_commit,
    claim_exclusive,
)
from cython.cimports.volans.log.clean import log_clean
from cython.cimports.volans.log.layout import (
    APPEND_ADMIN_ACTION,
    APPEND_BACK_PRESSURED,
    Appender,
    ClaimResult,
    Piece,
)
from cython.cimports.volans.log.read import read_fragments
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_BEGIN,
    DATA_FLAG_END,
    DATA_HEADER_LENGTH,
    DataHeader,
)
from cython.cimports.volans.testing.log_kit import LogKit, sched_yield
from cython.cimports.volans.testing.log_stress import (
    PRODUCER_MAX,
    STRESS_HEADER_LENGTH,
    Consumer,
)


@cfunc
@nogil
@exceptval(check=False)
def mixed(producer: int32_t, sequence: int32_t) -> uint32_t:
    x: uint32_t = cast(uint32_t, producer) * 1103515245 + cast(uint32_t, sequence) * 1640531527
    x = x ^ (x >> 15)
    x = x * 1103515245
    return x ^ (x >> 13)


@cfunc
@nogil
@exceptval(check=False)
def length_of(producer: int32_t, sequence: int32_t, max_length: int32_t) -> int32_t:
    spread: int32_t = max_length - STRESS_HEADER_LENGTH + 1
    x: uint32_t = mixed(producer, sequence)
    # Mostly short, now and then as long as it may be.
    if x % 16 != 0 and spread > 200:
        spread = 200
    return STRESS_HEADER_LENGTH + cast(int32_t, (x >> 4) % cast(uint32_t, spread))


@cfunc
@nogil
@exceptval(check=False)
def byte_of(producer: int32_t, sequence: int32_t, index: int32_t) -> uint8_t:
    return cast(uint8_t, cast(uint32_t, index) * 31 + mixed(producer, sequence))


@cfunc
@nogil
@exceptval(check=False)
def make_message(
    message: pointer[uint8_t], producer: int32_t, sequence: int32_t, length: int32_t
) -> void:
    words: pointer[int32_t] = cast(pointer[int32_t], message)
    index: int32_t
    words[0] = producer
    words[1] = sequence
    words[2] = length
    words[3] = ~sequence
    for index in range(STRESS_HEADER_LENGTH, length):
        message[index] = byte_of(producer, sequence, index)


@cfunc
@nogil
@exceptval(check=False)
def send(
    appender: pointer[Appender],
    exclusive: cython.bint,
    message: pointer[uint8_t],
    length: int32_t,
    may_abort: cython.bint,
) -> int64_t:
    way: uint32_t = (cast(uint32_t, length) * 1640531527) >> 29
    pieces: Piece[2]
    claimed: ClaimResult
    code: int64_t = 0
    if way < 2 and length <= appender.max_payload_length:
        if exclusive:
            code = claim_exclusive(appender, length, address(claimed))
        else:
            code = claim(appender, length, address(claimed))
        if code > 0 and may_abort and length % 3 == 0:
            claim_abort(claimed.header, length + DATA_HEADER_LENGTH)
            return APPEND_ADMIN_ACTION  # said again by the caller
        if code > 0:
            memcpy(claimed.payload, message, length)
            claim_commit(claimed.header, length + DATA_HEADER_LENGTH)
        return code
    if way < 4:
        pieces[0].data = message
        pieces[0].length = length // 3
        pieces[1].data = message + length // 3
        pieces[1].length = length - length // 3
        if exclusive:
            return append_gather_exclusive(appender, address(pieces[0]), 2, length, 0)
        return append_gather(appender, address(pieces[0]), 2, length, 0)
    if way < 5:
        append_batch(appender, exclusive, message, length, length, 1, address(code))
        return code
    if exclusive:
        return append_exclusive(appender, message, length, 0)
    return append(appender, message, length, 0)


def produce(
    kit: LogKit,
    producer: int32_t,
    count: int32_t,
    max_length: int32_t,
    exclusive: cython.bint = False,
) -> dict:
    """Send ``count`` messages; how often the log said no, by code. Releases the GIL."""
    if max_length < STRESS_HEADER_LENGTH or max_length > kit.shared.max_message_length:
        raise ValueError(f"max_length is {max_length}: {kit.shared.max_message_length} at most")
    if producer < 0 or producer >= PRODUCER_MAX:
        raise ValueError(f"producer is {producer}: 0 to {PRODUCER_MAX - 1}")
    appender: Appender
    appender_init(address(appender), address(kit.log), address(kit.limit))
    target: pointer[Appender] = address(kit.own) if exclusive else address(appender)
    message: pointer[uint8_t] = cast(pointer[uint8_t], calloc(1, max_length))
    if message is cython.NULL:
        raise MemoryError
    sequence: int32_t = 0
    length: int32_t
    result: int64_t
    admin_actions: int64_t = 0
    tries: int32_t = 0
    back_pressured: int64_t = 0
    failure: int64_t = 0
    with nogil:
        while sequence < count and load_acquire_i32(address(kit.stop)) == 0:
            length = length_of(producer, sequence, max_length)
            make_message(message, producer, sequence, length)
            result = send(target, exclusive, message, length, tries == 0)
            tries += 1
            if result > 0:
                sequence += 1
                tries = 0
            elif result == APPEND_ADMIN_ACTION:
                admin_actions += 1
            elif result == APPEND_BACK_PRESSURED:
                back_pressured += 1
                sched_yield()
            else:
                failure = result
                break
    free(message)
    return {
        "sent": sequence,
        "admin_actions": admin_actions,
        "back_pressured": back_pressured,
        "failure": failure,
    }


@cfunc
@nogil
@exceptval(check=False)
def check_fragment(
    payload: pointer[cython.const[uint8_t]],
    length: int32_t,
    header: pointer[DataHeader],
    clientd: p_void,
) -> int32_t:
    consumer: pointer[Consumer] = cast(pointer[Consumer], clientd)
    words: pointer[cython.const[int32_t]] = cast(pointer[cython.const[int32_t]], payload)
    index: int32_t = 0
    if consumer.failure != 0:
        return 0
    if header.flags & DATA_FLAG_BEGIN:
        if consumer.expected_length != consumer.seen_length or length < STRESS_HEADER_LENGTH:
            consumer.failure = 1
            return 0
        consumer.producer = words[0]
        consumer.sequence = words[1]
        consumer.expected_length = words[2]
        consumer.seen_length = 0
        if words[3] != ~words[1] or words[0] < 0 or words[0] >= PRODUCER_MAX:
            consumer.failure = 2
            return 0
        if consumer.next_sequence[words[0]] != words[1]:
            consumer.failure = 3
            return 0
        index = STRESS_HEADER_LENGTH
    while index < length:
        if payload[index] != byte_of(
            consumer.producer, consumer.sequence, consumer.seen_length + index
        ):
            consumer.failure = 4
            return 0
        index += 1
    consumer.seen_length += length
    if header.flags & DATA_FLAG_END:
        if consumer.seen_length != consumer.expected_length:
            consumer.failure = 5
            return 0
        consumer.next_sequence[consumer.producer] += 1
        consumer.message_count += 1
    return 0


def consume(kit: LogKit, count: int64_t, window: int64_t) -> dict:
    """Read and check ``count`` messages from where the log stands. Releases the GIL.

    ``failure`` is 0, or 1 message cut, 2 header, 3 order, 4 content, 5 length.
    """
    consumer: Consumer
    position: int64_t = 0
    clean_position: int64_t = 0
    fragments: int32_t
    memset(address(consumer), 0, cython.sizeof(Consumer))
    with nogil:
        store_release_i64(address(kit.limit), window)
        while (
            consumer.message_count < count
            and consumer.failure == 0
            and load_acquire_i32(address(kit.stop)) == 0
        ):
            fragments = read_fragments(
                address(kit.log),
                address(position),
                load_acquire_i64(address(kit.limit)) + kit.log.term_length,
                64,
                check_fragment,
                address(consumer),
            )
            while clean_position < position:
                clean_position = log_clean(
                    address(kit.log), clean_position, position, kit.log.term_length
                )
            store_release_i64(address(kit.limit), position + window)
            if fragments == 0:
                sched_yield()
    return {
        "received": consumer.message_count,
        "failure": consumer.failure,
        "position": position,
    }
