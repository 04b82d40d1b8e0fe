"""What an image tells its publication. Receiver only; each returns a work count."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport PublicationImage

cdef int32_t send_pending_status_message(PublicationImage *image, int64_t now_ns) noexcept nogil     # or ERR while rejected
cdef int32_t send_pending_loss(PublicationImage *image, int64_t now_ns) noexcept nogil               # NAK, or the gap is filled
cdef int32_t send_pending_rttm(PublicationImage *image, int64_t now_ns) noexcept nogil
