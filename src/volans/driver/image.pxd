"""A publication image, receiver's side (image.py) and conductor's side (image_pacing.py)."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport PublicationImage, ReceiveDestination
from volans.transport.contract cimport Address, RxDatagram

cdef void image_init_receiver_state(PublicationImage *image, int64_t initial_position, int64_t now_ns) noexcept nogil
# The receiver takes the image on: it hears it over the destination of its SETUP.
cdef void image_connect(PublicationImage *image, int64_t now_ns) noexcept nogil
# `packet` is in `datagram`, or one of several of it; time stamps are written into it.
cdef int32_t image_on_data(PublicationImage *image, ReceiveDestination *destination, const uint8_t *packet, int32_t length,
                           const RxDatagram *datagram, int64_t now_ns) noexcept nogil
# A SETUP of a session that has its image already: the source lives.
cdef void image_on_setup(PublicationImage *image, ReceiveDestination *destination, const Address *source, int64_t now_ns) noexcept nogil
cdef void image_on_rttm(PublicationImage *image, const uint8_t *frame, int32_t length, const Address *source, int64_t now_ns) noexcept nogil
cdef int32_t image_send_pending(PublicationImage *image, int64_t now_ns) noexcept nogil     # SM or ERR, NAK or gap fill, RTTM; work count
