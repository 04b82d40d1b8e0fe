from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport PublicationImage

# 0, or -1 without memory. Reads the cubic settings of image.shared and the counters in image.congestion_control.
cdef int32_t cubic_open(PublicationImage *image, int32_t receiver_window_length, int64_t now_ns) noexcept nogil
