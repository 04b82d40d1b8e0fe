# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The Python face of the ring buffers: write, claim, read (PROTOCOL.md section 4)."""

from __future__ import annotations

import cython
from cython import address, cclass, cfunc, exceptval, nogil
from cython.cimports.cpython.buffer import (
    Py_buffer,
    PyBUF_SIMPLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.memory.atomic import load_acquire_i64, store_release_i64
from cython.cimports.volans.memory.layout import (
    RING_BAD_MSG_TYPE_ID,
    RING_FULL,
    RING_MESSAGE_TOO_LONG,
    RING_TRAILER_LENGTH,
    RingBuffer,
)
from cython.cimports.volans.memory.ring_buffer import (
    index_of,
    mpsc_ring_claim,
    mpsc_ring_unblock,
    mpsc_ring_write,
    next_message,
    release_read,
    ring_abort,
    ring_buffer_next_correlation_id,
    ring_buffer_size_bytes,
    ring_buffer_wrap,
    ring_commit,
    spsc_ring_claim,
    spsc_ring_write,
)
from cython.cimports.volans.memory.views import flat_view, view_address

from volans.memory.errors import MessageTooLongError

_ONE_TO_ONE_MINIMUM_CAPACITY = 16


@cclass
class MessageRing:
    """What both kinds of ring buffer have in common; use one of the subclasses."""

    ring: RingBuffer
    writable_view: object  # also keeps the memory alive
    readable_view: object
    is_reading: cython.bint

    def __cinit__(self, buffer):
        self.writable_view = flat_view(buffer, True, "a ring buffer")
        self.readable_view = self.writable_view.toreadonly()
        length: int64_t = self.writable_view.nbytes
        if ring_buffer_wrap(address(self.ring), view_address(self.writable_view), length) != 0:
            raise ValueError(
                f"ring buffer of {length} bytes: it must be a power of two (8 at least) plus "
                f"{RING_TRAILER_LENGTH} bytes of trailer, e.g. {65536 + RING_TRAILER_LENGTH}"
            )

    @cfunc
    @exceptval(-9)
    def put(self, msg_type_id: int32_t, source: cython.p_const_void, length: int32_t) -> int32_t:
        raise TypeError("use ManyToOneRingBuffer or OneToOneRingBuffer")

    @cfunc
    @exceptval(-9)
    def claim(self, msg_type_id: int32_t, length: int32_t) -> int32_t:
        raise TypeError("use ManyToOneRingBuffer or OneToOneRingBuffer")

    @cfunc
    def rejection(self, result: int32_t, msg_type_id: int32_t, length: object) -> object:
        if result == RING_BAD_MSG_TYPE_ID:
            return ValueError(f"msg_type_id is {msg_type_id}: it must be 1 or more")
        return MessageTooLongError(
            f"message of {length} bytes: the limit is {self.ring.max_message_length}, an eighth "
            f"of the {self.ring.capacity} bytes of the ring; split it or use a larger ring"
        )

    def write(self, msg_type_id: int32_t, data) -> bool:
        """Copy a message in. False when there is no room for it now.

        Parameters: ``msg_type_id``, 1 or more; ``data``, any contiguous buffer.
        Raises MessageTooLongError, ValueError.
        """
        source = cython.declare(Py_buffer)
        PyObject_GetBuffer(data, address(source), PyBUF_SIMPLE)
        length = source.len
        result: int32_t = RING_MESSAGE_TOO_LONG
        try:
            if length <= self.ring.max_message_length:
                result = self.put(msg_type_id, source.buf, cython.cast(int32_t, length))
        finally:
            PyBuffer_Release(address(source))
        if result == RING_FULL:
            return False
        if result < 0:
            raise self.rejection(result, msg_type_id, length)
        return True

    def try_claim(self, msg_type_id: int32_t, length: int64_t):
        """Reserve ``length`` bytes to be filled in place; None when there is no room now.

        The consumer waits at the region until it is committed or aborted. Raises
        MessageTooLongError, ValueError.
        """
        index: int32_t = RING_MESSAGE_TOO_LONG
        if length < 0:
            raise ValueError(f"length is {length} bytes: it must not be negative")
        if length <= self.ring.max_message_length:
            index = self.claim(msg_type_id, length)
        if index == RING_FULL:
            return None
        if index < 0:
            raise self.rejection(index, msg_type_id, length)
        region: ClaimedRegion = ClaimedRegion.__new__(ClaimedRegion)
        region.owner = self
        region.index = index
        region.buffer = self.writable_view[index : index + length]
        return region

    def read(self, handler, limit: int32_t = 2147483647) -> int:
        """Hand at most ``limit`` messages to ``handler(msg_type_id, view)``; returns how many.

        One consumer only. The view is valid inside the handler. An exception of the handler
        goes through to the caller; its message and those before it count as consumed. One
        call stops at the end of the buffer: call again while it returns more than 0.
        """
        if self.is_reading:
            raise RuntimeError("read called from its own handler")
        ring: cython.pointer[RingBuffer] = address(self.ring)
        head: int64_t = load_acquire_i64(ring.head_position)
        head_index: int32_t = index_of(ring, head)
        bytes_read: int32_t = 0
        messages_read: int32_t = 0
        msg_type_id: int32_t = 0
        length: int32_t = 0
        payload: int32_t
        self.is_reading = True
        try:
            while messages_read < limit:
                payload = next_message(
                    ring, head_index, address(bytes_read), address(msg_type_id), address(length)
                )
                if payload < 0:
                    break
                messages_read += 1
                view = self.readable_view[payload : payload + length]
                try:
                    handler(msg_type_id, view)
                finally:
                    release_view(view)
        finally:
            release_read(ring, head, head_index, bytes_read)
            self.is_reading = False
        return messages_read

    def next_correlation_id(self) -> int:
        """A number unique among all users of this ring."""
        return ring_buffer_next_correlation_id(address(self.ring))

    @property
    def consumer_heartbeat_ms(self) -> int:
        """Epoch time the consumer was last alive; the consumer sets it."""
        return load_acquire_i64(self.ring.consumer_heartbeat)

    @consumer_heartbeat_ms.setter
    def consumer_heartbeat_ms(self, now_ms: int64_t):
        store_release_i64(self.ring.consumer_heartbeat, now_ms)

    @property
    def producer_position(self) -> int:
        """Bytes claimed since the beginning."""
        return load_acquire_i64(self.ring.tail_position)

    @property
    def consumer_position(self) -> int:
        """Bytes consumed since the beginning."""
        return load_acquire_i64(self.ring.head_position)

    @property
    def size(self) -> int:
        """Bytes claimed and not yet consumed, headers and padding included."""
        return ring_buffer_size_bytes(address(self.ring))

    @property
    def capacity(self) -> int:
        """Bytes of the ring without its trailer."""
        return self.ring.capacity

    @property
    def max_message_length(self) -> int:
        """The longest message in bytes: an eighth of the capacity."""
        return self.ring.max_message_length

    @property
    def corrupt_record_count(self) -> int:
        """Records this reader skipped because no producer can have meant their length."""
        return self.ring.corrupt_record_count


@cclass
class ManyToOneRingBuffer(MessageRing):
    """Messages from any number of threads or processes to one consumer.

    Parameter: ``buffer``, writable and contiguous: a power of two plus 768 bytes of trailer,
    zeroed when new. It is kept alive. Producers never wait for each other; one that dies in
    the middle is stepped over by the consumer's ``unblock``.
    """

    @cfunc
    @exceptval(-9)
    def put(self, msg_type_id: int32_t, source: cython.p_const_void, length: int32_t) -> int32_t:
        return mpsc_ring_write(address(self.ring), msg_type_id, source, length)

    @cfunc
    @exceptval(-9)
    def claim(self, msg_type_id: int32_t, length: int32_t) -> int32_t:
        return mpsc_ring_claim(address(self.ring), msg_type_id, length)

    def unblock(self) -> bool:
        """Turn the unfinished record at the head into padding; whether there was one.

        For the consumer, after the head has not moved for longer than any live producer
        could take.
        """
        unblocked: int32_t
        with nogil:
            unblocked = mpsc_ring_unblock(address(self.ring))
        return unblocked == 1


@cclass
class OneToOneRingBuffer(MessageRing):
    """Messages from one thread or process to one other, without a locked instruction.

    Parameter: ``buffer``, as for ManyToOneRingBuffer.
    """

    def __cinit__(self, buffer):
        if self.ring.capacity < _ONE_TO_ONE_MINIMUM_CAPACITY:
            raise ValueError(
                f"ring buffer of {self.ring.capacity + RING_TRAILER_LENGTH} bytes: one-to-one "
                f"needs {_ONE_TO_ONE_MINIMUM_CAPACITY} at least plus {RING_TRAILER_LENGTH}"
            )
        if self.ring.capacity == _ONE_TO_ONE_MINIMUM_CAPACITY:
            self.ring.max_message_length = 0

    @cfunc
    @exceptval(-9)
    def put(self, msg_type_id: int32_t, source: cython.p_const_void, length: int32_t) -> int32_t:
        return spsc_ring_write(address(self.ring), msg_type_id, source, length)

    @cfunc
    @exceptval(-9)
    def claim(self, msg_type_id: int32_t, length: int32_t) -> int32_t:
        return spsc_ring_claim(address(self.ring), msg_type_id, length)

    def unblock(self) -> bool:
        """False: with a single producer nobody else can be blocked."""
        return False


@cclass
class ClaimedRegion:
    """Room in a ring for one message, made by ``try_claim``.

    ``buffer`` is a writable view, valid until commit or abort. As a context manager it
    commits, or aborts when the block raises. One that is dropped is aborted, so that it
    cannot block the ring.

    Threading: one thread at a time; others may claim beside it.
    """

    owner: MessageRing
    index: int32_t
    buffer = cython.declare(object, visibility="readonly")

    def __cinit__(self):
        self.index = -1

    def __init__(self):
        raise TypeError("use try_claim of a ring buffer")

    def __del__(self):
        if self.index >= 0:
            self.abort()

    @cfunc
    @exceptval(-1)
    def finish(self) -> int32_t:
        index: int32_t = self.index
        if index < 0:
            raise ValueError("this region was already committed or aborted")
        self.index = -1
        release_view(self.buffer)
        return index

    def commit(self) -> None:
        """Hand the message to the consumer. Raises ValueError the second time."""
        ring_commit(address(self.owner.ring), self.finish())

    def abort(self) -> None:
        """Take it back: the consumer skips the region. Raises ValueError the second time."""
        ring_abort(address(self.owner.ring), self.finish())

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        if self.index >= 0:
            if error_type is None:
                self.commit()
            else:
                self.abort()

    def __len__(self):
        return len(self.buffer) if self.index >= 0 else 0


@cfunc
def release_view(view: object) -> object:
    """Invalidate a view handed out; one that something else was built on keeps its memory."""
    try:
        view.release()
    except BufferError:
        pass
