"""Arithmetic that flow control strategies share."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport NetworkPublication

# Consumption position + receiver window of a status message.
cdef int64_t window_edge(NetworkPublication *publication, const uint8_t *frame) noexcept nogil
# min(length, multiple x receiver window, rest of the term) (PROTOCOL.md section 10.11).
cdef int32_t capped_retransmit_length(NetworkPublication *publication, int32_t term_offset, int32_t length, int32_t window_multiple) noexcept nogil
