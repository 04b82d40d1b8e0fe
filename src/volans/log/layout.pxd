"""Log buffers: three terms and a metadata page (PROTOCOL.md section 3)."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.protocol.layout cimport DataHeader

cpdef enum:
    PARTITION_COUNT = 3
    LOG_METADATA_LENGTH = 4096
    TERM_MIN_LENGTH = 65536
    TERM_MAX_LENGTH = 1073741824
    PAGE_MIN_SIZE = 4096
    PAGE_MAX_SIZE = 1073741824
    MAX_MESSAGE_LENGTH = 16777216       # and term_length / 8
    BATCH_RESERVATION_LENGTH = 65536    # of one batch, and at most the greatest message
    LOG_TYPE_CONCURRENT = 0
    LOG_TYPE_EXCLUSIVE = 1
    LOG_TYPE_IMAGE = 2

# Results of append and claim; a positive result is the new stream position.
cpdef enum:
    APPEND_NOT_CONNECTED = -1
    APPEND_BACK_PRESSURED = -2
    APPEND_ADMIN_ACTION = -3
    APPEND_CLOSED = -4
    APPEND_MAX_POSITION_EXCEEDED = -5
    APPEND_MESSAGE_TOO_LONG = -6

cdef packed struct LogMetadata:
    int64_t term_tail_counters[3]       # concurrent: fetch_add by producers; exclusive: release store by its one producer
    int32_t active_term_count           # CAS at rotation
    uint8_t _pad1[100]
    int64_t end_of_stream_position      # driver, release
    int32_t is_connected                # driver, release; producers acquire
    int32_t active_transport_count      # driver, release
    uint8_t _pad2[112]
    int64_t correlation_id              # from here on written once before the file is announced
    int32_t initial_term_id
    int32_t default_frame_header_length
    int32_t mtu_length
    int32_t term_length
    int32_t page_size
    int32_t publication_window_length
    int32_t receiver_window_length
    int32_t socket_sndbuf_length
    int32_t os_default_socket_sndbuf_length
    int32_t os_max_socket_sndbuf_length
    int32_t socket_rcvbuf_length
    int32_t os_default_socket_rcvbuf_length
    int32_t os_max_socket_rcvbuf_length
    int32_t max_resend
    uint8_t default_header[128]         # the first 32 are used
    int64_t entity_tag
    int64_t response_correlation_id
    int64_t linger_timeout_ns
    int64_t untethered_window_limit_timeout_ns
    int64_t untethered_resting_timeout_ns
    uint8_t group
    uint8_t is_response
    uint8_t rejoin
    uint8_t reliable
    uint8_t sparse
    uint8_t signal_eos
    uint8_t spies_simulate_connection
    uint8_t tether
    uint8_t is_publication_revoked      # driver, release
    uint8_t type
    uint8_t _pad3[2]
    int64_t untethered_linger_timeout_ns
    uint8_t _pad4[3588]

# A mapped log, ready for use; the mapping's owner outlives it.
cdef struct LogBuffers:
    uint8_t *terms[3]
    LogMetadata *metadata
    int32_t term_length
    int32_t term_length_mask
    int32_t position_bits_to_shift
    int32_t initial_term_id

# A producer's view of its log. Concurrent publications share the log; the struct itself is one thread's or lock-free read-only.
cdef struct Appender:
    LogBuffers log
    int64_t *position_limit             # the pub-lmt counter: driver writes with release
    int64_t max_possible_position
    int32_t session_id
    int32_t stream_id
    int32_t max_payload_length          # mtu - 32
    int32_t max_message_length
    # Exclusive producer only: its own copy of where it is.
    int64_t term_begin_position
    int32_t term_id
    int32_t term_offset
    int32_t active_partition_index

# One piece of a gathered message.
cdef struct Piece:
    const uint8_t *data
    int64_t length

cdef struct ClaimResult:
    uint8_t *payload                    # payload_length writable bytes
    DataHeader *header                  # commit: claim_commit(header); abort: claim_abort(header)
    int32_t payload_length

# Room in a term that an append has reserved and nobody else will write. Private to append.
cdef struct AppendSlot:
    uint8_t *term
    int32_t term_offset
    int32_t term_id

# Sees one committed data frame. Return values as ControlledAction below; plain readers ignore them.
ctypedef int32_t (*fragment_fn)(const uint8_t *payload, int32_t length, DataHeader *header, void *clientd) noexcept nogil

cpdef enum ControlledAction:
    ABORT = 1
    BREAK = 2
    COMMIT = 3
    CONTINUE = 4
