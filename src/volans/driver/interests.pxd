"""The two maps under a dispatcher: streams of an endpoint, sessions of a stream. Receiver only."""
from libc.stdint cimport int32_t
from volans.driver.layout cimport PublicationImage, ReceiveChannelEndpoint, SessionInterest, StreamInterest

cdef StreamInterest *stream_find(ReceiveChannelEndpoint *endpoint, int32_t stream_id) noexcept nogil
cdef StreamInterest *stream_find_or_add(ReceiveChannelEndpoint *endpoint, int32_t stream_id) noexcept nogil   # NULL without memory
cdef void stream_remove(ReceiveChannelEndpoint *endpoint, StreamInterest *stream) noexcept nogil             # and its sessions
cdef bint stream_wants(StreamInterest *stream, int32_t session_id) noexcept nogil
cdef SessionInterest *session_find(StreamInterest *stream, int32_t session_id) noexcept nogil
# 0, or -1 without memory or with too many sessions known already.
cdef int32_t session_set(StreamInterest *stream, int32_t session_id, int32_t state, PublicationImage *image) noexcept nogil
cdef void session_remove(StreamInterest *stream, int32_t session_id) noexcept nogil
# Removes it only when it is in that state.
cdef void session_remove_in_state(ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id, int32_t state) noexcept nogil
# Forgets sessions nobody subscribed to by name.
cdef void sessions_remove_unsubscribed(StreamInterest *stream) noexcept nogil
cdef void sessions_remove_in_state(StreamInterest *stream, int32_t state) noexcept nogil
