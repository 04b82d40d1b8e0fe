from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport NetworkPublication, RetransmitHandler

cdef int32_t retransmit_init(RetransmitHandler *handler, int32_t max_resend, bint has_group_semantics) noexcept nogil    # 0, or -1 without memory
cdef void retransmit_close(RetransmitHandler *handler) noexcept nogil
