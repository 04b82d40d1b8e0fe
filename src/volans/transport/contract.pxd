"""What a network API must offer to carry the bus (DESIGN.md section 5): engines and endpoints, bursts, completions.

An *engine* belongs to one agent thread and owns its memory, rings and one flush a duty cycle. An *endpoint* is a bound local
address on an engine; cheap. Nothing blocks. A new API is one file that fills in an `EngineOps` table and registers a factory.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef struct Endpoint
cdef struct EndpointOps
cdef struct Engine

cpdef enum:
    MAX_DATAGRAM_LENGTH = 65507
    RX_FLAG_TRUNCATED = 1
    ENGINE_MAX_BURST = 64
    RX_TIMESTAMP_MEDIA = 1              # RxDatagram.receive_timestamp_ns
    RX_TIMESTAMP_CHANNEL = 2            # RxDatagram.channel_timestamp_ns

# Address of a peer: a sockaddr_in or sockaddr_in6 in place (family first), compared by bytes up to `length`.
cdef struct Address:
    uint8_t bytes[28]
    int32_t length                      # 16 for IPv4, 28 for IPv6, 0 = none

# One received datagram. `data` belongs to the engine until rx_release.
cdef struct RxDatagram:
    uint8_t *data
    int32_t length
    int32_t flags
    int32_t segment_length              # > 0: `data` holds several datagrams of this length (last may be shorter), as GRO delivers
    int32_t _pad
    int64_t receive_timestamp_ns        # by the system at the network, epoch; 0 = not taken
    int64_t channel_timestamp_ns        # by the engine when it took the datagram, epoch; 0 = not taken
    Endpoint *endpoint
    Address source

# Options at bind time; -1 or 0 = leave the system's default.
cdef struct EndpointOptions:
    int32_t socket_sndbuf_length
    int32_t socket_rcvbuf_length
    int32_t multicast_ttl
    int32_t multicast_interface_index
    Address multicast_group             # length 0 = unicast
    Address multicast_interface         # IPv4 membership by address
    Address connect_to                  # length 0 = unconnected
    int32_t timestamps                  # RX_TIMESTAMP_... to take of what comes in

cdef struct Endpoint:
    void *owner                         # the driver's channel endpoint; the engine never looks inside
    Address local                       # as bound (port filled in)
    int32_t socket_sndbuf_length        # as the system granted
    int32_t socket_rcvbuf_length
    int32_t index                       # place in the engine's table
    int32_t descriptor                  # -1 when there is none
    void *private_state
    EndpointOps *ops                    # wrappers (loss, capture) leave this; reserved for engines that mix kinds

cdef struct EndpointOps:
    int32_t reserved

cdef struct EngineCaps:
    int32_t max_burst                   # datagrams a flush takes
    int32_t max_segments                # of one run (UDP GSO: 64); 1 = every datagram is its own message
    int32_t max_datagram_length
    int32_t zero_copy_tx                # run memory is still read after flush until tx_done passes
    int32_t receive_timestamps

# Failures are negative errno values. All calls come from the thread that owns the engine, except open/close of endpoints, which
# may come from any thread BEFORE the endpoint is added / AFTER it was removed (they only make and close descriptors).
cdef struct EngineOps:
    const char *name
    # Make, bind and describe a descriptor: 0 or -errno. Not yet polled.
    int32_t (*endpoint_open)(Engine *engine, Endpoint *endpoint, const Address *bind_to, const EndpointOptions *options) noexcept nogil
    void (*endpoint_close)(Engine *engine, Endpoint *endpoint) noexcept nogil
    # Owner thread: begin / end polling it. Removing forgets queued sends of that endpoint.
    int32_t (*endpoint_add)(Engine *engine, Endpoint *endpoint) noexcept nogil
    void (*endpoint_remove)(Engine *engine, Endpoint *endpoint) noexcept nogil
    # Up to max datagrams over all endpoints, fairly; 0 = none; -errno when nothing but errors came (counted, engine goes on).
    int32_t (*rx_poll)(Engine *engine, RxDatagram *out, int32_t max) noexcept nogil
    void (*rx_release)(Engine *engine, RxDatagram *datagrams, int32_t count) noexcept nogil
    # Queue a run of datagrams lying one behind the other at base: segment_count - 1 of segment_length and one of last_length.
    # The memory must stay as it is until tx_flush accepted it (zero_copy_tx: until tx_done). Returns the number of datagrams accepted into the queue
    # (0 = queue full, flush first); -errno otherwise.
    int32_t (*tx_run)(Engine *engine, Endpoint *endpoint, const Address *destination, const uint8_t *base,
                      int32_t segment_length, int32_t segment_count, int32_t last_length) noexcept nogil
    # Queue one small datagram, copied at once (control frames: SETUP, heartbeat, SM, NAK, RTTM, ERR). 1, 0 = queue full, -errno.
    int32_t (*tx_copy)(Engine *engine, Endpoint *endpoint, const Address *destination, const uint8_t *data, int32_t length) noexcept nogil
    # One kick for everything queued. Datagrams handed to the network; what the network would not take (EAGAIN) stays queued in order and
    # counts in short_sends; datagrams that fail for good (ECONNREFUSED, ENETUNREACH, ...) are dropped and counted in tx_errors.
    int32_t (*tx_flush)(Engine *engine) noexcept nogil
    # Drop queued datagrams whose memory lies in [base, base + length): that log is about to be unmapped.
    void (*tx_forget)(Engine *engine, const uint8_t *base, int64_t length) noexcept nogil
    int32_t (*wait_descriptor)(Engine *engine) noexcept nogil          # epoll-able, or -1
    void (*close)(Engine *engine) noexcept nogil                       # frees the engine itself
    # Owner thread: from now on this is the peer of a connected endpoint (its name has moved); 0 or -errno. What is queued goes to it.
    int32_t (*endpoint_connect)(Engine *engine, Endpoint *endpoint, const Address *peer) noexcept nogil

cdef struct EngineStats:
    int64_t datagrams_sent
    int64_t bytes_sent
    int64_t datagrams_received
    int64_t bytes_received
    int64_t short_sends
    int64_t tx_errors
    int64_t rx_errors
    int64_t system_calls
    int32_t last_errno

cdef struct Engine:
    const EngineOps *ops
    EngineCaps caps
    EngineStats stats
    int64_t now_ns                      # set by the owner before each duty cycle: engines with time in them (simulated, capture) use it
    void *private_state
    Engine *inner                       # wrappers: the engine underneath, else NULL
