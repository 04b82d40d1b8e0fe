from libc.stdint cimport int64_t
from volans.driver.layout cimport DriverShared, PublicationImage

cdef class CongestionKit:
    cdef DriverShared shared
    cdef PublicationImage image
    cdef int64_t rtt_counter
    cdef int64_t window_counter
