from libc.stdint cimport int32_t, int64_t
from volans.transport.simulated_layout cimport SimNetwork

cdef class SimulatedNetwork:
    cdef SimNetwork *network
    cdef readonly object seed
    # When the next datagram becomes receivable; INT64_MAX when none is on its way.
    cdef int64_t next_delivery(self) noexcept nogil
    cdef int32_t _host(self, str host) except -1
