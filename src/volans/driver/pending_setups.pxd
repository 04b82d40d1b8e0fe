from libc.stdint cimport int32_t
from volans.driver.layout cimport ReceiveChannelEndpoint, ReceiverState
from volans.transport.contract cimport Address

# Remembers that a SETUP was asked for now; with `periodic_control`, to be asked for there again and again. 0, or -1 without memory.
cdef int32_t pending_setup_add(ReceiverState *receiver, ReceiveChannelEndpoint *endpoint, int32_t stream_id, int32_t session_id,
                               const Address *periodic_control) noexcept nogil
cdef void pending_setups_drop(ReceiverState *receiver, ReceiveChannelEndpoint *endpoint) noexcept nogil
# Forgets requests nobody answered, repeats the periodic ones; work count.
cdef int32_t pending_setups_poll(ReceiverState *receiver) noexcept nogil
