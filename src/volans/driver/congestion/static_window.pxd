from libc.stdint cimport int32_t
from volans.driver.layout cimport PublicationImage

cdef void static_window_open(PublicationImage *image, int32_t receiver_window_length) noexcept nogil
