"""What commands and events share: bounds-checked reading of native-order fields and texts.

Texts are bytes to the protocol. They become ``str`` as file names do in Python (UTF-8, with
surrogates for bytes that are not), so that every message survives a decode and encode.
"""

from __future__ import annotations

import struct
from typing import Final

from volans.errors import VolansError
from volans.protocol.error_codes import ErrorCode

_I32: Final = struct.Struct("=i")
_I64: Final = struct.Struct("=q")

Buffer = bytes | bytearray | memoryview


class MessageError(VolansError, ValueError):
    """A message of the driver's command protocol cannot be understood.

    Attributes: ``msg_type_id``; ``client_id`` and ``correlation_id`` (None when not readable);
    ``error_code`` to answer with.
    """

    error_code: ErrorCode = ErrorCode.GENERIC_ERROR

    def __init__(
        self,
        message: str,
        msg_type_id: int,
        client_id: int | None = None,
        correlation_id: int | None = None,
    ) -> None:
        self.msg_type_id = msg_type_id
        self.client_id = client_id
        self.correlation_id = correlation_id
        super().__init__(message)


class MalformedError(Exception):
    """Inside this package only: turned into the typed error of commands or events."""


def encode_text(text: str) -> bytes:
    """The bytes of a text from the command protocol."""
    return text.encode("utf-8", "surrogateescape")


def decode_text(data: Buffer) -> str:
    """The text of bytes from the command protocol."""
    return bytes(data).decode("utf-8", "surrogateescape")


def length_and_text(text: str) -> bytes:
    """An i32 length and the bytes of ``text``."""
    data = encode_text(text)
    return _I32.pack(len(data)) + data


def aligned_to_four(data: bytes) -> bytes:
    """``data`` with zeros up to a multiple of four."""
    return data + bytes(-len(data) & 3)


class PayloadReader:
    """Reads one message's fields in order; every step is checked against its end."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def fields(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next fixed-width fields."""
        start = self.position
        if len(self.data) - start < layout.size:
            raise MalformedError(
                f"{len(self.data)} bytes, at least {start + layout.size} are needed"
            )
        self.position = start + layout.size
        return layout.unpack_from(self.data, start)

    def i64(self) -> int:
        """The next 8-byte integer."""
        return self.fields(_I64)[0]

    def blob(self, what: str) -> bytes:
        """An i32 length and as many bytes."""
        length = self.fields(_I32)[0]
        start = self.position
        room = len(self.data) - start
        if not 0 <= length <= room:
            raise MalformedError(
                f"{what} length {length} is outside 0 to the {room} bytes that follow"
            )
        self.position = start + length
        return self.data[start : start + length]

    def text(self, what: str) -> str:
        """An i32 length and a text."""
        return decode_text(self.blob(what))

    def align_to_four(self, start: int) -> None:
        """Skip to a multiple of four bytes, counted from ``start``."""
        self.position = start + ((self.position - start + 3) & ~3)
