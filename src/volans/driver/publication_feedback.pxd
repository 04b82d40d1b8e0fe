"""What receivers tell a network publication. Frames were checked by the endpoint. Sender only."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport NetworkPublication
from volans.transport.contract cimport Address

cdef void publication_on_status_message(NetworkPublication *publication, const uint8_t *frame, int32_t length, const Address *source, int64_t now_ns) noexcept nogil
cdef void publication_on_nak(NetworkPublication *publication, const uint8_t *frame, int32_t length, int64_t now_ns) noexcept nogil
cdef void publication_on_rttm(NetworkPublication *publication, const uint8_t *frame, int32_t length, const Address *source) noexcept nogil
cdef void publication_on_error_frame(NetworkPublication *publication, const uint8_t *frame, int32_t length, const Address *source, int64_t destination_registration_id, int64_t now_ns) noexcept nogil
# The peer of a request stream answers by that session: the control plane subscribes to it.
cdef void publication_on_response_setup(NetworkPublication *publication, int32_t response_session_id) noexcept nogil
