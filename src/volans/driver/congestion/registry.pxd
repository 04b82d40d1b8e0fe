from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport PublicationImage

# Fills in image.congestion_control for a strategy's name ("static", "cubic"): 0; -1 when there is none of that name, -2 without memory.
cdef int32_t congestion_control_open(PublicationImage *image, const char *name, int32_t receiver_window_length, int64_t now_ns) noexcept nogil
