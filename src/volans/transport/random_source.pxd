"""Randomness from one integer seed: xoshiro256** seeded by splitmix64."""
from libc.stdint cimport int64_t, uint64_t

cdef struct Random:
    uint64_t state[4]

cdef void random_seed(Random *random, uint64_t seed) noexcept nogil
cdef uint64_t random_next(Random *random) noexcept nogil
cdef double random_unit(Random *random) noexcept nogil
