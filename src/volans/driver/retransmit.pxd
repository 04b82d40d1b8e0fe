"""Retransmission on request (PROTOCOL.md section 10.11). Sender only."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport NetworkPublication, RetransmitHandler

cdef int32_t retransmit_init(RetransmitHandler *handler, int32_t max_resend, bint has_group_semantics) noexcept nogil    # 0, or -1 without memory
cdef void retransmit_close(RetransmitHandler *handler) noexcept nogil
# The range was checked against the term by the caller.
cdef void retransmit_on_nak(NetworkPublication *publication, int32_t term_id, int32_t term_offset, int32_t length, int64_t now_ns) noexcept nogil
cdef void retransmit_on_timeouts(NetworkPublication *publication, int64_t now_ns) noexcept nogil
