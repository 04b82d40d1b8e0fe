# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Many messages at once, in place."""

from __future__ import annotations

import cython
from cython import cast, cclass, cfunc, exceptval, pointer
from cython.cimports.cpython.buffer import Py_buffer, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE
from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
from cython.cimports.libc.stdint import int64_t
from cython.cimports.volans.client.buffer import Buffer, make_buffer
from cython.cimports.volans.client.header import Header, make_header
from cython.cimports.volans.log.position import align_frame
from cython.cimports.volans.protocol.layout import DATA_HEADER_LENGTH, DataHeader


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
            header.end_position = self.assembled_end_position
        else:
            header = make_header(
                image, image.term_buffer_length.bit_length() - 1, image.initial_term_id
            )
            header.own = cast(
                pointer[DataHeader], self.base + self.payload_offsets[index] - DATA_HEADER_LENGTH
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
                    cast(cython.p_const_char, self.base + self.payload_offsets[at]),
                    self.payload_lengths[at],
                )
            )
        return result

    @property
    def array(self):
        """The messages as a NumPy array of uint8, shape (messages, size), without a copy.

        Raises ValueError when they differ in size (or none is there), ImportError without NumPy.
        """
        import numpy

        return numpy.asarray(memoryview(self))

    @property
    def data(self) -> memoryview:
        """The memory that ``offsets`` point into, read-only."""
        self._checked(0)
        end: int64_t = self.payload_offsets[self.count - 1] + self.payload_lengths[self.count - 1]
        return memoryview(make_buffer(self.base, end, self.log_file, self.memory))

    @property
    def offsets(self):
        """Offset of each message in ``data``: a NumPy array of int64."""
        import numpy

        if self.count > 0:
            self._checked(0)
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
        raw = PyBytes_FromStringAndSize(
            cast(cython.p_const_char, self.payload_lengths), self.count * 4
        )
        return numpy.frombuffer(raw, dtype=numpy.int32)

    @cfunc
    def view(self, index: cython.Py_ssize_t) -> Buffer:
        return make_buffer(
            self.base + self.payload_offsets[index],
            self.payload_lengths[index],
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
            self.payload_offsets[index]
            - DATA_HEADER_LENGTH
            + align_frame(self.payload_lengths[index] + DATA_HEADER_LENGTH)
        )

    def __getbuffer__(self, buffer: pointer[Py_buffer], flags: cython.int):
        self._checked(0)
        if self.equal_length < 0:
            raise BufferError("the messages differ in size: use data, offsets and lengths")
        if flags & PyBUF_WRITABLE:
            raise BufferError("messages are read-only")
        if (flags & PyBUF_STRIDES) != PyBUF_STRIDES and self.strides[0] != self.shape[1]:
            raise BufferError("the messages are apart in memory: ask for a strided buffer")
        buffer.buf = cast(cython.p_void, self.base + self.payload_offsets[0])
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
