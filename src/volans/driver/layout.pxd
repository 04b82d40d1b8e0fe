"""The driver's hot state as C structs, each field with its owner.

Threads: *sender* and *receiver* own sockets and the streams' wire side. The *conductor* is one logical owner with two halves that
exclude each other by `Pacer.lock`: the *pacer* (GIL-free thread: limits, cleaning, rebuild tracking, liveness) and the *control plane*
(Python: commands, life cycle). "conductor" below means either half under the lock. Words written by one and read by another agent are
marked `shared:` with writer → reader; they are read with acquire and written with release.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from volans.log.layout cimport LogBuffers
from volans.memory.error_log cimport ErrorLogState
from volans.memory.int64_map cimport Int64Map
from volans.memory.layout cimport RingBuffer
from volans.memory.loss_report cimport LossReportState
from volans.transport.contract cimport Address, Endpoint, Engine, RxDatagram

cdef struct NetworkPublication
cdef struct PublicationImage
cdef struct SendChannelEndpoint
cdef struct ReceiveChannelEndpoint
cdef struct ReceiveDestination

# --- system counters (PROTOCOL.md section 6.5) -------------------------------------------------
cpdef enum:
    SYSTEM_BYTES_SENT = 0
    SYSTEM_BYTES_RECEIVED = 1
    SYSTEM_RECEIVER_PROXY_FAILS = 2
    SYSTEM_SENDER_PROXY_FAILS = 3
    SYSTEM_CONDUCTOR_PROXY_FAILS = 4
    SYSTEM_NAK_MESSAGES_SENT = 5
    SYSTEM_NAK_MESSAGES_RECEIVED = 6
    SYSTEM_STATUS_MESSAGES_SENT = 7
    SYSTEM_STATUS_MESSAGES_RECEIVED = 8
    SYSTEM_HEARTBEATS_SENT = 9
    SYSTEM_HEARTBEATS_RECEIVED = 10
    SYSTEM_RETRANSMITS_SENT = 11
    SYSTEM_FLOW_CONTROL_UNDER_RUNS = 12
    SYSTEM_FLOW_CONTROL_OVER_RUNS = 13
    SYSTEM_INVALID_PACKETS = 14
    SYSTEM_ERRORS = 15
    SYSTEM_SHORT_SENDS = 16
    SYSTEM_FREE_FAILS = 17
    SYSTEM_SENDER_FLOW_CONTROL_LIMITS = 18
    SYSTEM_UNBLOCKED_PUBLICATIONS = 19
    SYSTEM_UNBLOCKED_COMMANDS = 20
    SYSTEM_POSSIBLE_TTL_ASYMMETRY = 21
    SYSTEM_CONTROLLABLE_IDLE_STRATEGY = 22
    SYSTEM_LOSS_GAP_FILLS = 23
    SYSTEM_CLIENT_TIMEOUTS = 24
    SYSTEM_RESOLUTION_CHANGES = 25
    SYSTEM_CONDUCTOR_MAX_CYCLE_TIME = 26
    SYSTEM_CONDUCTOR_CYCLE_TIME_THRESHOLD_EXCEEDED = 27
    SYSTEM_SENDER_MAX_CYCLE_TIME = 28
    SYSTEM_SENDER_CYCLE_TIME_THRESHOLD_EXCEEDED = 29
    SYSTEM_RECEIVER_MAX_CYCLE_TIME = 30
    SYSTEM_RECEIVER_CYCLE_TIME_THRESHOLD_EXCEEDED = 31
    SYSTEM_NAME_RESOLVER_MAX_TIME = 32
    SYSTEM_NAME_RESOLVER_TIME_THRESHOLD_EXCEEDED = 33
    SYSTEM_AERON_VERSION = 34
    SYSTEM_BYTES_CURRENTLY_MAPPED = 35
    SYSTEM_RETRANSMITTED_BYTES = 36
    SYSTEM_RETRANSMIT_OVERFLOW = 37
    SYSTEM_ERROR_FRAMES_RECEIVED = 38
    SYSTEM_ERROR_FRAMES_SENT = 39
    SYSTEM_PUBLICATIONS_REVOKED = 40
    SYSTEM_PUBLICATION_IMAGES_REVOKED = 41
    SYSTEM_IMAGES_REJECTED = 42
    SYSTEM_CONTROL_PROTOCOL_VERSION = 43
    SYSTEM_STATUS_MESSAGES_REJECTED = 44
    SYSTEM_NATIVE_RESOURCE_AGENT_PROXY_FAILS = 45
    SYSTEM_COUNTER_COUNT = 46

# What every agent of one driver may touch. Counters: each has one writer, except ERRORS and INVALID_PACKETS (fetch_add).
cdef struct DriverShared:
    int64_t *system[SYSTEM_COUNTER_COUNT]
    ErrorLogState error_log
    LossReportState loss_report         # conductor only
    RingBuffer to_control               # many producers (sender, receiver, pacer) -> control plane
    RingBuffer to_sender                # conductor -> sender
    RingBuffer to_receiver              # conductor, sender -> receiver
    uint64_t random_state               # conductor only; seeded by the shell
    # settings that agents read (written once before they start)
    int64_t timer_interval_ns
    int64_t status_message_timeout_ns
    int64_t image_liveness_timeout_ns
    int64_t publication_unblock_timeout_ns
    int64_t publication_connection_timeout_ns
    int64_t publication_linger_timeout_ns
    int64_t retransmit_delay_ns
    int64_t retransmit_linger_ns
    int64_t nak_unicast_delay_ns
    int64_t nak_unicast_retry_delay_ratio
    int64_t nak_multicast_max_backoff_ns
    int32_t nak_multicast_group_size
    int32_t max_messages_per_send
    int32_t send_to_status_poll_ratio
    int32_t receiver_burst              # datagrams a poll may bring
    int32_t initial_window_length
    int32_t stream_session_limit
    int64_t flow_control_receiver_timeout_ns
    int64_t cubic_initial_rtt_ns
    bint cubic_measure_rtt
    bint cubic_tcp_mode
    int64_t (*epoch_clock_ns)() noexcept nogil  # for send timestamps; NULL: time is virtual, the engine's counts
    void *event_sink                    # EventSinkState * of event_sink.pxd, written once before agents start; NULL: nothing is told

# --- messages between agents (msg_type_id of the rings above) -----------------------------------
cpdef enum:
    TO_SENDER_ADD_ENDPOINT = 1          # AgentCommand.item = SendChannelEndpoint *
    TO_SENDER_REMOVE_ENDPOINT = 2
    TO_SENDER_ADD_PUBLICATION = 3       # NetworkPublication *
    TO_SENDER_REMOVE_PUBLICATION = 4
    TO_SENDER_ADD_DESTINATION = 5       # SendChannelEndpoint *, id = registration id, address (length 0: unresolved yet)
    TO_SENDER_REMOVE_DESTINATION = 6    # SendChannelEndpoint *, id
    TO_SENDER_CHANGE_DESTINATION = 7    # SendChannelEndpoint *, id, address: its name has moved
    TO_RECEIVER_REMOVE_ENDPOINT = 2     # ReceiveChannelEndpoint *, with its destinations
    TO_RECEIVER_ADD_SUBSCRIPTION = 3    # ReceiveChannelEndpoint *, stream_id: any session
    TO_RECEIVER_REMOVE_SUBSCRIPTION = 4
    TO_RECEIVER_ADD_SUBSCRIPTION_BY_SESSION = 5     # + session_id
    TO_RECEIVER_REMOVE_SUBSCRIPTION_BY_SESSION = 6
    TO_RECEIVER_ADD_IMAGE = 7           # ReceiveChannelEndpoint *, image = PublicationImage *
    TO_RECEIVER_REMOVE_IMAGE = 8        # image
    TO_RECEIVER_REMOVE_INIT_IN_PROGRESS = 9         # image creation failed: endpoint, stream_id, session_id
    TO_RECEIVER_REMOVE_COOL_DOWN = 10   # endpoint, stream_id, session_id
    TO_RECEIVER_ADD_DESTINATION = 11    # endpoint, image = ReceiveDestination *
    TO_RECEIVER_REMOVE_DESTINATION = 12
    TO_CONTROL_CREATE_IMAGE = 1         # CreateImageRequest
    TO_CONTROL_IPC_LINGER = 2           # registration_id: consumers finished or revoked; images are gone for subscribers
    TO_CONTROL_IPC_DONE = 3
    TO_CONTROL_PUBLICATION_LINGER = 4
    TO_CONTROL_PUBLICATION_DONE = 5
    TO_CONTROL_IMAGE_LINGER = 6         # announce unavailable; the receiver was told to let go
    TO_CONTROL_IMAGE_DONE = 7
    TO_CONTROL_PUBLICATION_ERROR = 8    # PublicationErrorReport + text
    TO_CONTROL_SUBSCRIBER_LINGER = 20   # SubscriberEvent: an untethered subscriber lagged, it loses its image
    TO_CONTROL_SUBSCRIBER_ACTIVE = 21   # it has rested and reads again from the position its counter says
    TO_CONTROL_SUBSCRIBER_CLOSED = 22   # it will not come back: its counter is the control plane's to free

cdef struct AgentCommand:
    void *item
    void *image
    int64_t id
    int32_t stream_id
    int32_t session_id
    Address address

cdef struct StreamEvent:
    int64_t registration_id

cdef struct SubscriberEvent:
    int64_t registration_id             # of the publication, or the image's correlation id
    int64_t subscription_registration_id
    int32_t counter_id

cdef struct CreateImageRequest:
    ReceiveChannelEndpoint *endpoint
    int64_t endpoint_id
    int64_t destination_id              # over which the SETUP came
    int32_t session_id
    int32_t stream_id
    int32_t initial_term_id
    int32_t active_term_id
    int32_t term_offset
    int32_t term_length
    int32_t mtu_length
    int32_t flags                       # of the SETUP frame
    Address control                     # where SM and NAK go
    Address source

cdef struct PublicationErrorReport:
    int64_t registration_id
    int64_t destination_registration_id
    int32_t session_id
    int32_t stream_id
    int64_t receiver_id
    int64_t group_tag
    int32_t error_code
    int32_t error_length
    Address source
    uint8_t text[1024]

# --- subscribers of a log ------------------------------------------------------------------------
cpdef enum:
    SUBSCRIBER_ACTIVE = 0
    SUBSCRIBER_LINGER = 1
    SUBSCRIBER_RESTING = 2
    SUBSCRIBER_CLOSED = 3

cdef struct Subscriber:                 # conductor
    int64_t *position                   # shared: client → conductor
    int64_t subscription_registration_id
    int64_t time_of_last_update_ns
    int32_t counter_id
    int32_t state
    bint is_tether
    bint is_rejoin

# When an untethered subscriber of a stream has lagged, lingered or rested for long enough.
cdef struct TetherRules:
    int64_t window_limit_position       # at or behind that, a subscriber lags
    int64_t join_position               # where it reads on when it has rested
    int64_t window_limit_timeout_ns
    int64_t linger_timeout_ns
    int64_t resting_timeout_ns

cdef struct Subscribable:               # conductor
    Subscriber *array
    int32_t count
    int32_t capacity

# --- publications ----------------------------------------------------------------------------------
cpdef enum:
    STREAM_ACTIVE = 0
    STREAM_DRAINING = 1
    STREAM_LINGER = 2
    STREAM_DONE = 3

cdef struct IpcPublication:             # all conductor
    LogBuffers log
    Subscribable subscribers
    int64_t *publisher_position
    int64_t *publisher_limit
    int64_t registration_id
    int32_t session_id
    int32_t stream_id
    int64_t term_window_length
    int64_t trip_gain                   # limit moves in steps of window / 8
    int64_t trip_limit
    int64_t clean_position
    int64_t consumer_position
    int64_t last_consumer_position
    int64_t time_of_last_consumer_change_ns
    int64_t time_of_last_state_change_ns
    int64_t unblock_timeout_ns
    int64_t linger_timeout_ns
    int64_t untethered_window_limit_timeout_ns
    int64_t untethered_linger_timeout_ns
    int64_t untethered_resting_timeout_ns
    int32_t state
    int32_t reference_count             # publications of clients that share it
    bint is_exclusive
    DriverShared *shared

# Flow control: the sender asks; state lives in the publication. Positions are stream positions.
cdef struct FlowControl:
    const FlowControlOps *ops
    void *state
    int32_t has_required_receivers      # shared: sender → conductor
    # written once at creation, before the strategy is opened
    int32_t retransmit_window_multiple  # 0: the strategy's own
    int32_t group_min_size              # receivers needed for a connection (min, tagged)
    int64_t group_tag                   # of the receivers that count (tagged)
    int64_t receiver_timeout_ns         # a receiver silent for longer counts no more (min, tagged)
    int64_t *receiver_count             # counter fc-receivers, sender; NULL: none is kept

cdef struct FlowControlOps:
    const char *name
    int64_t (*on_status_message)(NetworkPublication *publication, const uint8_t *frame, int32_t length, const Address *source, int64_t sender_limit, int64_t now_ns) noexcept nogil
    int64_t (*on_idle)(NetworkPublication *publication, int64_t now_ns, int64_t sender_limit, int64_t sender_position, bint is_end_of_stream) noexcept nogil
    int32_t (*max_retransmit_length)(NetworkPublication *publication, int32_t term_offset, int32_t length) noexcept nogil
    void (*close)(NetworkPublication *publication) noexcept nogil
    # NULL where the strategy has nothing to do:
    int32_t (*open)(NetworkPublication *publication) noexcept nogil                                             # 0, or -1 without memory
    void (*on_setup_request)(NetworkPublication *publication, const uint8_t *frame) noexcept nogil              # SM that asks for a SETUP
    void (*on_setup)(NetworkPublication *publication, int64_t now_ns, int64_t sender_limit) noexcept nogil      # a SETUP was sent
    void (*on_error)(NetworkPublication *publication, int64_t receiver_id) noexcept nogil                       # a receiver rejected the stream

cpdef enum:
    MAX_RETRANSMITS = 256
    RETRANSMIT_INACTIVE = 0
    RETRANSMIT_DELAYED = 1
    RETRANSMIT_LINGERING = 2

cdef struct RetransmitAction:
    int32_t term_id
    int32_t term_offset
    int32_t length
    int32_t state
    int64_t expiry_ns

cdef struct RetransmitHandler:          # sender
    RetransmitAction *actions
    int32_t max_resend
    int32_t active_count
    bint has_group_semantics

cdef struct NetworkPublication:
    # written once at creation
    LogBuffers log
    SendChannelEndpoint *endpoint
    DriverShared *shared
    int64_t registration_id
    int32_t session_id
    int32_t stream_id
    int32_t mtu_length
    int32_t max_messages_per_send
    int32_t starting_term_id
    int32_t starting_term_offset
    int64_t term_window_length
    int64_t connection_timeout_ns
    int64_t linger_timeout_ns
    int64_t unblock_timeout_ns
    int64_t untethered_window_limit_timeout_ns
    int64_t untethered_linger_timeout_ns
    int64_t untethered_resting_timeout_ns
    int64_t response_correlation_id
    bint is_exclusive
    bint is_response
    bint signal_eos
    bint spies_simulate_connection
    # counters
    int64_t *publisher_position         # conductor
    int64_t *publisher_limit            # conductor → client
    int64_t *sender_position            # sender → conductor
    int64_t *sender_limit               # sender
    int64_t *back_pressure_events       # sender
    int64_t *naks_received              # sender
    # conductor
    Subscribable spies
    int32_t state
    int32_t reference_count
    int64_t clean_position
    int64_t time_of_last_activity_ns
    int64_t last_sender_position
    # shared
    int64_t max_spy_position            # conductor → sender
    int32_t has_spies                   # conductor → sender
    int32_t is_end_of_stream            # conductor → sender
    int32_t has_receivers               # sender → conductor
    int32_t has_received_unicast_eos    # sender → conductor
    int32_t is_connected                # both (the log's word is set beside it)
    int32_t sender_released             # sender → control plane: it will not touch this again
    # sender
    bint has_initial_connection
    bint is_setup_elicited
    bint track_sender_limits
    int64_t time_of_last_data_or_heartbeat_ns
    int64_t time_of_last_setup_ns
    int64_t status_message_deadline_ns
    Address response_address
    FlowControl flow_control
    RetransmitHandler retransmit
    Int64Map receiver_liveness          # receiver id → deadline (boxed int64)
    int32_t sender_index                # place in the sender's array

cpdef enum:
    DESTINATIONS_NONE = 0               # one peer: the endpoint's `destination`
    DESTINATIONS_MANUAL = 1             # the control plane adds and removes
    DESTINATIONS_DYNAMIC = 2            # learnt from status messages
    SEND_DESTINATIONS_MAX = 4096        # learnt of one endpoint: strangers cannot make it grow without end

cdef struct SendDestination:            # sender
    Address address                     # length 0: its name has no address yet
    int64_t registration_id             # -1: learnt
    int64_t receiver_id
    bint is_receiver_id_known
    int64_t time_of_last_activity_ns

cdef struct SendDestinations:           # sender
    SendDestination *array
    int32_t count
    int32_t capacity
    int32_t mode                        # DESTINATIONS_..., written once
    int32_t round_robin_index
    int64_t *count_counter              # mdc-num-dest

cdef struct SendChannelEndpoint:
    Endpoint endpoint                   # transport
    Engine *engine                      # the sender's
    DriverShared *shared
    int64_t id                          # control plane's key
    Address destination                 # remote data address; length 0: destinations only
    int64_t *channel_status
    int32_t multicast_ttl
    bint is_unicast
    bint is_multicast
    bint has_group_semantics
    Int64Map publications               # sender; compound_key(stream_id, session_id) → NetworkPublication *
    int64_t time_of_last_status_message_ns
    int32_t sender_released             # shared: sender → control plane
    SendDestinations destinations
    bint has_send_timestamp             # written once: the channel has channel-snd-ts-offset
    int32_t send_timestamp_offset       # bytes into the payload, or -8: the reserved value

# --- images ------------------------------------------------------------------------------------------
cdef struct CongestionControl:
    const CongestionControlOps *ops
    void *state
    int64_t *rtt_counter                # receiver; with window_counter NULL where none are kept
    int64_t *window_counter             # conductor

cdef struct CongestionControlOps:
    const char *name
    int32_t (*initial_window_length)(PublicationImage *image) noexcept nogil
    int32_t (*max_window_length)(PublicationImage *image) noexcept nogil
    int32_t (*should_measure_rtt)(PublicationImage *image, int64_t now_ns) noexcept nogil
    void (*on_rttm_sent)(PublicationImage *image, int64_t now_ns) noexcept nogil
    void (*on_rttm)(PublicationImage *image, int64_t now_ns, int64_t rtt_ns, const Address *source) noexcept nogil
    # New window length; *force_status_message = 1 to send an SM at once.
    int32_t (*on_track_rebuild)(PublicationImage *image, int32_t *force_status_message, int64_t now_ns, int64_t new_consumption_position,
                                int64_t last_sm_position, int64_t hwm_position, int64_t rebuild_position, int64_t new_rebuild_position, int32_t loss_occurred) noexcept nogil
    void (*close)(PublicationImage *image) noexcept nogil

cdef struct LossDetector:               # conductor
    int64_t delay_ns                    # unicast: fixed; multicast: drawn by backoff
    int64_t retry_delay_ns
    bint is_multicast_backoff
    int64_t expiry_ns
    int32_t scanned_term_id
    int32_t scanned_term_offset
    int32_t scanned_length
    int32_t active_term_id
    int32_t active_term_offset
    int32_t active_length               # 0 = nothing active

# One transport over which an image hears its publication.
cdef struct ImageConnection:            # receiver
    ReceiveDestination *destination
    Address control                     # where SM, NAK, RTTM go unless the destination says; length 0: not yet known
    bint is_eos
    int64_t time_of_last_activity_ns
    int64_t time_of_last_frame_ns
    int64_t eos_position

cpdef enum:
    IMAGE_SM_EOS_MULTIPLE = 5
    IMAGE_CONNECTION_TIMEOUT_S = 5      # silent for longer: no status messages go there

cdef struct PublicationImage:
    # written once at creation
    LogBuffers log
    ReceiveChannelEndpoint *endpoint
    DriverShared *shared
    int64_t correlation_id
    int32_t session_id
    int32_t stream_id
    int32_t mtu_length
    int32_t setup_flags
    int64_t liveness_timeout_ns
    int64_t status_message_timeout_ns
    int64_t untethered_window_limit_timeout_ns
    int64_t untethered_linger_timeout_ns
    int64_t untethered_resting_timeout_ns
    bint is_reliable
    Address source
    int32_t max_receiver_window_length
    CongestionControl congestion_control
    const char *channel_text            # for the loss report
    const char *source_identity
    int32_t channel_text_length
    int32_t source_identity_length
    # counters
    int64_t *receiver_hwm               # receiver → conductor
    int64_t *receiver_position          # conductor
    int64_t *naks_sent                  # receiver
    # conductor
    Subscribable subscribers
    LossDetector loss_detector
    int32_t state
    int64_t time_of_last_state_change_ns
    int64_t clean_position
    int64_t loss_report_entry_offset    # -1 = none yet
    int32_t loss_report_term_id
    int32_t loss_report_term_offset
    int32_t loss_report_length
    # shared, seqlock: conductor writes begin, fields, end; receiver reads end, fields, begin
    int64_t begin_loss_change
    int64_t end_loss_change
    int32_t loss_term_id
    int32_t loss_term_offset
    int32_t loss_length
    int64_t begin_sm_change
    int64_t end_sm_change
    int64_t next_sm_position
    int32_t next_sm_receiver_window_length
    # shared words
    int64_t time_of_last_packet_ns      # receiver → conductor
    int32_t is_end_of_stream            # receiver → conductor
    int32_t is_sending_eos_sm           # conductor → receiver
    int32_t is_sm_deadline_reset_requested  # conductor sets, receiver clears
    int32_t receiver_released           # receiver → control plane
    const char *rejection_reason        # control plane → receiver (release once)
    # receiver
    int64_t first_destination_id        # over which its SETUP came, and whom to answer there
    Address first_control
    ImageConnection *connections
    int32_t connection_count
    int32_t connection_capacity
    int32_t is_sm_enabled
    int64_t last_loss_change_number
    int64_t last_sm_change_number
    int64_t last_sm_position
    int64_t last_overrun_threshold
    int64_t next_sm_deadline_ns
    int32_t receiver_index              # place in the receiver's array
    # shared
    int64_t response_session            # control plane → receiver: RESPONSE_SESSION_KNOWN | session id to tell the publisher of; 0 = none

cpdef enum:
    SESSION_ACTIVE = 1
    SESSION_PENDING_SETUP = 2
    SESSION_INIT_IN_PROGRESS = 3
    SESSION_COOL_DOWN = 4
    SESSION_NO_INTEREST = 5
    SESSION_STATES_MAX = 65536          # of one stream: strangers cannot make the map grow without end
    RECEIVER_COMMAND_LIMIT = 16         # taken from the ring in one duty cycle
    PENDING_SETUP_TIMEOUT_NS = 1000000000

cdef struct SessionInterest:            # receiver
    int32_t state
    PublicationImage *image             # SESSION_ACTIVE only

cdef struct StreamInterest:             # receiver
    int32_t stream_id
    bint is_all_sessions
    int32_t image_count                 # sessions that are ACTIVE or INIT_IN_PROGRESS
    Int64Map subscribed_sessions        # session id → itself (non NULL), when not all
    Int64Map sessions                   # session id → SessionInterest *

# One transport of a receive endpoint: a bound address on which its streams come in.
cdef struct ReceiveDestination:
    # written once at creation
    Endpoint endpoint                   # its owner is this struct
    ReceiveChannelEndpoint *channel
    int64_t id                          # control plane's key
    bint is_multicast
    bint has_explicit_control           # SM and NAK go to `control`, and it is asked for setup
    int32_t multicast_ttl
    # receiver
    Address control                     # of the group, or explicit; length 0: the source is answered
    int64_t time_of_last_activity_ns
    int32_t receiver_released           # shared: receiver → control plane

cpdef enum:
    TIMESTAMP_OFFSET_NONE = -1
    TIMESTAMP_OFFSET_RESERVED = -8      # into the frame's reserved value

cdef struct ReceiveChannelEndpoint:
    Engine *engine                      # the receiver's
    DriverShared *shared
    int64_t id
    int64_t receiver_id
    int64_t group_tag
    bint has_group_tag
    int32_t media_timestamp_offset      # TIMESTAMP_OFFSET_..., or bytes into the payload
    int32_t channel_timestamp_offset
    int64_t *channel_status
    ReceiveDestination **destinations   # receiver
    int32_t destination_count
    int32_t destination_capacity
    Int64Map streams                    # receiver; stream id → StreamInterest *
    int32_t session_count_limit
    int32_t receiver_released           # shared: receiver → control plane

cdef struct PendingSetup:               # receiver
    ReceiveDestination *destination
    int32_t stream_id
    int32_t session_id
    bint is_periodic                    # explicit control: asked for ever
    int64_t time_of_last_setup_request_ns

# --- agents ---------------------------------------------------------------------------------------------
cdef struct SenderState:
    DriverShared *shared
    Engine *engine
    NetworkPublication **publications
    int32_t publication_count
    int32_t publication_capacity
    int32_t round_robin_index
    int32_t duty_cycle_counter
    int64_t control_poll_deadline_ns
    int64_t now_ns
    int64_t now_ms
    RxDatagram received[64]

cdef struct ReceiverState:
    DriverShared *shared
    Engine *engine
    PublicationImage **images
    int32_t image_count
    int32_t image_capacity
    PendingSetup *pending_setups
    int32_t pending_setup_count
    int32_t pending_setup_capacity
    int64_t now_ns
    int64_t now_ms
    int64_t counted_short_sends         # of the engine's statistics, already in the system counters
    int64_t counted_tx_errors
    RxDatagram received[64]

# The conductor's GIL-free half.
cdef struct PacerState:
    DriverShared *shared
    IpcPublication **ipc_publications
    int32_t ipc_count
    int32_t ipc_capacity
    NetworkPublication **publications
    int32_t publication_count
    int32_t publication_capacity
    PublicationImage **images
    int32_t image_count
    int32_t image_capacity
    int64_t timer_deadline_ns
    int64_t *consumer_heartbeat         # of the to-driver ring: epoch ms
    int32_t lock                        # held by the pacer for a cycle, by the control plane for one call
    int32_t waiters                     # control plane wants the lock: the pacer steps aside
    int64_t now_ns
    int64_t now_ms
