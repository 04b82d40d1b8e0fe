# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A map from int64 to pointer for GIL-free code: sessions, streams, receivers."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint32_t
from cython.cimports.libc.stdlib import calloc, free


@cfunc
@nogil
@exceptval(check=False)
def slot_of(key: int64_t, capacity: int32_t) -> int32_t:
    # Multiplicative hashing of the folded key: neighbouring session ids spread over the table.
    folded: uint32_t = cast(uint32_t, key) ^ cast(uint32_t, key >> 32)
    return cast(
        int32_t, ((folded * cast(uint32_t, 2654435761)) >> 8) & cast(uint32_t, capacity - 1)
    )


@cfunc
@nogil
@exceptval(check=False)
def int64_map_init(map: pointer[Int64Map], initial_capacity: int32_t) -> int32_t:
    capacity: int32_t = 8
    while capacity < initial_capacity:
        capacity <<= 1
    map.keys = cast(pointer[int64_t], calloc(capacity, sizeof(int64_t)))
    map.values = cast(pointer[p_void], calloc(capacity, sizeof(p_void)))
    map.capacity = capacity
    map.size = 0
    if map.keys == cython.NULL or map.values == cython.NULL:
        int64_map_free(map)
        return -1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def int64_map_free(map: pointer[Int64Map]) -> cython.void:
    free(map.keys)
    free(map.values)
    map.keys = cython.NULL
    map.values = cython.NULL
    map.capacity = 0
    map.size = 0


@cfunc
@nogil
@exceptval(check=False)
def int64_map_get(map: pointer[Int64Map], key: int64_t) -> p_void:
    if map.size == 0:
        return cython.NULL
    slot: int32_t = slot_of(key, map.capacity)
    while map.values[slot] != cython.NULL:
        if map.keys[slot] == key:
            return map.values[slot]
        slot = (slot + 1) & (map.capacity - 1)
    return cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def grow(map: pointer[Int64Map]) -> int32_t:
    bigger: Int64Map
    if int64_map_init(address(bigger), map.capacity * 2) < 0:
        return -1
    slot: int32_t
    for slot in range(map.capacity):
        if map.values[slot] != cython.NULL:
            int64_map_put(address(bigger), map.keys[slot], map.values[slot])
    int64_map_free(map)
    map[0] = bigger
    return 0


@cfunc
@nogil
@exceptval(check=False)
def int64_map_put(map: pointer[Int64Map], key: int64_t, value: p_void) -> int32_t:
    if (map.size + 1) * 3 > map.capacity * 2 and grow(map) < 0:
        return -1
    slot: int32_t = slot_of(key, map.capacity)
    while map.values[slot] != cython.NULL:
        if map.keys[slot] == key:
            map.values[slot] = value
            return 0
        slot = (slot + 1) & (map.capacity - 1)
    map.keys[slot] = key
    map.values[slot] = value
    map.size += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def int64_map_remove(map: pointer[Int64Map], key: int64_t) -> p_void:
    if map.size == 0:
        return cython.NULL
    mask: int32_t = map.capacity - 1
    slot: int32_t = slot_of(key, map.capacity)
    while map.values[slot] != cython.NULL and map.keys[slot] != key:
        slot = (slot + 1) & mask
    old: p_void = map.values[slot]
    if old == cython.NULL:
        return cython.NULL
    map.values[slot] = cython.NULL
    map.size -= 1
    # Close the hole: entries behind it that probed past it must move up.
    hole: int32_t = slot
    home: int32_t
    slot = (slot + 1) & mask
    while map.values[slot] != cython.NULL:
        home = slot_of(map.keys[slot], map.capacity)
        if ((slot - home) & mask) >= ((slot - hole) & mask):
            map.keys[hole] = map.keys[slot]
            map.values[hole] = map.values[slot]
            map.values[slot] = cython.NULL
            hole = slot
        slot = (slot + 1) & mask
    return old


def exercise_int64_map(operations) -> list:
    """Apply ("put"|"get"|"remove", key, value) to a fresh map; for tests against a dict."""
    map: Int64Map
    if int64_map_init(address(map), 8) < 0:
        raise MemoryError
    results: list = []
    key: int64_t
    value: int64_t
    for name, key, value in operations:
        if name == "put":
            int64_map_put(address(map), key, cast(p_void, value))
            results.append(None)
        elif name == "get":
            results.append(cast(int64_t, int64_map_get(address(map), key)))
        else:
            results.append(cast(int64_t, int64_map_remove(address(map), key)))
    results.append(map.size)
    int64_map_free(address(map))
    return results
