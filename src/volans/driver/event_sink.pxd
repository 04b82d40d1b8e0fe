from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport DriverShared, NetworkPublication
from volans.memory.layout cimport RingBuffer

cpdef enum:
    SINK_RECEIVER_ADDED = 48            # message types of the ring: the official event ids
    SINK_RECEIVER_REMOVED = 49
    SINK_RESEND = 55
    SINK_PUBLICATION_REVOKE = 59
    SINK_IMAGE_REVOKE = 60

cdef struct SinkRecord:
    int64_t time_ns
    int64_t registration_id             # of the publication, or the image's correlation id
    int64_t value                       # receiver id, or the position of a revoke
    int32_t session_id
    int32_t stream_id
    int32_t count                       # of receivers
    int32_t term_id
    int32_t term_offset
    int32_t length

# Written once before agents start; any agent tells.
cdef struct EventSinkState:
    RingBuffer ring                     # of the event log: many producers -> its writer
    bint tells_receiver_added
    bint tells_receiver_removed
    bint tells_resend
    bint tells_publication_revoke
    bint tells_image_revoke
    int64_t lost_count                  # shared: any agent (fetch_add) -> the log's writer (acquire)

# Each only after `shared.event_sink` was seen not to be NULL.
cdef void tell_receiver(NetworkPublication *publication, int32_t event_id, int64_t receiver_id, int32_t receiver_count) noexcept nogil
cdef void tell_resend(NetworkPublication *publication, int32_t term_id, int32_t term_offset, int32_t length, int64_t now_ns) noexcept nogil
cdef void tell_revoke(DriverShared *shared, int32_t event_id, int64_t registration_id, int32_t session_id, int32_t stream_id, int64_t position, int64_t now_ns) noexcept nogil

cdef class EventSink:
    cdef EventSinkState state
    cdef object owner                   # the ring's memory
