from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport AgentCommand, SenderState
from volans.driver.send_owners cimport SendEndpointOwner

cdef int32_t sender_do_work(void *state, int64_t now_ns, int64_t now_ms) noexcept nogil

# Owns a SenderState; control plane side of its command ring.
cdef class Sender:
    cdef SenderState state
    cdef object shared_owner
    cdef object engine_handle
    cdef bint _tell(self, int32_t msg_type_id, void *item) noexcept nogil
    cdef object _tell_destination(self, int32_t msg_type_id, SendEndpointOwner endpoint, int64_t registration_id, bytes sockaddr)
    cdef bint _write(self, int32_t msg_type_id, AgentCommand *command) noexcept nogil
