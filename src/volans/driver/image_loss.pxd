from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport PublicationImage

# The active gap of the image's loss detector is due: tell the receiver (sequence lock) and the loss report. Conductor.
cdef void image_publish_loss(PublicationImage *image, int64_t now_ms) noexcept nogil
