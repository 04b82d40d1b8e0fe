"""What a client holds at C level: images, lists of images, the link to the driver."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.layout cimport LogBuffers
from volans.memory.layout cimport (
    BroadcastBuffer,
    BroadcastReceiverState,
    CountersView,
    RingBuffer,
)

# Why a link has ended (LinkState.status).
cpdef enum:
    LINK_RUNNING = 0
    LINK_DRIVER_SHUT_DOWN = 1           # the driver wrote -1 as its heartbeat
    LINK_DRIVER_TIMED_OUT = 2           # the driver's heartbeat is too old
    LINK_HEARTBEAT_COUNTER_LOST = 3     # the driver took this client's heartbeat counter away
    LINK_LAPPED = 4                     # the to-clients broadcast overtook this client
    LINK_EVENTS_LOST = 5                # Python did not take its events for so long that they found no room

# References to the reused buffer and header while a poll runs: the image's own and the loop's variable.
cpdef enum:
    OWN_REFERENCES = 2

# One image of one subscription. The subscriber position is written by the polling thread with release and read by the
# driver with acquire; `closed` is written by the conductor with release and read by the polling thread with acquire.
cdef struct ImageState:
    LogBuffers log
    int64_t *subscriber_position
    int64_t read_position               # where the next read begins: the counter, or past it while a batch is out
    int64_t join_position
    int64_t final_position              # valid once closed
    int64_t end_of_stream_position      # valid once closed
    int32_t session_id
    int32_t stream_id
    int32_t closed

# What a poll walks over; never changed after it was published.
cdef struct ImageList:
    int32_t count
    ImageState **items

cdef struct SubscriptionState:
    int64_t images                      # ImageList *: written by the conductor with release, read by polls with acquire
    int64_t images_in_use               # ImageList * a GIL-free poll works on (it writes), not to be freed (conductor reads)
    int32_t round_robin_index           # the polling thread's own
    int32_t closed

# The link between a client and its driver: written by the keep-alive thread unless said otherwise.
cdef struct LinkState:
    RingBuffer to_driver                # commands: any thread of the client writes
    BroadcastBuffer to_clients
    BroadcastReceiverState receiver
    RingBuffer events                   # copies of broadcast messages on the heap; the Python conductor reads
    CountersView counters
    uint8_t *events_memory
    uint8_t *scratch
    int32_t scratch_length
    int64_t client_id
    int64_t driver_timeout_ms
    int64_t keepalive_interval_ns
    int64_t next_keepalive_ns
    int64_t driver_age_ms               # of the driver's last heartbeat when it was found too old
    int64_t *heartbeat                  # this client's heartbeat counter, NULL until the driver made it
    int32_t heartbeat_counter_id
    int32_t status                      # LINK_: release; the conductor reads with acquire
    int32_t running                     # close() stores 0 with release, the thread reads with acquire
    int32_t waiting_count               # registrations under way (conductor writes): poll more often
    int32_t idle_ms
    int32_t waiting_idle_ms
    int32_t wake_descriptor             # readable = look at once
    int32_t notify_descriptor           # written when there is something for Python, -1 in invoker mode
    char label_suffix[256]
    int32_t label_suffix_length

cdef extern from "<poll.h>" nogil:
    cdef struct pollfd:
        int fd
        short events
        short revents
    enum: POLLIN
    int c_poll "poll"(pollfd *descriptors, unsigned long count, int timeout_ms)
