"""When a channel wants to know when its messages were sent. Sender only."""
from libc.stdint cimport int32_t, uint8_t
from volans.driver.layout cimport NetworkPublication

# Write the time into the messages that begin in a datagram about to be sent; the channel asks for it.
cdef void send_timestamps_write(NetworkPublication *publication, uint8_t *datagram, int32_t length) noexcept nogil
