"""Names that move: what the control plane asks of sender and receiver, and what they answer (resolution.py)."""
from libc.stdint cimport int64_t

cpdef enum:
    TO_SENDER_CHECK_RESOLUTION = 40     # SendChannelEndpoint *: tell which of its peers are silent
    TO_SENDER_CHANGE_PEER = 41          # SendChannelEndpoint *, address; id = 1: connect the socket to it
    TO_RECEIVER_CHECK_RESOLUTION = 40   # ReceiveChannelEndpoint *: tell whether it heard nothing
    TO_RECEIVER_CHANGE_CONTROL = 41     # ReceiveChannelEndpoint *, address: of the explicit control
    TO_CONTROL_SILENT_PEER = 40         # SilentPeerReport: resolve the name again
    SILENT_AFTER_NS = 5000000000

cdef struct SilentPeerReport:
    int64_t endpoint_id
    int64_t destination_registration_id # -1: the endpoint's own peer
    int64_t is_receiver
