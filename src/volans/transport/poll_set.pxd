from libc.stdint cimport int32_t
from volans.transport.contract cimport Endpoint, Engine
from volans.transport.layout cimport PollSet

cdef int32_t poll_set_init(PollSet *poll_set, int32_t epoll_above_count) noexcept nogil
cdef void poll_set_free(PollSet *poll_set) noexcept nogil
cdef int32_t poll_set_add(PollSet *poll_set, Endpoint *endpoint) noexcept nogil
cdef void poll_set_remove(PollSet *poll_set, Endpoint *endpoint) noexcept nogil
# Endpoints worth trying now, in candidates: how many.
cdef int32_t poll_set_candidates(PollSet *poll_set, Engine *engine) noexcept nogil
# How many datagrams the next of the remaining candidates may take, so that each gets at least one.
cdef int32_t poll_set_share(int32_t room, int32_t candidates_after) noexcept nogil
cdef int32_t poll_set_wait_descriptor(PollSet *poll_set) noexcept nogil
