"""Socket addresses as values: family, host and port, and the bytes a network API takes."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

IPV4_SOCKADDR_LENGTH: Final = 16
IPV6_SOCKADDR_LENGTH: Final = 28

_FAMILY: Final = struct.Struct("=H")
_PORT: Final = struct.Struct(">H")
_U32: Final = struct.Struct("=I")
_FLOW: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """An IPv4 or IPv6 address. ``host`` is numeric, ``port`` 0 to 65535; ``scope_id`` IPv6 only."""

    family: int
    host: str
    port: int
    scope_id: int = 0

    @classmethod
    def from_sockaddr(cls, data: bytes | bytearray | memoryview) -> SocketAddress:
        """The address of a C ``sockaddr_in`` or ``sockaddr_in6``. Raises ValueError."""
        raw = bytes(data)
        family = _FAMILY.unpack_from(raw)[0] if len(raw) >= _FAMILY.size else -1
        if family == socket.AF_INET and len(raw) >= IPV4_SOCKADDR_LENGTH:
            host = socket.inet_ntop(family, raw[4:8])
            return cls(socket.AF_INET, host, _PORT.unpack_from(raw, 2)[0])
        if family == socket.AF_INET6 and len(raw) >= IPV6_SOCKADDR_LENGTH:
            host = socket.inet_ntop(family, raw[8:24])
            scope_id = _U32.unpack_from(raw, 24)[0]
            return cls(socket.AF_INET6, host, _PORT.unpack_from(raw, 2)[0], scope_id)
        raise ValueError(f"{len(raw)} bytes of family {family} are no IPv4 or IPv6 address")

    def sockaddr_bytes(self) -> bytes:
        """The 16 (IPv4) or 28 (IPv6) bytes of the C structure, in network order where it is."""
        start = _FAMILY.pack(self.family) + _PORT.pack(self.port)
        if self.is_ipv6:
            return start + _FLOW.pack(0) + self.packed_host() + _U32.pack(self.scope_id)
        return start + self.packed_host() + bytes(8)

    def packed_host(self) -> bytes:
        """The 4 or 16 bytes of the host."""
        return socket.inet_pton(self.family, self.host)

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an IPv6 address."""
        return self.family == socket.AF_INET6

    @property
    def is_multicast(self) -> bool:
        """Whether the host is a multicast group."""
        first = self.packed_host()[0]
        return first == 0xFF if self.is_ipv6 else first & 0xF0 == 0xE0

    @property
    def is_wildcard_host(self) -> bool:
        """Whether the host is 0.0.0.0 or ::."""
        return not any(self.packed_host())

    def with_port(self, port: int) -> SocketAddress:
        """The same host with another port."""
        return SocketAddress(self.family, self.host, port, self.scope_id)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def wildcard(family: int, port: int = 0) -> SocketAddress:
    """All local addresses of a family."""
    return SocketAddress(family, "::" if family == socket.AF_INET6 else "0.0.0.0", port)
