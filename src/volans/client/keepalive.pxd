from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.client.layout cimport LinkState

# One duty cycle: copies events, watches the driver, keeps the client alive. Work count, or -1 once the link has ended.
cdef int32_t link_do_work(LinkState *link, int64_t now_ns, int64_t now_ms) noexcept nogil

cdef class DriverLink:
    cdef LinkState state
    cdef object sections            # memoryviews of the CnC file: keep it mapped
    cdef object thread
    cdef bint own_descriptors
