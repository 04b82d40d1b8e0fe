"""Wire frames, log frames and the CnC header as C structs (PROTOCOL.md sections 2, 3, 10). Little-endian hosts only."""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t

cpdef enum:
    FRAME_TYPE_PAD = 0x00
    FRAME_TYPE_DATA = 0x01
    FRAME_TYPE_NAK = 0x02
    FRAME_TYPE_SM = 0x03
    FRAME_TYPE_ERR = 0x04
    FRAME_TYPE_SETUP = 0x05
    FRAME_TYPE_RTTM = 0x06
    FRAME_TYPE_RES = 0x07
    FRAME_TYPE_RSP_SETUP = 0x0B
    FRAME_TYPE_EXT = -1

cpdef enum:
    FRAME_VERSION = 0
    FRAME_ALIGNMENT = 32
    FRAME_HEADER_LENGTH = 8
    DATA_HEADER_LENGTH = 32
    SETUP_LENGTH = 40
    SM_LENGTH = 36
    SM_WITH_GROUP_TAG_LENGTH = 44
    NAK_LENGTH = 28
    ERR_HEADER_LENGTH = 40
    RTTM_LENGTH = 40
    RSP_SETUP_LENGTH = 20
    MAX_ERROR_TEXT_LENGTH = 1023
    MAX_UDP_PAYLOAD_LENGTH = 65504

cpdef enum:
    DATA_FLAG_BEGIN = 0x80
    DATA_FLAG_END = 0x40
    DATA_FLAGS_UNFRAGMENTED = 0xC0
    DATA_FLAG_EOS = 0x20
    DATA_FLAG_REVOKED = 0x10
    SETUP_FLAG_SEND_RESPONSE_SETUP = 0x80
    SETUP_FLAG_GROUP = 0x40
    SM_FLAG_SEND_SETUP = 0x80
    SM_FLAG_EOS = 0x40
    RTTM_FLAG_REPLY = 0x80
    ERR_FLAG_HAS_GROUP_TAG = 0x08

# Common start of every frame.
cdef packed struct FrameHeader:
    int32_t frame_length
    int8_t version
    uint8_t flags
    int16_t type

# Data and padding frames, on the wire and in term buffers (32 bytes; naturally aligned).
cdef struct DataHeader:
    int32_t frame_length            # commit word in a term: written last with release
    int8_t version
    uint8_t flags
    int16_t type
    int32_t term_offset
    int32_t session_id
    int32_t stream_id
    int32_t term_id
    int64_t reserved_value

cdef packed struct SetupFrame:
    int32_t frame_length
    int8_t version
    uint8_t flags
    int16_t type
    int32_t term_offset
    int32_t session_id
    int32_t stream_id
    int32_t initial_term_id
    int32_t active_term_id
    int32_t term_length
    int32_t mtu_length
    int32_t ttl

cdef packed struct StatusMessageFrame:
    int32_t frame_length
    int8_t version
    uint8_t flags
    int16_t type
    int32_t session_id
    int32_t stream_id
    int32_t consumption_term_id
    int32_t consumption_term_offset
    int32_t receiver_window_length
    int64_t receiver_id
    int64_t group_tag               # only when frame_length == SM_WITH_GROUP_TAG_LENGTH

cdef packed struct NakFrame:
    int32_t frame_length
    int8_t version
    uint8_t flags
    int16_t type
    int32_t session_id
    int32_t stream_id
    int32_t term_id
    int32_t term_offset
    int32_t length

cdef packed struct ErrorFrame:
    int32_t frame_length
    int8_t version
    uint8_t flags
    int16_t type
    int32_t session_id
    int32_t stream_id
    int64_t receiver_id
    int64_t group_tag
    int32_t error_code
    int32_t error_length            # text follows

cdef packed struct RttmFrame:
    int32_t frame_length
    int8_t version
    uint8_t flags
    int16_t type
    int32_t session_id
    int32_t stream_id
    int64_t echo_timestamp_ns
    int64_t reception_delta_ns
    int64_t receiver_id

cdef packed struct ResponseSetupFrame:
    int32_t frame_length
    int8_t version
    uint8_t flags
    int16_t type
    int32_t session_id
    int32_t stream_id
    int32_t response_session_id

# --- CnC file header (section 2) --------------------------------------------------------------
cpdef enum:
    CNC_VERSION = 512               # 0.2.0
    CNC_HEADER_LENGTH = 128
    CNC_VERSION_OFFSET = 0
    CNC_TO_DRIVER_BUFFER_LENGTH_OFFSET = 4
    CNC_TO_CLIENTS_BUFFER_LENGTH_OFFSET = 8
    CNC_COUNTERS_METADATA_BUFFER_LENGTH_OFFSET = 12
    CNC_COUNTERS_VALUES_BUFFER_LENGTH_OFFSET = 16
    CNC_ERROR_LOG_BUFFER_LENGTH_OFFSET = 20
    CNC_CLIENT_LIVENESS_TIMEOUT_OFFSET = 24
    CNC_START_TIMESTAMP_OFFSET = 32
    CNC_PID_OFFSET = 40
    CNC_FILE_PAGE_SIZE_OFFSET = 48
