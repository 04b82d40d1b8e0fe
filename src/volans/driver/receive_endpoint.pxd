"""What a receiver sends: status messages, NAKs, round-trip measurements, errors. Queued on the engine; flushed once a duty cycle."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport ReceiveDestination
from volans.transport.contract cimport Address

# Each: 1 when queued, 0 when not (counted in short sends).
cdef int32_t send_status_message(ReceiveDestination *destination, const Address *control, int32_t stream_id, int32_t session_id,
                                 int32_t term_id, int32_t term_offset, int32_t receiver_window_length, uint8_t flags) noexcept nogil
cdef int32_t send_setup_request(ReceiveDestination *destination, const Address *control, int32_t stream_id, int32_t session_id) noexcept nogil
cdef int32_t send_nak(ReceiveDestination *destination, const Address *control, int32_t stream_id, int32_t session_id,
                      int32_t term_id, int32_t term_offset, int32_t length) noexcept nogil
cdef int32_t send_rttm(ReceiveDestination *destination, const Address *control, int32_t stream_id, int32_t session_id,
                       int64_t echo_timestamp_ns, int64_t reception_delta_ns, uint8_t flags) noexcept nogil
# Tells the publisher of a request stream the session it is answered by.
cdef int32_t send_response_setup(ReceiveDestination *destination, const Address *control, int32_t stream_id, int32_t session_id,
                                 int32_t response_session_id) noexcept nogil
cdef int32_t send_error(ReceiveDestination *destination, const Address *control, int32_t stream_id, int32_t session_id,
                        int32_t error_code, const char *text) noexcept nogil
# Where to answer a frame that no image knows: the group's control address, or the source.
cdef const Address *answer_address(ReceiveDestination *destination, const Address *source) noexcept nogil
