"""The transports of a receive endpoint. Receiver only."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport ReceiveChannelEndpoint, ReceiveDestination, ReceiverState

# From now on it is polled, and images of the endpoint may come over it too.
cdef void destination_add(ReceiverState *receiver, ReceiveChannelEndpoint *endpoint, ReceiveDestination *destination) noexcept nogil
# Polled no more; released: its owner may close and free it.
cdef void destination_remove(ReceiverState *receiver, ReceiveChannelEndpoint *endpoint, ReceiveDestination *destination) noexcept nogil
cdef void destinations_remove_all(ReceiverState *receiver, ReceiveChannelEndpoint *endpoint) noexcept nogil
# Asks for the SETUP of a session wherever there is an explicit control address.
cdef void destinations_elicit_setup(ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id) noexcept nogil
cdef ReceiveDestination *destination_by_id(ReceiveChannelEndpoint *endpoint, int64_t destination_id) noexcept nogil
