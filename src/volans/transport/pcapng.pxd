"""Writes datagrams into a pcapng file (IETF draft-ietf-opsawg-pcapng), as IP packets."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.transport.contract cimport Address

cpdef enum:
    PCAPNG_BUFFER_LENGTH = 262144

cdef struct PcapngFile:
    int32_t descriptor
    int32_t used
    int32_t snap_length                 # of the payload; what is behind it is left out
    int32_t error                       # errno of a failed write: nothing is captured after it
    int64_t packet_count
    uint8_t *buffer

cdef int32_t pcapng_init(PcapngFile *file, int32_t descriptor, int32_t snap_length) noexcept nogil
cdef void pcapng_header(PcapngFile *file, const uint8_t *interface_name, int32_t name_length) noexcept nogil
cdef void pcapng_datagram(PcapngFile *file, int64_t timestamp_ns, bint is_outbound, const Address *source,
                          const Address *destination, const uint8_t *data, int32_t length) noexcept nogil
cdef void pcapng_flush(PcapngFile *file) noexcept nogil
cdef void pcapng_close(PcapngFile *file) noexcept nogil
