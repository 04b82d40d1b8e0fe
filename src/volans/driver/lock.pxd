"""The conductor's lock word (see pacer.py)."""
from libc.stdint cimport int32_t

cdef extern from "<sched.h>" nogil:
    int sched_yield() noexcept
