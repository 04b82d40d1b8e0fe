from libc.stdint cimport int32_t, uint8_t
from volans.protocol.layout cimport SetupFrame

# A frame of a known type whose fixed part lies in the datagram (PROTOCOL.md section 10 "Validity").
cdef bint is_frame_valid(const uint8_t *packet, int32_t length) noexcept nogil
cdef bint is_setup_valid(const SetupFrame *setup) noexcept nogil
# Bytes of the term that a data or padding packet covers; 0 for a heartbeat; -1 when any of its frames is wrong (section 10.1).
cdef int32_t covered_length(const uint8_t *packet, int32_t length, int32_t term_length) noexcept nogil
