# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Races on the pointer queues without the GIL: to test their fences with real threads."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void
from cython.cimports.libc.stdint import int32_t, int64_t, intptr_t
from cython.cimports.volans.memory.atomic import cpu_pause, fetch_add_i64, load_acquire_i64
from cython.cimports.volans.memory.layout import PointerQueue
from cython.cimports.volans.memory.queues import (
    mpmc_queue_offer,
    mpmc_queue_poll,
    mpsc_queue_offer,
    mpsc_queue_poll,
    queue_free,
    queue_init,
    spsc_queue_offer,
    spsc_queue_poll,
)
from cython.cimports.volans.memory.scheduler import thread_yield

_KINDS = ("spsc", "mpsc", "mpmc")
_MAX_PRODUCERS_COUNT = 64


@cclass
class QueueLitmus:
    """One queue of `kind` ("spsc", "mpsc" or "mpmc"); call produce and consume from threads.

    An element is (producer number, sequence). `consume` returns how many elements came out of
    order from any one producer, as far as this consumer saw.
    """

    queue: PointerQueue
    kind: int32_t
    consumed_count: int64_t
    element_sum: int64_t

    def __init__(self, kind: str, capacity: int64_t):
        self.kind = _KINDS.index(kind)
        if queue_init(address(self.queue), capacity) < 0:
            raise MemoryError

    def __dealloc__(self):
        queue_free(address(self.queue))

    @cfunc
    @nogil
    @exceptval(check=False)
    def _offer(self, element: int64_t) -> int32_t:
        pointer_bits: p_void = cast(p_void, cast(intptr_t, element))
        if self.kind == 0:
            return spsc_queue_offer(address(self.queue), pointer_bits)
        if self.kind == 1:
            return mpsc_queue_offer(address(self.queue), pointer_bits)
        return mpmc_queue_offer(address(self.queue), pointer_bits)

    @cfunc
    @nogil
    @exceptval(check=False)
    def _poll(self) -> int64_t:
        if self.kind == 0:
            return cast(intptr_t, spsc_queue_poll(address(self.queue)))
        if self.kind == 1:
            return cast(intptr_t, mpsc_queue_poll(address(self.queue)))
        return cast(intptr_t, mpmc_queue_poll(address(self.queue)))

    def produce(self, producer: int64_t, elements_count: int64_t) -> None:
        """Offer sequences 1 to `elements_count`, spinning while the queue is full."""
        if not 0 <= producer < _MAX_PRODUCERS_COUNT:
            raise ValueError(f"producer={producer} is outside 0..{_MAX_PRODUCERS_COUNT - 1}")
        sequence: int64_t = 1
        spins: int64_t = 0
        with nogil:
            while sequence <= elements_count:
                if self._offer((producer << 40) | sequence):
                    sequence += 1
                else:
                    cpu_pause()
                    spins += 1
                    if spins % 32 == 0:
                        thread_yield()

    def consume(self, total_count: int64_t) -> int:
        """Poll until all consumers together have `total_count` elements."""
        last: cython.long[64]
        index: int32_t
        element: int64_t
        producer: int64_t
        sequence: int64_t
        disorder_count: int64_t = 0
        spins: int64_t = 0
        with nogil:
            for index in range(64):
                last[index] = 0
            while load_acquire_i64(address(self.consumed_count)) < total_count:
                element = self._poll()
                if element == 0:
                    cpu_pause()
                    spins += 1
                    if spins % 32 == 0:
                        thread_yield()
                    continue
                producer = element >> 40
                sequence = element - (producer << 40)
                if sequence <= last[producer]:
                    disorder_count += 1
                last[producer] = sequence
                fetch_add_i64(address(self.element_sum), sequence)
                fetch_add_i64(address(self.consumed_count), 1)
        return disorder_count

    @property
    def sequence_sum(self) -> int:
        """The sum of all sequences taken out: tells lost and doubled elements."""
        return load_acquire_i64(address(self.element_sum))
