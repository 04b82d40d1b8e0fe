"""How a sent file, or a measured stream, tells its beginning and its end.

The mark travels in the reserved value of the frames, so the payloads are the file's own bytes
and an official subscriber sees nothing else between the first and the last message.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any, Final

_MAGIC: Final = 0x564C4E53 << 32  # "VLNS"
_KIND_MASK: Final = 0xFFFFFFFF


class Mark(IntEnum):
    """What a message is."""

    NONE = 0
    """A message of its own."""
    FILE_BEGIN = 1
    """Name and length of the file that follows, as JSON."""
    FILE_DATA = 2
    """The next bytes of the file."""
    FILE_END = 3
    """Length and SHA-256 of the whole file, as JSON."""
    RATE_END = 4
    """Count and bytes of the measured messages, as JSON."""


def reserved_value_of(mark: Mark) -> int:
    """The reserved value that carries a mark."""
    return 0 if mark is Mark.NONE else _MAGIC | mark


def mark_of(reserved_value: int) -> Mark:
    """The mark a reserved value carries; NONE for other people's values."""
    if reserved_value & ~_KIND_MASK != _MAGIC:
        return Mark.NONE
    try:
        return Mark(reserved_value & _KIND_MASK)
    except ValueError:
        return Mark.NONE


def pack(fields: dict[str, Any]) -> bytes:
    """The payload of a begin or an end."""
    return json.dumps(fields).encode()


def unpack(payload: bytes) -> dict[str, Any] | None:
    """The fields of a begin or an end; None when it is none."""
    try:
        fields = json.loads(payload)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None
