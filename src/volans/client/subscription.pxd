from libc.stdint cimport int32_t, int64_t
from volans.client.layout cimport ImageList, SubscriptionState
from volans.log.layout cimport fragment_fn

# Polls all images without Python: raw fragments, round robin. One polling thread; its caller keeps the Subscription alive.
cdef int32_t subscription_poll(SubscriptionState *subscription, fragment_fn handler, void *clientd, int32_t fragment_limit) noexcept nogil
cdef int32_t subscription_image_count(SubscriptionState *subscription) noexcept nogil

# The memory of one ImageList and the images it points to.
cdef class ImageListOwner:
    cdef ImageList list
    cdef tuple images

cdef class Subscription:
    cdef SubscriptionState state
    cdef tuple _images
    cdef ImageListOwner current
    cdef list retired               # lists a GIL-free poll may still be walking
    cdef object conductor
    cdef readonly int64_t registration_id
    cdef readonly str channel
    cdef readonly int32_t stream_id
    cdef readonly bint fragments
    cdef readonly int32_t channel_status_id
    cdef object on_available_image
    cdef object on_unavailable_image
    cdef void set_images(self, tuple images) noexcept
    cdef Py_ssize_t next_start(self, Py_ssize_t count) noexcept
