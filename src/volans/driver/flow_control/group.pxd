from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport NetworkPublication

cdef int32_t group_open(NetworkPublication *publication) noexcept nogil        # 0, or -1 without memory
cdef void group_close(NetworkPublication *publication) noexcept nogil
# is_member: whether its sender may be one of those that count.
cdef int64_t group_on_status_message(NetworkPublication *publication, const uint8_t *frame, int64_t sender_limit, int64_t now_ns,
                                     bint is_member) noexcept nogil
cdef int64_t group_on_idle(NetworkPublication *publication, int64_t now_ns, int64_t sender_limit, int64_t sender_position,
                           bint is_end_of_stream) noexcept nogil
cdef void group_request_setup(NetworkPublication *publication, bint is_member) noexcept nogil
cdef void group_on_setup(NetworkPublication *publication, int64_t now_ns, int64_t sender_limit) noexcept nogil
cdef void group_remove(NetworkPublication *publication, int64_t receiver_id) noexcept nogil
cdef int32_t group_max_retransmit_length(NetworkPublication *publication, int32_t term_offset, int32_t length) noexcept nogil
