from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.layout cimport LogBuffers

# Sender: bytes of whole committed frames that may go into one datagram (<= max_length). A padding frame ends the scan: only its
# 32-byte header travels, *padding is then the rest of its length. 0 = nothing; negative = first frame is longer than max_length.
cdef int32_t scan_for_availability(const uint8_t *term, int32_t term_offset, int32_t max_length, int32_t *padding) noexcept nogil
