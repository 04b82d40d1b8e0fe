"""One duty cycle of the sender."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport SenderState

cdef int32_t send_cycle(SenderState *sender, int64_t now_ns, int64_t now_ms) noexcept nogil
cdef void send_cycle_free(SenderState *sender) noexcept nogil
