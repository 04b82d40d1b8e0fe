# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Loops without the GIL that catch a missing fence or a broken claim in the memory structures.

Each function is one side of an experiment over shared memory: run the sides in threads or
processes at the same time. They count what must never happen. A side whose partner died
gives up after ``patience_ns``.
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.memory.atomic import (
    cpu_pause,
    load_acquire_i64,
    load_relaxed_i64,
    store_relaxed_i64,
    store_release_i64,
)
from cython.cimports.volans.memory.broadcast import (
    broadcast_receive,
    broadcast_receiver_init,
    broadcast_transmit,
    broadcast_wrap,
)
from cython.cimports.volans.memory.clock import monotonic_ns, sleep_ns
from cython.cimports.volans.memory.layout import (
    RING_FULL,
    RING_OK,
    BroadcastBuffer,
    BroadcastReceiverState,
    RingBuffer,
)
from cython.cimports.volans.memory.ring_buffer import (
    mpsc_ring_claim,
    mpsc_ring_read,
    mpsc_ring_write,
    ring_abort,
    ring_buffer_wrap,
    ring_commit,
    spsc_ring_read,
    spsc_ring_write,
)
from cython.cimports.volans.memory.views import flat_view, view_address

# --- a message that can be judged: three header words, then words derived from them ----------


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def mix(value: uint64_t) -> uint64_t:
    value ^= value >> 33
    value *= cast(uint64_t, 0xFF51AFD7ED558CCD)
    return value ^ (value >> 29)


@cfunc
@nogil
@exceptval(check=False)
def fill(message: pointer[int64_t], producer: int64_t, sequence: int64_t) -> int32_t:
    """Write a message whose length follows from its sequence; its length in bytes."""
    words: int32_t = cast(int32_t, 2 + sequence % 5)
    seed: uint64_t = mix(cast(uint64_t, producer * 1000003 + sequence))
    message[0] = producer
    message[1] = sequence
    i: int32_t
    for i in range(2, words):
        message[i] = cast(int64_t, mix(seed + i))
    return words * 8


@cfunc
@nogil
@exceptval(check=False)
def is_whole(message: pointer[int64_t], length: int32_t) -> cython.bint:
    expected: int64_t[8]
    i: int32_t
    if length < 16 or length > 48:
        return False
    if fill(cast(pointer[int64_t], expected), message[0], message[1]) != length:
        return False
    for i in range(length // 8):  # noqa: SIM110 - a generator would need the GIL
        if message[i] != expected[i]:
            return False
    return True


@cfunc
@nogil
@exceptval(check=False)
def wait_a_little(waits: int64_t) -> int64_t:
    """Spin mostly, to meet the other side in the act; sleep at times, for a crowded machine."""
    if waits % 256 == 255:
        sleep_ns(0)
    else:
        cpu_pause()
    return waits + 1


# --- rings ---------------------------------------------------------------------------------


def produce(
    buffer,
    producer: int64_t,
    count: int64_t,
    *,
    many: cython.bint = True,
    claim_every: int64_t = 0,
    patience_ns: int64_t = 30_000_000_000,
) -> int:
    """Write `count` numbered messages into a ring; how many got in.

    With ``many``, each ``claim_every``-th message is claimed, and a claim before it aborted.
    """
    view = flat_view(buffer, True, "a ring buffer")
    ring = cython.declare(RingBuffer)
    message = cython.declare(int64_t[8])
    words: pointer[int64_t] = cast(pointer[int64_t], message)
    waits: int64_t = 0
    sequence: int64_t = 0
    length: int32_t
    result: int32_t
    deadline_ns: int64_t = monotonic_ns() + patience_ns
    if ring_buffer_wrap(address(ring), view_address(view), view.nbytes) != 0:
        raise ValueError(f"{view.nbytes} bytes are no ring buffer")
    with nogil:
        while sequence < count:
            length = fill(words, producer, sequence)
            if not many:
                result = spsc_ring_write(address(ring), 1, words, length)
            elif claim_every != 0 and sequence % claim_every == 0:
                result = mpsc_ring_claim(address(ring), 1, 24)
                if result >= 0:
                    ring_abort(address(ring), result)
                    result = mpsc_ring_claim(address(ring), 1, length)
                if result >= 0:
                    fill(cast(pointer[int64_t], ring.buffer + result), producer, sequence)
                    ring_commit(address(ring), result)
                    result = RING_OK
            else:
                result = mpsc_ring_write(address(ring), 1, words, length)
            if result == RING_OK:
                sequence += 1
            elif result != RING_FULL or monotonic_ns() > deadline_ns:
                break
            else:
                waits = wait_a_little(waits)
    return sequence


@cclass
class RingVerdict:
    """What a consumer saw: all but ``received`` must be 0."""

    received = cython.declare(int64_t, visibility="readonly")
    damaged = cython.declare(int64_t, visibility="readonly")
    misordered = cython.declare(int64_t, visibility="readonly")
    next_sequence: pointer[int64_t]
    producers: int64_t

    def __cinit__(self, producers: int64_t):
        self.producers = producers
        self.next_sequence = cast(pointer[int64_t], calloc(producers, sizeof(int64_t)))
        if self.next_sequence is cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.next_sequence)

    @cfunc
    @nogil
    @exceptval(check=False)
    def judge(self, message: pointer[int64_t], length: int32_t) -> cython.void:
        producer: int64_t
        self.received += 1
        if not is_whole(message, length) or not 0 <= message[0] < self.producers:
            self.damaged += 1
            return
        producer = message[0]
        # Lost, doubled and reordered messages all break the producer's own numbering.
        if message[1] != self.next_sequence[producer]:
            self.misordered += 1
        self.next_sequence[producer] = message[1] + 1


@cfunc
@nogil
@exceptval(check=False)
def on_ring_message(
    msg_type_id: int32_t, payload: pointer[uint8_t], length: int32_t, clientd: p_void
) -> cython.void:
    cast(RingVerdict, clientd).judge(cast(pointer[int64_t], payload), length)


def consume(
    buffer,
    producers: int64_t,
    total: int64_t,
    *,
    many: cython.bint = True,
    patience_ns: int64_t = 30_000_000_000,
) -> RingVerdict:
    """Read a ring until `total` messages came or patience ended."""
    view = flat_view(buffer, True, "a ring buffer")
    ring = cython.declare(RingBuffer)
    verdict: RingVerdict = RingVerdict(producers)
    clientd: p_void = cast(p_void, verdict)
    deadline_ns: int64_t = monotonic_ns() + patience_ns
    waits: int64_t = 0
    messages: int32_t
    if ring_buffer_wrap(address(ring), view_address(view), view.nbytes) != 0:
        raise ValueError(f"{view.nbytes} bytes are no ring buffer")
    with nogil:
        while verdict.received < total:
            if many:
                messages = mpsc_ring_read(address(ring), on_ring_message, clientd, 64)
            else:
                messages = spsc_ring_read(address(ring), on_ring_message, clientd, 64)
            if messages == 0:
                if monotonic_ns() > deadline_ns:
                    break
                waits = wait_a_little(waits)
    return verdict


# --- broadcast -----------------------------------------------------------------------------


def transmit(buffer, count: int64_t, *, pause_every: int64_t = 0) -> int:
    """Broadcast `count` numbered messages, giving way after each ``pause_every``."""
    view = flat_view(buffer, True, "a broadcast buffer")
    broadcast = cython.declare(BroadcastBuffer)
    message = cython.declare(int64_t[8])
    words: pointer[int64_t] = cast(pointer[int64_t], message)
    sequence: int64_t
    length: int32_t
    if broadcast_wrap(address(broadcast), view_address(view), view.nbytes) != 0:
        raise ValueError(f"{view.nbytes} bytes are no broadcast buffer")
    with nogil:
        for sequence in range(count):
            length = fill(words, 0, sequence)
            broadcast_transmit(address(broadcast), 1, words, length)
            if pause_every != 0 and sequence % pause_every == 0:
                sleep_ns(0)
    return count


def receive(buffer, last_sequence: int64_t, *, patience_ns: int64_t = 30_000_000_000) -> dict:
    """Receive until `last_sequence`; counts of what came, was damaged, went back, and laps."""
    view = flat_view(buffer, False, "a broadcast buffer")
    broadcast = cython.declare(BroadcastBuffer)
    state = cython.declare(BroadcastReceiverState)
    scratch = cython.declare(int64_t[64])
    words: pointer[int64_t] = cast(pointer[int64_t], scratch)
    deadline_ns: int64_t = monotonic_ns() + patience_ns
    waits: int64_t = 0
    received: int64_t = 0
    damaged: int64_t = 0
    backwards: int64_t = 0
    unexplained_gaps: int64_t = 0
    previous: int64_t = -1
    lapped: cython.bint = True  # where a receiver begins is not the first message
    msg_type_id: int32_t = 0
    length: int32_t
    if broadcast_wrap(address(broadcast), view_address(view), view.nbytes) != 0:
        raise ValueError(f"{view.nbytes} bytes are no broadcast buffer")
    broadcast_receiver_init(address(state), address(broadcast))
    with nogil:
        while previous < last_sequence:
            length = broadcast_receive(
                address(state), address(msg_type_id), cast(pointer[uint8_t], words), 512
            )
            if length >= 0:
                received += 1
                if msg_type_id != 1 or not is_whole(words, length):
                    damaged += 1
                    continue
                if words[1] < previous or (words[1] == previous and not lapped):
                    backwards += 1
                elif words[1] != previous + 1 and not lapped:
                    unexplained_gaps += 1
                previous = words[1]
                lapped = False
            elif length == -1:
                if monotonic_ns() > deadline_ns:
                    break
                waits = wait_a_little(waits)
            else:
                lapped = True
    return {
        "received": received,
        "damaged": damaged,
        "backwards": backwards,
        "unexplained_gaps": unexplained_gaps,
        "last": previous,
        "laps": state.lapped_count,
    }


# --- message passing: data, then flag --------------------------------------------------------

_WORD_STRIDE_BYTES = 128  # data and flag on lines of their own


def pass_messages(buffer, rounds: int64_t) -> int:
    """Write data (relaxed), then the flag (release), `rounds` times, never waiting."""
    view = flat_view(buffer, True, "the message-passing litmus")
    if view.nbytes < 2 * _WORD_STRIDE_BYTES:
        raise ValueError(f"needs {2 * _WORD_STRIDE_BYTES} bytes, not {view.nbytes}")
    data: pointer[int64_t] = cast(pointer[int64_t], view_address(view))
    flag: pointer[int64_t] = data + 16
    i: int64_t
    with nogil:
        for i in range(1, rounds + 1):
            store_relaxed_i64(data, i)
            store_release_i64(flag, i)
    return rounds


def observe_messages(buffer, rounds: int64_t, *, patience_ns: int64_t = 30_000_000_000) -> dict:
    """Read the flag (acquire), then the data (relaxed): data older than the flag is a violation."""
    view = flat_view(buffer, False, "the message-passing litmus")
    if view.nbytes < 2 * _WORD_STRIDE_BYTES:
        raise ValueError(f"needs {2 * _WORD_STRIDE_BYTES} bytes, not {view.nbytes}")
    data: pointer[int64_t] = cast(pointer[int64_t], view_address(view))
    flag: pointer[int64_t] = data + 16
    deadline_ns: int64_t = monotonic_ns() + patience_ns
    waits: int64_t = 0
    looks: int64_t = 0
    violations: int64_t = 0
    changes: int64_t = 0
    seen: int64_t = 0
    previous: int64_t = 0
    with nogil:
        while seen < rounds:
            seen = load_acquire_i64(flag)
            if load_relaxed_i64(data) < seen or seen < previous:
                violations += 1
            looks += 1
            if seen != previous:
                changes += 1
                previous = seen
            elif looks % 4096 == 0:
                if monotonic_ns() > deadline_ns:
                    break
                waits = wait_a_little(waits)
    return {"looks": looks, "changes": changes, "violations": violations, "last": seen}
