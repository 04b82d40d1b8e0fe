# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A mapped log buffer file as publications and images hold it."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, pointer
from cython.cimports.libc.stdint import int64_t
from cython.cimports.volans.log.buffers import log_buffers_wrap
from cython.cimports.volans.log.layout import MAX_MESSAGE_LENGTH
from cython.cimports.volans.memory.atomic import fetch_add_i64
from cython.cimports.volans.memory.mapped import MappedFile
from cython.cimports.volans.protocol.layout import (
    DATA_HEADER_LENGTH,
    FRAME_ALIGNMENT,
    MAX_UDP_PAYLOAD_LENGTH,
)

from volans.errors import VolansError


class LogFileError(VolansError, ValueError):
    """A log buffer file named by the driver is not one. Attribute: ``path``."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"log buffer {path}: {why}: is another driver using the directory?")


class CorruptLogError(VolansError):
    """A frame in a log buffer has an impossible length: the memory was overwritten.

    Attributes: ``session_id``, ``position`` (stream position, bytes), ``frame_length``,
    ``message_length`` (bytes; of a message in fragments that is longer than any may be, else 0).
    """

    def __init__(
        self, session_id: int, position: int, frame_length: int, message_length: int = 0
    ) -> None:
        self.session_id = session_id
        self.position = position
        self.frame_length = frame_length
        self.message_length = message_length
        where = f"at position {position} of session {session_id}"
        if message_length:
            what = (
                f"the fragment {where} would make a message of {message_length} bytes, more than "
                f"{MAX_MESSAGE_LENGTH}: it was dropped; the publisher or the log buffer is broken"
            )
        else:
            what = (
                f"frame length {frame_length} {where} is impossible: the log buffer was overwritten"
            )
        super().__init__(f"{what}; close this subscription")


# Not cleared by the garbage collector: a view or a claim in the same garbage unpins it later.
@cython.no_gc_clear
@cython.final
@cclass
class LogFile:
    """A log buffer file, mapped writable. Raises OSError or LogFileError."""

    def __init__(self, path: str, pre_touch: cython.bint = False):
        self.mapped = MappedFile.open(path)
        code: cython.int = log_buffers_wrap(
            address(self.buffers), self.mapped.memory, self.mapped.length
        )
        if code != 0:
            length = self.mapped.length
            self.mapped.close()
            why = {-1: "invalid term length", -2: "invalid page size"}.get(
                code, f"its {length} bytes do not fit its metadata"
            )
            raise LogFileError(path, why)
        mtu_length: int64_t = self.buffers.metadata.mtu_length
        if (
            mtu_length <= DATA_HEADER_LENGTH
            or mtu_length > MAX_UDP_PAYLOAD_LENGTH
            or mtu_length % FRAME_ALIGNMENT
        ):
            # Appends and claims reach as far as it says.
            self.mapped.close()
            raise LogFileError(path, f"invalid mtu {mtu_length}")
        offset: int64_t = 0
        while pre_touch and offset < self.mapped.length:
            # Adding nothing takes the page for writing; the compiler cannot leave it out.
            fetch_add_i64(cast(pointer[int64_t], self.mapped.memory + offset), 0)
            offset += self.buffers.metadata.page_size

    @property
    def path(self) -> str:
        """Where the file is (the driver may have unlinked it by now)."""
        return self.mapped.path

    @property
    def is_mapped(self) -> bool:
        """Whether the memory is still there."""
        return self.mapped.is_mapped

    @cfunc
    @exceptval(check=False)
    def pin(self) -> cython.void:
        self.mapped.pin()

    @cfunc
    @exceptval(check=False)
    def unpin(self) -> cython.void:
        self.mapped.unpin()
