from libc.stdint cimport int32_t
from volans.driver.layout cimport PublicationImage

# Fills in image.congestion_control for a strategy's name ("static", ...): 0, or -1 when there is none of that name.
cdef int32_t congestion_control_open(PublicationImage *image, const char *name, int32_t receiver_window_length) noexcept nogil
