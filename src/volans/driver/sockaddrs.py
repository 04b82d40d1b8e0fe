# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Addresses between Python, where they are sockaddr bytes, and the structs of agents."""

from __future__ import annotations

import cython
from cython import cast, p_void, pointer, sizeof
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.transport.contract import Address


@cython.cfunc
def set_address(target: pointer[Address], sockaddr: bytes) -> object:
    """sockaddr: 16 bytes (IPv4), 28 bytes (IPv6) or empty (none)."""
    memset(target, 0, sizeof(Address))
    if sockaddr is None or len(sockaddr) == 0:
        return None
    if len(sockaddr) not in (16, 28):
        raise ValueError(f"socket address of {len(sockaddr)} bytes: 16 or 28 are possible")
    memcpy(target.bytes, cast(cython.p_char, sockaddr), len(sockaddr))
    target.length = len(sockaddr)
    return None


@cython.cfunc
def get_address(source: pointer[cython.const[Address]]) -> bytes:
    return cast(cython.p_char, cast(p_void, source.bytes))[: source.length]
