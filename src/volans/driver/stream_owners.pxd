"""Python owners of publications and images: made and freed by the control plane, lent to the agents by pointer."""
from volans.driver.layout cimport IpcPublication, NetworkPublication, PublicationImage
from volans.driver.receive_owners cimport ReceiveEndpointOwner
from volans.driver.send_owners cimport SendEndpointOwner

cdef class IpcPublicationOwner:
    cdef IpcPublication *state
    cdef readonly object log_file       # MappedFile
    cdef readonly object shared_owner

cdef class NetworkPublicationOwner:
    cdef NetworkPublication *state
    cdef readonly object log_file
    cdef readonly SendEndpointOwner endpoint
    cdef readonly object shared_owner

cdef class PublicationImageOwner:
    cdef PublicationImage *state
    cdef readonly object log_file
    cdef readonly ReceiveEndpointOwner endpoint
    cdef readonly object shared_owner
    cdef bytes channel_text
    cdef bytes source_identity
    cdef bytes rejection_text
