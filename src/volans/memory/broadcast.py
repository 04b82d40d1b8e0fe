# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""One transmitter to any number of receivers, without back pressure (PROTOCOL.md section 5).

The transmitter never waits. It announces how far it is about to overwrite (tail intent)
before it touches a byte; a receiver copies a message and then checks that the intent had
not reached it: only then is the copy whole. Otherwise it was lapped and goes on from the
latest message.
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, pointer
from cython.cimports.cpython.buffer import (
    Py_buffer,
    PyBUF_SIMPLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
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
from cython.cimports.volans.memory.views import flat_view, view_address

from volans.memory.errors import BroadcastLappedError, MessageTooLongError


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
    return cast(int32_t, position & (broadcast.capacity - 1) & -BROADCAST_RECORD_HEADER_LENGTH)


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
    if (
        record_length < BROADCAST_RECORD_HEADER_LENGTH
        or record_length > broadcast.capacity - offset
    ):
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


# --- the Python face -----------------------------------------------------------------------


@cfunc
def wrap(broadcast: pointer[BroadcastBuffer], view: object) -> object:
    if broadcast_wrap(broadcast, view_address(view), view.nbytes) != 0:
        raise ValueError(
            f"broadcast buffer of {view.nbytes} bytes: it must be a power of two (64 at least) "
            f"plus {BROADCAST_TRAILER_LENGTH} bytes of trailer"
        )


@cclass
class BroadcastTransmitter:
    """Sends messages to every receiver of a broadcast buffer; one thread or process only.

    Parameter: ``buffer``, writable and contiguous: a power of two plus 128 bytes of trailer,
    zeroed when new. It is kept alive.
    """

    broadcast: BroadcastBuffer
    owner: object

    def __cinit__(self, buffer):
        self.owner = flat_view(buffer, True, "a broadcast buffer")
        wrap(address(self.broadcast), self.owner)

    def transmit(self, msg_type_id: int32_t, data) -> None:
        """Send a message; never waits: receivers that are too slow are lapped.

        Parameters: ``msg_type_id``, 1 or more; ``data``, any contiguous buffer.
        Raises MessageTooLongError, ValueError.
        """
        source = cython.declare(Py_buffer)
        result: int32_t = RING_MESSAGE_TOO_LONG
        PyObject_GetBuffer(data, address(source), PyBUF_SIMPLE)
        length = source.len
        try:
            if length <= self.broadcast.max_message_length:
                result = broadcast_transmit(
                    address(self.broadcast), msg_type_id, source.buf, cast(int32_t, length)
                )
        finally:
            PyBuffer_Release(address(source))
        if result == RING_BAD_MSG_TYPE_ID:
            raise ValueError(f"msg_type_id is {msg_type_id}: it must be 1 or more")
        if result < 0:
            raise MessageTooLongError(
                f"message of {length} bytes: the limit is {self.broadcast.max_message_length}, "
                f"an eighth of the {self.broadcast.capacity} bytes of the buffer; split it or "
                "use a larger buffer"
            )

    @property
    def capacity(self) -> int:
        """Bytes of the buffer without its trailer."""
        return self.broadcast.capacity

    @property
    def max_message_length(self) -> int:
        """The longest message in bytes: an eighth of the capacity."""
        return self.broadcast.max_message_length


@cclass
class CopyBroadcastReceiver:
    """Receives what a transmitter sends from now on, each message copied before it is handled.

    Parameter: ``buffer``, as for the transmitter; it may be read-only. One thread each; any
    number of receivers.
    """

    broadcast: BroadcastBuffer
    state: BroadcastReceiverState
    owner: object
    scratch: bytearray

    def __cinit__(self, buffer):
        self.owner = flat_view(buffer, False, "a broadcast buffer")
        wrap(address(self.broadcast), self.owner)
        broadcast_receiver_init(address(self.state), address(self.broadcast))
        # Large enough for any message at once: it never has to grow.
        self.scratch = bytearray(self.broadcast.max_message_length)

    def receive(self, handler, limit: int32_t = 1) -> int:
        """Hand at most ``limit`` messages to ``handler(msg_type_id, view)``; returns how many.

        Raises BroadcastLappedError, once a lap, when
        messages were lost; the next call goes on with the latest message.
        """
        scratch: bytearray = self.scratch
        memory: pointer[uint8_t] = cast(pointer[uint8_t], cast(cython.p_char, scratch))
        scratch_length: int32_t = len(scratch)
        msg_type_id: int32_t = 0
        length: int32_t
        received: int32_t = 0
        while received < limit:
            length = broadcast_receive(
                address(self.state), address(msg_type_id), memory, scratch_length
            )
            if length == -1:
                break
            if length < 0:
                if length == -3:
                    # Longer than a transmitter of this buffer may send: corrupt.
                    jump_to_latest(address(self.state))
                raise BroadcastLappedError(
                    f"unable to keep up with broadcast (lap {self.state.lapped_count}): messages "
                    "were lost, receive more often or use a larger buffer"
                )
            received += 1
            # An own copy for each message: a handler may keep it, or call receive itself.
            message: bytes = cast(cython.p_char, memory)[:length]
            handler(msg_type_id, memoryview(message))
        return received

    @property
    def lapped_count(self) -> int:
        """How often messages were lost."""
        return self.state.lapped_count

    @property
    def capacity(self) -> int:
        """Bytes of the buffer without its trailer."""
        return self.broadcast.capacity
