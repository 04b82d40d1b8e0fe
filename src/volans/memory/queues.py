# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Bounded lock-free queues between threads: of pointers for C, of Python objects for Python."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
from cython.cimports.libc.stdint import int32_t, int64_t, intptr_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.memory.atomic import (
    cas_i64,
    load_acquire_i64,
    load_relaxed_i64,
    store_relaxed_i64,
    store_release_i64,
)
from cython.cimports.volans.memory.layout import PointerQueue, QueueCell, queue_consumer_fn

_MAX_CAPACITY = 1 << 30


@cfunc
@nogil
@exceptval(check=False)
def queue_init(queue: pointer[PointerQueue], capacity: int64_t) -> int32_t:
    rounded: int64_t = 2
    index: int64_t
    while rounded < capacity:
        rounded *= 2
    queue.cells = cast(pointer[QueueCell], calloc(rounded, sizeof(QueueCell)))
    if queue.cells is cython.NULL:
        return -1
    queue.capacity = rounded
    queue.mask = rounded - 1
    queue.head = 0
    queue.head_cache = 0
    queue.tail = 0
    for index in range(rounded):
        queue.cells[index].sequence = index
    return 0


@cfunc
@nogil
@exceptval(check=False)
def queue_free(queue: pointer[PointerQueue]) -> cython.void:
    free(queue.cells)
    queue.cells = cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def queue_size(queue: pointer[PointerQueue]) -> int64_t:
    # Head first: it only grows, so the difference cannot come out negative.
    head: int64_t = load_acquire_i64(address(queue.head))
    size: int64_t = load_acquire_i64(address(queue.tail)) - head
    return size if size < queue.capacity else queue.capacity


@cfunc
@nogil
@exceptval(check=False)
def _is_full(queue: pointer[PointerQueue], tail: int64_t) -> cython.bint:
    """Whether a producer at `tail` finds no room; looks at head only when its copy says so."""
    # Acquire and release here too: another producer may have looked at head for us.
    if tail - load_acquire_i64(address(queue.head_cache)) < queue.capacity:
        return False
    # Acquire: a cell is ours only after the consumer has emptied it.
    head: int64_t = load_acquire_i64(address(queue.head))
    store_release_i64(address(queue.head_cache), head)
    return tail - head >= queue.capacity


@cfunc
@nogil
@exceptval(check=False)
def spsc_queue_offer(queue: pointer[PointerQueue], element: p_void) -> int32_t:
    tail: int64_t = load_relaxed_i64(address(queue.tail))
    if _is_full(queue, tail):
        return 0
    # Release pairs with the consumer's acquire of the cell: what the element points to is complete.
    store_release_i64(address(queue.cells[tail & queue.mask].element), cast(intptr_t, element))
    store_release_i64(address(queue.tail), tail + 1)
    return 1


@cfunc
@nogil
@exceptval(check=False)
def spsc_queue_poll(queue: pointer[PointerQueue]) -> p_void:
    head: int64_t = load_relaxed_i64(address(queue.head))
    cell: pointer[QueueCell] = address(queue.cells[head & queue.mask])
    element: int64_t = load_acquire_i64(address(cell.element))
    if element == 0:
        return cython.NULL
    store_relaxed_i64(address(cell.element), 0)
    # Release: producers that acquire this head see the cell empty.
    store_release_i64(address(queue.head), head + 1)
    return cast(p_void, cast(intptr_t, element))


@cfunc
@nogil
@exceptval(check=False)
def mpsc_queue_offer(queue: pointer[PointerQueue], element: p_void) -> int32_t:
    tail: int64_t
    while True:
        tail = load_acquire_i64(address(queue.tail))
        if _is_full(queue, tail):
            return 0
        if cas_i64(address(queue.tail), tail, tail + 1):
            break
    store_release_i64(address(queue.cells[tail & queue.mask].element), cast(intptr_t, element))
    return 1


@cfunc
@nogil
@exceptval(check=False)
def mpsc_queue_poll(queue: pointer[PointerQueue]) -> p_void:
    # A producer between its CAS and its store leaves the cell 0: as in an empty queue.
    return spsc_queue_poll(queue)


@cfunc
@nogil
@exceptval(check=False)
def mpmc_queue_offer(queue: pointer[PointerQueue], element: p_void) -> int32_t:
    cell: pointer[QueueCell]
    sequence: int64_t
    tail: int64_t = load_relaxed_i64(address(queue.tail))
    while True:
        cell = address(queue.cells[tail & queue.mask])
        # tail: free for this round; tail + 1: filled; one capacity more: emptied for the next.
        sequence = load_acquire_i64(address(cell.sequence))
        if sequence == tail:
            if cas_i64(address(queue.tail), tail, tail + 1):
                break
        elif sequence < tail and tail == load_relaxed_i64(address(queue.tail)):
            return 0
        tail = load_relaxed_i64(address(queue.tail))
    store_relaxed_i64(address(cell.element), cast(intptr_t, element))
    # Release hands the cell to the consumer of this round, which acquires the sequence.
    store_release_i64(address(cell.sequence), tail + 1)
    return 1


@cfunc
@nogil
@exceptval(check=False)
def mpmc_queue_poll(queue: pointer[PointerQueue]) -> p_void:
    cell: pointer[QueueCell]
    sequence: int64_t
    element: int64_t
    head: int64_t = load_relaxed_i64(address(queue.head))
    while True:
        cell = address(queue.cells[head & queue.mask])
        sequence = load_acquire_i64(address(cell.sequence))
        if sequence == head + 1:
            if cas_i64(address(queue.head), head, head + 1):
                break
        elif sequence <= head and head == load_relaxed_i64(address(queue.head)):
            return cython.NULL
        head = load_relaxed_i64(address(queue.head))
    element = load_relaxed_i64(address(cell.element))
    # Release hands the emptied cell to the producer of the next round.
    store_release_i64(address(cell.sequence), head + queue.capacity)
    return cast(p_void, cast(intptr_t, element))


@cfunc
@nogil
@exceptval(check=False)
def queue_drain(
    queue: pointer[PointerQueue], consumer: queue_consumer_fn, clientd: p_void, limit: int32_t
) -> int32_t:
    element: p_void
    drained: int32_t = 0
    while drained < limit:
        element = spsc_queue_poll(queue)
        if element is cython.NULL:
            break
        consumer(element, clientd)
        drained += 1
    return drained


@cclass
class ObjectQueue:
    """The common part of the queues of Python objects; use one of its subclasses.

    The garbage collector does not look inside: a queue that holds itself is never freed.
    """

    def __init__(self, capacity: object):
        if not 1 <= capacity <= _MAX_CAPACITY:
            raise ValueError(f"capacity={capacity} is outside 1..{_MAX_CAPACITY}: choose within")
        if self.queue.cells is not cython.NULL:
            raise RuntimeError("the queue is initialised: make a new one")
        if queue_init(address(self.queue), capacity) < 0:
            raise MemoryError

    def __dealloc__(self):
        index: int64_t
        if self.queue.cells is cython.NULL:
            return
        for index in range(self.queue.head, self.queue.tail):
            Py_DECREF(
                cast(
                    object,
                    cast(
                        pointer[PyObject],
                        cast(intptr_t, self.queue.cells[index & self.queue.mask].element),
                    ),
                )
            )
        queue_free(address(self.queue))

    @property
    def capacity(self) -> int:
        """How many elements fit: the asked number rounded up to a power of two, at least 2."""
        return self.queue.capacity

    @property
    def size(self) -> int:
        """How many elements were inside a moment ago."""
        return queue_size(address(self.queue))

    def __len__(self) -> int:
        return queue_size(address(self.queue))

    def poll(self):
        """The oldest element, or None when there is none."""
        raise NotImplementedError("use OneToOneQueue, ManyToOneQueue or ManyToManyQueue")

    def drain(self, handler, limit: int64_t = -1) -> int:
        """Poll and pass elements to `handler` until empty or `limit` (default: the capacity).

        Returns the count. What `handler` raises comes through; its element is consumed.
        """
        drained: int64_t = 0
        if limit < 0:
            limit = self.queue.capacity
        while drained < limit:
            element = self.poll()
            if element is None:
                break
            drained += 1
            handler(element)
        return drained


@cfunc
def _offered(queue: ObjectQueue, element: object) -> p_void:
    """The pointer that carries one reference of `element` into the queue."""
    if element is None:
        raise TypeError("None cannot be offered: poll says None for empty; offer another object")
    if queue.queue.cells is cython.NULL:
        raise RuntimeError("the queue has no memory: call its constructor")
    Py_INCREF(element)
    return cast(p_void, cast(pointer[PyObject], element))


@cfunc
def _polled(carried: p_void) -> object:
    """The object whose reference a queue carried."""
    if carried is cython.NULL:
        return None
    element: object = cast(object, cast(pointer[PyObject], carried))
    Py_DECREF(element)
    return element


@cclass
class OneToOneQueue(ObjectQueue):
    """From one producing thread to one consuming thread."""

    def offer(self, element) -> bool:
        """Append `element`; False when the queue is full. Raises TypeError for None."""
        carried: p_void = _offered(self, element)
        if spsc_queue_offer(address(self.queue), carried):
            return True
        Py_DECREF(element)
        return False

    def poll(self):
        """The oldest element, or None when there is none."""
        if self.queue.cells is cython.NULL:
            return None
        return _polled(spsc_queue_poll(address(self.queue)))


@cclass
class ManyToOneQueue(ObjectQueue):
    """From any number of producing threads to one consuming thread."""

    def offer(self, element) -> bool:
        """Append `element`; False when the queue is full. Raises TypeError for None."""
        carried: p_void = _offered(self, element)
        if mpsc_queue_offer(address(self.queue), carried):
            return True
        Py_DECREF(element)
        return False

    def poll(self):
        """The oldest element, or None when there is none."""
        if self.queue.cells is cython.NULL:
            return None
        return _polled(mpsc_queue_poll(address(self.queue)))


@cclass
class ManyToManyQueue(ObjectQueue):
    """From any number of producing threads to any number of consuming threads."""

    def offer(self, element) -> bool:
        """Append `element`; False when the queue is full. Raises TypeError for None."""
        carried: p_void = _offered(self, element)
        if mpmc_queue_offer(address(self.queue), carried):
            return True
        Py_DECREF(element)
        return False

    def poll(self):
        """The oldest element, or None when there is none."""
        if self.queue.cells is cython.NULL:
            return None
        return _polled(mpmc_queue_poll(address(self.queue)))
