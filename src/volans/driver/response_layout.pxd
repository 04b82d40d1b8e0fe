"""Response channels: what the sender tells the control plane about them (PROTOCOL.md sections 10.2 and 10.8)."""
from libc.stdint cimport int32_t, int64_t

cpdef enum:
    TO_CONTROL_RESPONSE_SETUP = 60      # ResponseSetupReport: the peer of a request stream says by which session it answers
    TO_CONTROL_RESPONSE_CONNECTED = 61  # ResponseSetupReport: a response stream is being received
    RESPONSE_SESSION_KNOWN = 0x100000000    # PublicationImage.response_session: the low half is a session id

cdef struct ResponseSetupReport:
    int64_t response_correlation_id     # SETUP: the response subscription's registration id; CONNECTED: the request's image
    int32_t response_session_id
