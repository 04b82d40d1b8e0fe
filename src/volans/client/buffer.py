# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The bytes of a message as a handler sees them: in place, without a copy."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, pointer
from cython.cimports.cpython.buffer import Py_buffer, PyBuffer_FillInfo
from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
from cython.cimports.libc.stdint import int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.client.log_file import LogFile


class StaleBufferError(ValueError):
    """A message's buffer was used after its handler had returned: keep ``bytes(buffer)``."""


@cython.no_gc_clear
@cython.final
@cclass
class Buffer:
    """The payload of one message, valid inside the handler it is given to.

    Supports ``len``, indexing and slicing (slices are copies), ``bytes(buffer)``, the buffer
    protocol (``memoryview(buffer)``, ``numpy.frombuffer(buffer, ...)``: no copy) and
    little-endian reads at an offset. After the handler has returned every use raises
    StaleBufferError. A memoryview kept longer stays safe to touch (its mapping is held), but
    its bytes are overwritten when the stream moves on: keep ``bytes(buffer)`` instead.

    Threading: belongs to the thread that polls.
    """

    def __init__(self):
        raise TypeError("buffers are made by polling a subscription")

    def __len__(self):
        self._checked(0, 0)
        return self.length

    def __bytes__(self):
        self._checked(0, 0)
        return PyBytes_FromStringAndSize(cast(cython.p_const_char, self.data), self.length)

    def tobytes(self) -> bytes:
        """A copy of the message."""
        self._checked(0, 0)
        return PyBytes_FromStringAndSize(cast(cython.p_const_char, self.data), self.length)

    def __getitem__(self, index):
        self._checked(0, 0)
        if isinstance(index, slice):
            return memoryview(self)[index].tobytes()
        at: cython.Py_ssize_t = index
        if at < 0:
            at += self.length
        if at < 0 or at >= self.length:
            raise IndexError(f"index {index} is outside a message of {self.length} bytes")
        return self.data[at]

    def __eq__(self, other):
        if self is other:
            return True
        self._checked(0, 0)
        try:
            return memoryview(self) == memoryview(other)
        except TypeError:
            return NotImplemented

    __hash__ = None

    def __repr__(self):
        if self.data is cython.NULL:
            return "<Buffer: its handler has returned>"
        return f"<Buffer of {self.length} bytes>"

    def get_uint8(self, offset: cython.Py_ssize_t) -> int:
        """The byte at ``offset``. Raises IndexError outside the message, like all of these."""
        return self.data[self._checked(offset, 1)]

    def get_int16(self, offset: cython.Py_ssize_t) -> int:
        """The signed 2-byte integer at ``offset``."""
        value: int16_t
        memcpy(address(value), self.data + self._checked(offset, 2), 2)
        return value

    def get_uint16(self, offset: cython.Py_ssize_t) -> int:
        """The unsigned 2-byte integer at ``offset``."""
        value: uint16_t
        memcpy(address(value), self.data + self._checked(offset, 2), 2)
        return value

    def get_int32(self, offset: cython.Py_ssize_t) -> int:
        """The signed 4-byte integer at ``offset``."""
        value: int32_t
        memcpy(address(value), self.data + self._checked(offset, 4), 4)
        return value

    def get_uint32(self, offset: cython.Py_ssize_t) -> int:
        """The unsigned 4-byte integer at ``offset``."""
        value: uint32_t
        memcpy(address(value), self.data + self._checked(offset, 4), 4)
        return value

    def get_int64(self, offset: cython.Py_ssize_t) -> int:
        """The signed 8-byte integer at ``offset``."""
        value: int64_t
        memcpy(address(value), self.data + self._checked(offset, 8), 8)
        return value

    def get_float64(self, offset: cython.Py_ssize_t) -> float:
        """The 8-byte floating-point number at ``offset``."""
        value: cython.double
        memcpy(address(value), self.data + self._checked(offset, 8), 8)
        return value

    @cfunc
    @exceptval(-1, check=False)
    def _checked(self, offset: cython.Py_ssize_t, width: cython.Py_ssize_t) -> cython.Py_ssize_t:
        if self.data is cython.NULL:
            raise StaleBufferError(
                "the handler of this message has returned: keep bytes(buffer) for later"
            )
        if offset < 0 or offset > self.length - width:
            raise IndexError(
                f"{width} bytes at offset {offset} are outside a message of {self.length} bytes"
            )
        return offset

    def __getbuffer__(self, buffer: pointer[Py_buffer], flags: cython.int):
        self._checked(0, 0)
        PyBuffer_FillInfo(buffer, self, cast(cython.p_void, self.data), self.length, 1, flags)
        if self.export_count == 0 and self.log_file is not None:
            self.log_file.pin()
        self.export_count += 1

    def __releasebuffer__(self, buffer: pointer[Py_buffer]):
        self.export_count -= 1
        if self.export_count == 0 and self.log_file is not None:
            self.log_file.unpin()


@cfunc
def make_buffer(
    data: pointer[cython.const[uint8_t]],
    length: cython.Py_ssize_t,
    log_file: LogFile,
    memory: object,
) -> Buffer:
    buffer: Buffer = Buffer.__new__(Buffer)
    buffer.data = data
    buffer.length = length
    buffer.log_file = log_file
    buffer.memory = memory
    return buffer
