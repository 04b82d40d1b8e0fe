"""A network in memory: hosts, links between them, bound ports with what is on its way to them."""
from libc.stdint cimport int32_t, int64_t, uint16_t, uint64_t
from volans.transport.contract cimport Address, Endpoint
from volans.transport.layout cimport PollSet, TxQueue
from volans.transport.random_source cimport Random

cpdef enum:
    SIMULATED_HOSTS_MAX = 64
    SIMULATED_RCVBUF_LENGTH = 212992    # reported when nothing is asked for, as Linux does

# Followed by its data.
cdef struct SimPacket:
    int64_t deliver_at_ns
    uint64_t order                      # among packets of one delivery time
    int32_t length
    int32_t _pad
    Address source

cdef struct SimPort:
    Endpoint *endpoint
    SimPacket **heap                    # earliest delivery first
    int32_t heap_count
    int32_t heap_capacity
    int32_t host
    int32_t is_shared                   # multicast: others may bind it too
    uint16_t source_port                # what others see; not the bound one for a connected multicast endpoint
    Address local
    Address group                       # length 0 = unicast
    Address peer                        # length 0 = unconnected

cdef struct SimLink:
    double loss
    double duplicate
    double reorder
    double corrupt
    int64_t delay_min_ns
    int64_t delay_max_ns
    int64_t last_delivery_ns            # what is not reordered never overtakes this
    int32_t is_partitioned
    int32_t is_set                      # 0 = the default link's settings hold

cdef struct SimHost:
    Address address
    int32_t next_ephemeral_port

cdef struct SimStats:
    int64_t offered
    int64_t delivered
    int64_t lost
    int64_t partitioned
    int64_t duplicated
    int64_t reordered
    int64_t corrupted
    int64_t overflowed
    int64_t unroutable

cdef struct SimNetwork:
    int32_t lock                        # 1 while a thread is inside; engines of one network may live on several
    int32_t host_count
    int32_t port_count
    int32_t port_capacity
    int32_t queue_capacity
    SimPort **ports
    SimLink *links                      # [source * SIMULATED_HOSTS_MAX + destination]
    SimLink default_link
    SimHost hosts[64]
    Random random
    SimStats stats
    uint64_t next_order
    uint64_t trace_hash

cdef struct SimEngine:
    SimNetwork *network
    int32_t host
    PollSet poll_set
    TxQueue tx
