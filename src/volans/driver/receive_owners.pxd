"""Python owners of a receive endpoint and of its destinations: made and freed by the control plane, lent to the receiver."""
from volans.driver.layout cimport ReceiveChannelEndpoint, ReceiveDestination

cdef class ReceiveEndpointOwner:
    cdef ReceiveChannelEndpoint *state
    cdef readonly object engine_handle
    cdef readonly object shared_owner

cdef class ReceiveDestinationOwner:
    cdef ReceiveDestination *state
    cdef readonly ReceiveEndpointOwner channel
