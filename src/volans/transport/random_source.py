# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Randomness from one integer seed: xoshiro256** (Blackman and Vigna), seeded by splitmix64."""

from __future__ import annotations

import cython
from cython import cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.volans.transport.random_source import Random


@cfunc
@nogil
@exceptval(check=False)
def rotate_left(value: uint64_t, bits: cython.int) -> uint64_t:
    return (value << bits) | (value >> (64 - bits))


@cfunc
@nogil
@exceptval(check=False)
def random_seed(random: pointer[Random], seed: uint64_t) -> cython.void:
    z: uint64_t
    i: cython.int
    for i in range(4):
        seed += cast(uint64_t, 0x9E3779B97F4A7C15)
        z = seed
        z = (z ^ (z >> 30)) * cast(uint64_t, 0xBF58476D1CE4E5B9)
        z = (z ^ (z >> 27)) * cast(uint64_t, 0x94D049BB133111EB)
        random.state[i] = z ^ (z >> 31)


@cfunc
@nogil
@exceptval(check=False)
def random_next(random: pointer[Random]) -> uint64_t:
    state: pointer[uint64_t] = random.state
    result: uint64_t = rotate_left(state[1] * 5, 7) * 9
    shifted: uint64_t = state[1] << 17
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = rotate_left(state[3], 45)
    return result


@cfunc
@nogil
@exceptval(check=False)
def random_unit(random: pointer[Random]) -> cython.double:
    """At least 0 and below 1."""
    return cast(cython.double, random_next(random) >> 11) * (1.0 / 9007199254740992.0)
