from libc.stdint cimport int64_t
from volans.driver.layout cimport DriverShared, Subscribable

cdef class TetherKit:
    cdef DriverShared shared
    cdef Subscribable subscribers
    cdef int64_t proxy_fails
    cdef int64_t positions[8]
    cdef bytearray ring
