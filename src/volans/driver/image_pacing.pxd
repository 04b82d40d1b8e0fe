from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport PublicationImage

cdef void image_init_conductor_state(PublicationImage *image, int64_t initial_position, int64_t now_ns) noexcept nogil
cdef int32_t image_track_rebuild(PublicationImage *image, int64_t now_ns, int64_t now_ms) noexcept nogil    # every cycle; work count
cdef void image_on_time_event(PublicationImage *image, int64_t now_ns, int64_t now_ms) noexcept nogil      # every timer interval
# Active, or draining with something left to read, and read by somebody.
cdef bint image_accepts_subscribers(PublicationImage *image) noexcept nogil
cdef int64_t image_join_position(PublicationImage *image) noexcept nogil
# Sets *position to the join position and counts the subscriber in; join position, or -1 without memory.
cdef int64_t image_add_subscriber(PublicationImage *image, int64_t *position, int32_t counter_id, int64_t subscription_registration_id,
                                  bint is_tether, bint is_rejoin, int64_t now_ns) noexcept nogil
cdef int32_t image_remove_subscriber(PublicationImage *image, int64_t subscription_registration_id) noexcept nogil      # counter id, or -1
