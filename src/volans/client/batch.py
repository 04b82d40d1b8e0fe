# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Many messages at once, in place."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, pointer, sizeof
from cython.cimports.cpython.buffer import Py_buffer, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE
from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.volans.client.assembler import Assembler
from cython.cimports.volans.client.buffer import Buffer, make_buffer
from cython.cimports.volans.client.header import Header, make_header
from cython.cimports.volans.client.layout import ImageState
from cython.cimports.volans.log.position import align_frame, index_by_position
from cython.cimports.volans.memory.atomic import load_acquire_i32
from cython.cimports.volans.protocol.layout import (
    DATA_FLAGS_UNFRAGMENTED,
    DATA_HEADER_LENGTH,
    FRAME_TYPE_PAD,
    DataHeader,
)

from volans.client.log_file import CorruptLogError


class StaleBatchError(ValueError):
    """A batch was used after the next poll of its image: its messages may be overwritten."""


@cython.no_gc_clear
@cython.final
@cclass
class Batch:
    """Messages of one image in stream order, without a copy, valid until the next poll.

    ``len(batch)`` messages; ``batch[i]`` and iteration give read-only memoryviews. Messages
    of equal size are also one two-dimensional buffer: ``memoryview(batch)`` or
    ``batch.array`` (NumPy, strided); otherwise see ``data``, ``offsets`` and ``lengths``. A
    fragmented message is a batch of its own, assembled. ``position`` is the stream position
    behind the last message.

    Using the batch after the next poll raises StaleBatchError; views taken before stay safe
    to touch but their bytes may be overwritten.

    Threading: belongs to the thread that polls.
    """

    def __init__(self):
        raise TypeError("batches are made by poll_batch")

    def __dealloc__(self):
        free(self.payload_offsets)
        free(self.payload_lengths)

    def __len__(self):
        return self.count

    @property
    def image(self):
        """The image the messages came from."""
        return self._image

    @property
    def equal_size(self) -> int | None:
        """Bytes of each message when all are equal, else None."""
        return self.equal_length if self.equal_length >= 0 else None

    def __getitem__(self, index: cython.Py_ssize_t):
        if index < 0:
            index += self.count
        self._checked(index)
        return memoryview(self.view(index))

    def __iter__(self):
        for index in range(self.count):
            self._checked(index)
            yield memoryview(self.view(index))

    def header(self, index: cython.Py_ssize_t) -> Header:
        """Header of a message (it keeps its values)."""
        if index < 0:
            index += self.count
        self._checked(index)
        image = self._image
        header: Header
        if self.memory is not None:
            header = make_header(image, 16, image.initial_term_id)
            header.own = self.assembled_header
            header.end_position = self.position
        else:
            header = make_header(
                image, image.term_buffer_length.bit_length() - 1, image.initial_term_id
            )
            header.own = cast(
                pointer[DataHeader], self.base + self.offset_of(index) - DATA_HEADER_LENGTH
            )[0]
        return header

    def tolist(self) -> list:
        """Copies of all messages as ``bytes``."""
        result = []
        at: cython.Py_ssize_t
        for at in range(self.count):
            self._checked(at)
            result.append(
                PyBytes_FromStringAndSize(
                    cast(cython.p_const_char, self.base + self.offset_of(at)),
                    self.length_of(at),
                )
            )
        return result

    @property
    def array(self):
        """The messages as a NumPy array of uint8, shape (messages, size), without a copy.

        Raises BufferError when they differ in size, IndexError when there are none, and
        ImportError without NumPy.
        """
        import numpy

        return numpy.asarray(memoryview(self))

    @property
    def data(self) -> memoryview:
        """The memory that ``offsets`` point into, read-only."""
        self._checked(0)
        end: int64_t = self.offset_of(self.count - 1) + self.length_of(self.count - 1)
        return memoryview(make_buffer(self.base, end, self.log_file, self.memory))

    @property
    def offsets(self):
        """Offset of each message in ``data``: a NumPy array of int64."""
        import numpy

        if self.count > 0:
            self._checked(0)
        if self.equal_length >= 0:
            end: int64_t = self.first_offset + self.count * self.strides[0]
            return numpy.arange(self.first_offset, end, self.strides[0], dtype=numpy.int64)
        raw = PyBytes_FromStringAndSize(
            cast(cython.p_const_char, self.payload_offsets), self.count * 8
        )
        return numpy.frombuffer(raw, dtype=numpy.int64)

    @property
    def lengths(self):
        """Bytes of each message: a NumPy array of int32."""
        import numpy

        if self.count > 0:
            self._checked(0)
        if self.equal_length >= 0:
            return numpy.full(self.count, self.equal_length, dtype=numpy.int32)
        raw = PyBytes_FromStringAndSize(
            cast(cython.p_const_char, self.payload_lengths), self.count * 4
        )
        return numpy.frombuffer(raw, dtype=numpy.int32)

    @cfunc
    @exceptval(check=False)
    @cython.inline
    def offset_of(self, index: cython.Py_ssize_t) -> int64_t:
        if self.equal_length >= 0:
            return self.first_offset + index * self.strides[0]
        return self.payload_offsets[index]

    @cfunc
    @exceptval(check=False)
    @cython.inline
    def length_of(self, index: cython.Py_ssize_t) -> int32_t:
        if self.equal_length >= 0:
            return cast(int32_t, self.equal_length)
        return self.payload_lengths[index]

    @cfunc
    @exceptval(-1, check=False)
    def fill(
        self,
        state: pointer[ImageState],
        assembler: Assembler,
        limit: int64_t,
        fragments: cython.bint,
    ) -> cython.int:
        """Take up what is committed from the read position on: until the term ends, the limit
        is reached, or a message in fragments begins (which is a batch of its own)."""
        log = address(state.log)
        start: int64_t = state.read_position
        offset: int32_t = cast(int32_t, start) & log.term_length_mask
        base: int64_t = start - offset
        term: pointer[uint8_t] = log.terms[index_by_position(start, log.position_bits_to_shift)]
        frame: pointer[DataHeader]
        length: int32_t
        next_equal_offset: int32_t = -1
        first_length: int32_t = -1
        count: cython.Py_ssize_t = 0
        self.base = term
        self.base_position = base
        try:
            while count < limit and offset < log.term_length:
                frame = cast(pointer[DataHeader], term + offset)
                # Committed by this word, with release, by the driver or (IPC) the publisher.
                length = load_acquire_i32(address(frame.frame_length))
                if length <= 0:
                    break
                if length < DATA_HEADER_LENGTH or length > log.term_length - offset:
                    if count > 0:
                        break  # these first; the next poll will come here again
                    raise CorruptLogError(state.session_id, base + offset, length)
                if frame.type == FRAME_TYPE_PAD:
                    offset += align_frame(length)
                    continue
                if (
                    not fragments
                    and (frame.flags & DATA_FLAGS_UNFRAGMENTED) != DATA_FLAGS_UNFRAGMENTED
                ):
                    if count > 0:
                        break
                    offset += align_frame(length)
                    if assembler.add(
                        cast(pointer[uint8_t], frame) + DATA_HEADER_LENGTH,
                        length - DATA_HEADER_LENGTH,
                        frame,
                        base + offset - align_frame(length),
                    ):
                        self.take_assembled(assembler, base + offset)
                        return 0
                    continue
                # Equal messages at equal distances need no table; padding between two of them
                # (an aborted claim) breaks the distance.
                if self.payload_offsets is cython.NULL:
                    if count == 0:
                        first_length = length
                        self.first_offset = offset + DATA_HEADER_LENGTH
                        self.strides[0] = align_frame(length)
                        self.equal_length = length - DATA_HEADER_LENGTH
                    elif length != first_length or offset != next_equal_offset:
                        self.make_table(count)
                if self.payload_offsets is not cython.NULL:
                    self.reserve_table(count + 1)
                    self.payload_offsets[count] = offset + DATA_HEADER_LENGTH
                    self.payload_lengths[count] = length - DATA_HEADER_LENGTH
                offset += align_frame(length)
                next_equal_offset = offset
                count += 1
        finally:
            if self.memory is None:
                self.count = count
                self.position = base + offset
                if self.equal_length >= 0:
                    self.shape[0] = count
                    self.shape[1] = self.equal_length
                    self.strides[1] = 1
        return 0

    @cfunc
    @exceptval(check=False)
    def take_assembled(self, assembler: Assembler, end_position: int64_t) -> cython.void:
        """Become the one message that the assembler has completed, memory and all."""
        self.memory = assembler.memory
        self.base = assembler.memory.data
        self.assembled_header = assembler.header
        self.position = end_position
        self.count = 1
        self.first_offset = 0
        self.equal_length = assembler.length
        self.shape[0] = 1
        self.shape[1] = self.equal_length
        self.strides[0] = max(1, self.equal_length)
        self.strides[1] = 1
        assembler.release()

    @cfunc
    @exceptval(-1, check=False)
    def make_table(self, count: cython.Py_ssize_t) -> cython.int:
        """The messages are not equal after all: write down where the first ones are."""
        index: cython.Py_ssize_t
        self.reserve_table(count + 1)
        for index in range(count):
            self.payload_offsets[index] = self.first_offset + index * self.strides[0]
            self.payload_lengths[index] = cast(int32_t, self.equal_length)
        self.equal_length = -1
        return 0

    @cfunc
    @exceptval(-1, check=False)
    def reserve_table(self, count: cython.Py_ssize_t) -> cython.int:
        if count <= self.table_capacity:
            return 0
        capacity: cython.Py_ssize_t = max(64, self.table_capacity)
        while capacity < count:
            capacity *= 2
        offsets: cython.p_void = realloc(self.payload_offsets, capacity * sizeof(int64_t))
        if offsets is not cython.NULL:
            self.payload_offsets = cast(pointer[int64_t], offsets)
        lengths: cython.p_void = realloc(self.payload_lengths, capacity * sizeof(int32_t))
        if lengths is not cython.NULL:
            self.payload_lengths = cast(pointer[int32_t], lengths)
        if offsets is cython.NULL or lengths is cython.NULL:
            raise MemoryError(f"no memory for a batch of {capacity} messages")
        self.table_capacity = capacity
        return 0

    @cfunc
    def view(self, index: cython.Py_ssize_t) -> Buffer:
        return make_buffer(
            self.base + self.offset_of(index),
            self.length_of(index),
            self.log_file,
            self.memory,
        )

    @cfunc
    @exceptval(-1, check=False)
    def _checked(self, index: cython.Py_ssize_t) -> cython.Py_ssize_t:
        if self.generation != self.current_generation[0]:
            raise StaleBatchError(
                "the batch is out of date: use it before the next poll, or copy with batch.tolist()"
            )
        if index < 0 or index >= self.count:
            raise IndexError(f"message {index} is outside a batch of {self.count}")
        return index

    @cfunc
    @exceptval(check=False)
    def end_position(self, index: cython.Py_ssize_t) -> int64_t:
        """Stream position behind a message."""
        if self.memory is not None or index >= self.count - 1:
            return self.position
        return self.base_position + (
            self.offset_of(index)
            - DATA_HEADER_LENGTH
            + align_frame(self.length_of(index) + DATA_HEADER_LENGTH)
        )

    def __getbuffer__(self, buffer: pointer[Py_buffer], flags: cython.int):
        self._checked(0)
        if self.equal_length < 0:
            raise BufferError("the messages differ in size: use data, offsets and lengths")
        if flags & PyBUF_WRITABLE:
            raise BufferError("messages are read-only")
        if (flags & PyBUF_STRIDES) != PyBUF_STRIDES and self.strides[0] != self.shape[1]:
            raise BufferError("the messages are apart in memory: ask for a strided buffer")
        buffer.buf = cast(cython.p_void, self.base + self.offset_of(0))
        buffer.obj = self
        buffer.len = self.count * self.equal_length
        buffer.itemsize = 1
        buffer.readonly = 1
        buffer.ndim = 2
        buffer.format = cython.NULL
        if flags & PyBUF_FORMAT:
            buffer.format = b"B"
        buffer.shape = self.shape
        buffer.strides = self.strides
        buffer.suboffsets = cython.NULL
        buffer.internal = cython.NULL
        if self.log_file is not None:
            self.log_file.pin()

    def __releasebuffer__(self, buffer: pointer[Py_buffer]):
        if self.log_file is not None:
            self.log_file.unpin()
