# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Socket addresses: a sockaddr_in or sockaddr_in6 in place, taken apart without converting it."""

from __future__ import annotations

import socket as python_socket

import cython
from cython import cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, uint8_t, uint16_t
from cython.cimports.libc.string import memcmp, memcpy, memset
from cython.cimports.volans.transport.contract import Address
from cython.cimports.volans.transport.net import (
    AF_INET,
    AF_INET6,
    htons,
    ntohs,
    sockaddr_in,
    sockaddr_in6,
)


@cfunc
@nogil
@exceptval(check=False)
def address_family(at: pointer[cython.const[Address]]) -> int32_t:
    if at.length == 0:
        return 0
    return cast(pointer[sockaddr_in], at).sin_family


@cfunc
@nogil
@exceptval(check=False)
def address_port(at: pointer[cython.const[Address]]) -> uint16_t:
    # The port is at the same place in either family.
    return ntohs(cast(pointer[sockaddr_in], at).sin_port)


@cfunc
@nogil
@exceptval(check=False)
def address_set_port(at: pointer[Address], port: uint16_t) -> cython.void:
    cast(pointer[sockaddr_in], at).sin_port = htons(port)


@cfunc
@nogil
@exceptval(check=False)
def host_bytes(at: pointer[cython.const[Address]]) -> pointer[cython.const[uint8_t]]:
    if address_family(at) == AF_INET:
        return cast(pointer[uint8_t], at) + 4
    return cast(pointer[uint8_t], at) + 8


@cfunc
@nogil
@exceptval(check=False)
def host_length(at: pointer[cython.const[Address]]) -> int32_t:
    return 4 if address_family(at) == AF_INET else 16


@cfunc
@nogil
@exceptval(check=False)
def address_is_multicast(at: pointer[cython.const[Address]]) -> cython.bint:
    if address_family(at) == AF_INET:
        return (host_bytes(at)[0] >> 4) == 14
    return address_family(at) == AF_INET6 and host_bytes(at)[0] == 255


@cfunc
@nogil
@exceptval(check=False)
def address_is_wildcard(at: pointer[cython.const[Address]]) -> cython.bint:
    host: pointer[cython.const[uint8_t]] = host_bytes(at)
    i: int32_t
    for i in range(host_length(at)):  # noqa: SIM110 (a generator needs the GIL)
        if host[i] != 0:
            return False
    return True


@cfunc
@nogil
@exceptval(check=False)
def address_is_loopback(at: pointer[cython.const[Address]]) -> cython.bint:
    host: pointer[cython.const[uint8_t]] = host_bytes(at)
    i: int32_t
    if address_family(at) == AF_INET:
        return host[0] == 127
    for i in range(15):
        if host[i] != 0:
            return False
    return host[15] == 1


@cfunc
@nogil
@exceptval(check=False)
def address_same_host(
    one: pointer[cython.const[Address]], other: pointer[cython.const[Address]]
) -> cython.bint:
    if address_family(one) != address_family(other):
        return False
    return memcmp(host_bytes(one), host_bytes(other), host_length(one)) == 0


@cfunc
@nogil
@exceptval(check=False)
def address_equal(
    one: pointer[cython.const[Address]], other: pointer[cython.const[Address]]
) -> cython.bint:
    # Flow label and scope say how to get there, not who is there.
    return address_port(one) == address_port(other) and address_same_host(one, other)


@cfunc
@nogil
@exceptval(check=False)
def address_wildcard_of(out: pointer[Address], family: int32_t, port: uint16_t) -> cython.void:
    memset(out, 0, cython.sizeof(Address))
    cast(pointer[sockaddr_in], out).sin_family = cast(uint16_t, family)
    out.length = 16 if family == AF_INET else 28
    address_set_port(out, port)


@cfunc
@exceptval(-1, check=False)
def address_from_text(
    out: pointer[Address], host: str, port: int32_t, scope_id: int32_t = 0
) -> cython.int:
    family: int32_t = AF_INET6 if ":" in host else AF_INET
    try:
        packed: bytes = python_socket.inet_pton(family, host)
    except OSError:
        raise ValueError(f"address {host!r} is not numeric: give an IPv4 or IPv6 address") from None
    if port < 0 or port > 65535:
        raise ValueError(f"port {port} is outside 0 to 65535")
    address_wildcard_of(out, family, cast(uint16_t, port))
    memcpy(
        cast(pointer[uint8_t], host_bytes(out)), cast(pointer[uint8_t], packed), host_length(out)
    )
    if family == AF_INET6:
        cast(pointer[sockaddr_in6], out).sin6_scope_id = scope_id
    return 0


@cfunc
def address_to_text(at: pointer[cython.const[Address]]) -> object:
    """(host, port), or None when there is no address."""
    if at.length == 0:
        return None
    packed: bytes = cast(pointer[cython.char], host_bytes(at))[: host_length(at)]
    return python_socket.inet_ntop(address_family(at), packed), address_port(at)
