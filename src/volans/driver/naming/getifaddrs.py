"""The machine's interfaces as the C library lists them."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Any

from volans.driver.naming.address import SocketAddress
from volans.driver.naming.interfaces import (
    IFF_LOOPBACK,
    IFF_MULTICAST,
    IFF_UP,
    InterfaceAddress,
)


class _IfAddrs(ctypes.Structure):
    pass


_IfAddrs._fields_ = [
    ("next", ctypes.POINTER(_IfAddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
    ("netmask", ctypes.c_void_p),
    ("broadcast", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]


def list_interfaces() -> list[InterfaceAddress]:
    """The IPv4 and IPv6 addresses of this machine. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_IfAddrs)()
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot list network interfaces: {os.strerror(code)}")
    try:
        found = []
        entry: Any = first
        while entry:
            item = entry.contents
            described = _describe(item)
            if described is not None:
                found.append(described)
            entry = item.next
        return found
    finally:
        libc.freeifaddrs(first)


def _describe(item: Any) -> InterfaceAddress | None:
    address = _read_sockaddr(item.address)
    if address is None:
        return None
    netmask = _read_sockaddr(item.netmask)
    name = item.name.decode()
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        index = 0
    return InterfaceAddress(
        name,
        index,
        address,
        0 if netmask is None else int.from_bytes(netmask.packed_host(), "big").bit_count(),
        bool(item.flags & IFF_UP),
        bool(item.flags & IFF_LOOPBACK),
        bool(item.flags & IFF_MULTICAST),
    )


def _read_sockaddr(pointer: int | None) -> SocketAddress | None:
    if not pointer:
        return None
    family = int.from_bytes(ctypes.string_at(pointer, 2), "little")
    if family == socket.AF_INET:
        return SocketAddress.from_sockaddr(ctypes.string_at(pointer, 16))
    if family == socket.AF_INET6:
        return SocketAddress.from_sockaddr(ctypes.string_at(pointer, 28))
    return None
