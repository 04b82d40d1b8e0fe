from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport AgentCommand, DriverShared, NetworkPublication, SendChannelEndpoint, SenderState
from volans.testing.log_kit cimport LogKit
from volans.transport.contract cimport Address, Engine, EngineOps, RxDatagram

cdef enum:
    RECORDS_MAX = 8192
    RECORDED_BYTES_MAX = 4194304
    INBOX_MAX = 64
    INBOX_SLOT_LENGTH = 2048

cdef struct RecordedDatagram:
    const uint8_t *source               # where it lay when it was offered
    int64_t offset                      # of its copy
    int32_t length
    int32_t run                         # number of the call that offered it
    Address destination

# What a RecordingEngine has seen and how it shall answer.
cdef struct Recording:
    RecordedDatagram records[8192]
    uint8_t bytes[4194304]
    int64_t byte_count
    int32_t count
    int32_t run_count
    int32_t flush_count
    int32_t forget_count
    int32_t endpoint_count
    int32_t room                        # datagrams taken until the next flush; -1 = any number
    int32_t room_after_flush
    int32_t error                       # every send fails with it
    int32_t error_port                  # only those to this port; 0 = all
    int32_t inbox_count
    RxDatagram inbox[64]
    uint8_t inbox_bytes[131072]

cdef class SenderKit:
    cdef Engine engine
    cdef EngineOps ops
    cdef Recording *recording
    cdef DriverShared shared
    cdef SendChannelEndpoint endpoint
    cdef SenderState sender
    cdef bytearray counters
    cdef bytearray rings
    cdef bytearray errors
    cdef list publications              # kept alive
    cdef int64_t *_counter(self, int32_t number)
    cdef int _tell(self, int32_t msg_type_id, void *item) except -1
    cdef int _tell_destination(self, int32_t msg_type_id, int64_t registration_id, int32_t port) except -1
    cdef int _write(self, int32_t msg_type_id, AgentCommand *command) except -1

cdef class PublicationKit:
    cdef readonly SenderKit sender_kit
    cdef readonly LogKit log
    cdef NetworkPublication publication
    cdef bytearray counters
    cdef int64_t *_counter(self, int32_t number)
