"""Which receivers of a publication have been heard of lately. Sender only."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport NetworkPublication

cdef void receiver_heard(NetworkPublication *publication, int64_t receiver_id, int64_t now_ns) noexcept nogil
cdef bint receiver_left(NetworkPublication *publication, int64_t receiver_id) noexcept nogil     # whether it was known
cdef void receivers_expire(NetworkPublication *publication, int64_t now_ns) noexcept nogil
# Publishes has_receivers (release) when it changed.
cdef void receivers_publish(NetworkPublication *publication) noexcept nogil
