"""Entries of RES frames: who tells which name has which address (PROTOCOL.md section 10.7)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volans.driver.naming.address import SocketAddress
from volans.protocol.frames import TYPE_RES, FrameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FLAG_SELF: Final = 0x80
MAX_NAME_LENGTH: Final = 512
FRAME_HEADER_LENGTH: Final = 8
_HEADER: Final = struct.Struct("<iBBH")
_ENTRY: Final = struct.Struct("<bBHi")
_NAME_LENGTH: Final = struct.Struct("<h")
_FAMILIES: Final = {1: (socket.AF_INET, 4), 2: (socket.AF_INET6, 16)}
_TYPES: Final[dict[int, int]] = {socket.AF_INET: 1, socket.AF_INET6: 2}
_ALIGNMENT: Final = 8


@dataclass(frozen=True, slots=True)
class ResolutionEntry:
    """One name. ``is_self``: its own driver tells it; ``age_ms``: since that driver was heard."""

    name: bytes
    address: SocketAddress
    age_ms: int = 0
    is_self: bool = False

    def encode(self) -> bytes:
        """Its bytes, padded to 8."""
        data = (
            _ENTRY.pack(
                _TYPES[self.address.family],
                FLAG_SELF if self.is_self else 0,
                self.address.port,
                max(0, min(self.age_ms, 0x7FFFFFFF)),
            )
            + self.address.packed_host()
            + _NAME_LENGTH.pack(len(self.name))
            + self.name
        )
        return data + bytes(-len(data) % _ALIGNMENT)


def encode_frames(entries: Iterable[ResolutionEntry], mtu_length: int) -> Iterator[bytes]:
    """RES frames of at most ``mtu_length`` bytes with the entries, in order."""
    body = b""
    for entry in entries:
        encoded = entry.encode()
        if body and FRAME_HEADER_LENGTH + len(body) + len(encoded) > mtu_length:
            yield _frame(body)
            body = b""
        body += encoded
    if body:
        yield _frame(body)


def decode_frame(data: bytes) -> list[ResolutionEntry]:
    """The entries of one datagram. Raises FrameError; then none of it counts."""
    if len(data) < FRAME_HEADER_LENGTH:
        raise FrameError(f"datagram of {len(data)} bytes: a frame has at least 8")
    _length, version, _flags, frame_type = _HEADER.unpack_from(data)
    if version != 0 or frame_type != TYPE_RES:
        raise FrameError(f"frame type {frame_type} version {version}: only RES, 7, version 0")
    entries = []
    offset = FRAME_HEADER_LENGTH
    while offset < len(data):
        entry, offset = _decode_entry(data, offset)
        entries.append(entry)
    return entries


def _frame(body: bytes) -> bytes:
    return _HEADER.pack(FRAME_HEADER_LENGTH + len(body), 0, 0, TYPE_RES) + body


def _decode_entry(data: bytes, offset: int) -> tuple[ResolutionEntry, int]:
    room = len(data) - offset
    if room < _ENTRY.size:
        raise FrameError(f"{room} bytes after the last resolution entry")
    kind, flags, port, age_ms = _ENTRY.unpack_from(data, offset)
    if kind not in _FAMILIES:
        raise FrameError(f"resolution type {kind} is unknown: 1 is IPv4, 2 IPv6")
    family, host_length = _FAMILIES[kind]
    name_at = _ENTRY.size + host_length + _NAME_LENGTH.size
    if room < name_at:
        raise FrameError(f"resolution entry of {room} bytes: one of its type has {name_at}")
    name_length = _NAME_LENGTH.unpack_from(data, offset + name_at - _NAME_LENGTH.size)[0]
    if not 0 <= name_length <= min(MAX_NAME_LENGTH, room - name_at):
        raise FrameError(
            f"name length {name_length} is outside 0 to {min(MAX_NAME_LENGTH, room - name_at)}"
        )
    start = offset + _ENTRY.size
    host = socket.inet_ntop(family, data[start : start + host_length])
    name = data[offset + name_at : offset + name_at + name_length]
    entry = ResolutionEntry(
        name, SocketAddress(family, host, port), max(0, age_ms), bool(flags & FLAG_SELF)
    )
    length = (name_at + name_length + _ALIGNMENT - 1) & -_ALIGNMENT
    # The last entry's padding may be missing.
    return entry, min(offset + length, len(data))
