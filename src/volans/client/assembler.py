# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Fragments of one session put together to messages."""

from __future__ import annotations

import cython
from cython import cast, cclass, cfunc, exceptval, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.log.layout import MAX_MESSAGE_LENGTH
from cython.cimports.volans.log.position import align_frame
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_BEGIN,
    DATA_FLAG_END,
    DATA_HEADER_LENGTH,
    DataHeader,
)

from volans.client.log_file import CorruptLogError


@cython.final
@cclass
class MessageMemory:
    """Heap memory of one assembled message."""

    def __dealloc__(self):
        free(self.data)

    @cfunc
    @exceptval(check=False)
    def reserve(self, length: int64_t) -> cython.bint:
        capacity: int64_t = self.capacity if self.capacity > 0 else 16384
        # Even an empty message has an address: none means that there is no message.
        if self.data is not cython.NULL and length <= self.capacity:
            return True
        while capacity < length:
            capacity *= 2
        data: pointer[uint8_t] = cast(pointer[uint8_t], realloc(self.data, capacity))
        if data is cython.NULL:
            return False
        self.data = data
        self.capacity = capacity
        return True


@cython.final
@cclass
class Assembler:
    """Puts fragments together; one that does not follow its predecessor drops the message."""

    def __cinit__(self):
        self.memory = MessageMemory.__new__(MessageMemory)
        self.next_term_offset = -1

    @cfunc
    @exceptval(-1, check=False)
    def add(
        self,
        payload: pointer[cython.const[uint8_t]],
        length: int32_t,
        frame: pointer[DataHeader],
        position: int64_t,
    ) -> int32_t:
        flags: int32_t = frame.flags
        if flags & DATA_FLAG_BEGIN:
            if self.next_term_offset >= 0:
                self.dropped_count += 1
            self.header = frame[0]
            self.length = 0
        elif self.next_term_offset < 0:
            return 0  # joined in the middle of a message, or its beginning was lost
        elif self.next_term_offset != frame.term_offset or frame.term_id != self.header.term_id:
            self.dropped_count += 1
            self.next_term_offset = -1
            return 0
        if self.length + length > MAX_MESSAGE_LENGTH:
            # No publisher makes such: do not let one that lies take all memory.
            self.dropped_count += 1
            self.next_term_offset = -1
            self.memory = MessageMemory.__new__(MessageMemory)
            raise CorruptLogError(
                frame.session_id, position, frame.frame_length, self.length + length
            )
        if not self.memory.reserve(self.length + length):
            self.next_term_offset = -1
            raise MemoryError(f"no memory for a message of {self.length + length} bytes")
        memcpy(self.memory.data + self.length, payload, length)
        self.previous_length = self.length
        self.length += length
        self.next_term_offset = frame.term_offset + align_frame(frame.frame_length)
        if not flags & DATA_FLAG_END:
            return 0
        self.header.flags |= frame.flags
        self.header.frame_length = cast(int32_t, self.length) + DATA_HEADER_LENGTH
        self.next_term_offset = -1
        return 1

    @cfunc
    @exceptval(check=False)
    def undo_last(self, frame: pointer[DataHeader]) -> cython.void:
        # The handler will get the message again: its last fragment comes anew.
        self.length = self.previous_length
        self.header.flags = cast(uint8_t, DATA_FLAG_BEGIN)
        self.next_term_offset = frame.term_offset

    @cfunc
    @exceptval(check=False)
    def release(self) -> cython.void:
        # Someone still looks at the message: leave the memory to them.
        self.memory = MessageMemory.__new__(MessageMemory)

    @cfunc
    @exceptval(check=False)
    def reset(self) -> cython.void:
        self.next_term_offset = -1
        self.length = 0
