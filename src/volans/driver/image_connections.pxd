"""The transports over which an image hears its publication. Receiver only."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport ImageConnection, PublicationImage, ReceiveDestination
from volans.transport.contract cimport Address

# A destination over which nothing was heard yet. NULL without memory.
cdef ImageConnection *image_connection_add(PublicationImage *image, ReceiveDestination *destination, int64_t now_ns) noexcept nogil
cdef void image_connection_remove(PublicationImage *image, ReceiveDestination *destination) noexcept nogil
# A frame came over the destination from `source`. NULL without memory.
cdef ImageConnection *image_connection_heard(PublicationImage *image, ReceiveDestination *destination, const Address *source, int64_t now_ns) noexcept nogil
# The channel's control address, or who was heard first; NULL while neither is known.
cdef const Address *image_connection_control(const ImageConnection *connection) noexcept nogil
# Status messages go there: the address is known, and heard of lately.
cdef bint image_connection_is_alive(const ImageConnection *connection, int64_t now_ns) noexcept nogil
# Whether every connection has ended, and the furthest position at which one did.
cdef bint image_connections_have_ended(PublicationImage *image, int64_t *eos_position) noexcept nogil
# Connections over which frames came within the liveness time-out: told to clients in the log.
cdef void image_connections_publish_count(PublicationImage *image, int64_t now_ns) noexcept nogil
