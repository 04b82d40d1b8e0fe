"""State of the flow controls that know each receiver of a group. Sender only."""
from libc.stdint cimport int32_t, int64_t

cpdef enum:
    GROUP_RECEIVERS_MAX = 65536         # strangers cannot make the group grow without end
    NO_SETUP_LIMIT = -1
    UNICAST_RETRANSMIT_WINDOWS = 16     # PROTOCOL.md section 10.11
    GROUP_RETRANSMIT_WINDOWS = 4

cdef struct GroupReceiver:
    int64_t receiver_id
    int64_t window_edge                 # consumption position + window of its last status message
    int64_t time_of_last_status_message_ns

cdef struct ReceiverGroup:
    GroupReceiver *array
    int32_t count
    int32_t capacity
    int64_t setup_limit                 # holds the stream for a receiver that asked for a SETUP
    int64_t time_of_last_setup_ns
    bint is_setup_requested
