# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Which receivers of a publication have been heard of lately (PROTOCOL.md section 10.11)."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.driver.layout import NetworkPublication
from cython.cimports.volans.memory.atomic import load_relaxed_i32, store_release_i32
from cython.cimports.volans.memory.int64_map import Int64Map, int64_map_put, int64_map_remove


@cfunc
@nogil
@exceptval(check=False)
def receiver_heard(
    publication: pointer[NetworkPublication], receiver_id: int64_t, now_ns: int64_t
) -> cython.void:
    # The map's values are never NULL: deadlines are odd, at the price of a nanosecond.
    deadline_ns: int64_t = (now_ns + publication.connection_timeout_ns) | 1
    # Without memory the receiver stays unknown until its next status message.
    int64_map_put(address(publication.receiver_liveness), receiver_id, cast(p_void, deadline_ns))


@cfunc
@nogil
@exceptval(check=False)
def receiver_left(publication: pointer[NetworkPublication], receiver_id: int64_t) -> bint:
    return int64_map_remove(address(publication.receiver_liveness), receiver_id) != cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def receivers_expire(publication: pointer[NetworkPublication], now_ns: int64_t) -> cython.void:
    receivers: pointer[Int64Map] = address(publication.receiver_liveness)
    slot: int32_t = 0
    while receivers.size > 0 and slot < receivers.capacity:
        if (
            receivers.values[slot] != cython.NULL
            and cast(int64_t, receivers.values[slot]) <= now_ns
        ):
            # Another entry may move into the slot: look at it again.
            int64_map_remove(receivers, receivers.keys[slot])
        else:
            slot += 1


@cfunc
@nogil
@exceptval(check=False)
def receivers_publish(publication: pointer[NetworkPublication]) -> cython.void:
    is_live: int32_t = 1 if publication.receiver_liveness.size > 0 else 0
    if load_relaxed_i32(address(publication.has_receivers)) != is_live:
        store_release_i32(address(publication.has_receivers), is_live)
