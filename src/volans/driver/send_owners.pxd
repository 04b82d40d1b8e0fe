"""Python owner of a send endpoint: made and freed by the control plane, lent to the sender by pointer."""
from volans.driver.layout cimport SendChannelEndpoint

cdef class SendEndpointOwner:
    cdef SendChannelEndpoint *state
    cdef readonly object engine_handle
    cdef readonly object shared_owner
