from libc.stdint cimport int32_t
from volans.driver.layout cimport ReceiveDestination, ReceiverState

# Remembers that a SETUP was asked for now; a periodic one, at the destination's control address, for ever. 0, or -1 without memory.
cdef int32_t pending_setup_add(ReceiverState *receiver, ReceiveDestination *destination, int32_t stream_id, int32_t session_id,
                               bint is_periodic) noexcept nogil
cdef void pending_setups_drop(ReceiverState *receiver, ReceiveDestination *destination) noexcept nogil
# Forgets requests nobody answered, repeats the periodic ones; work count.
cdef int32_t pending_setups_poll(ReceiverState *receiver) noexcept nogil
