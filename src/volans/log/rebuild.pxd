from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.layout cimport LogBuffers
from volans.protocol.layout cimport DataHeader

# Receiver: puts a packet (whole frames of one term, or a lone padding header) into its place unless already there.
cdef void term_insert(uint8_t *term, int32_t term_offset, const uint8_t *packet, int32_t length) noexcept nogil
# Scans [rebuild_offset, limit_offset) for the first hole. Returns the offset where the hole begins (== end of the contiguous data when
# there is none) and *gap_length (0 = no hole).
cdef int32_t term_gap_scan(const uint8_t *term, int32_t term_id, int32_t rebuild_offset, int32_t limit_offset, int32_t *gap_length) noexcept nogil
# Unreliable streams: 1 when the still empty gap was turned into padding, else 0.
cdef int32_t term_gap_fill(LogBuffers *log, uint8_t *term, int32_t term_id, int32_t gap_offset, int32_t gap_length) noexcept nogil
