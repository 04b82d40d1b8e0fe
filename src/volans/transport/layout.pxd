"""The state the engines share: sockets, the polled set, the transmit queue, receive buffers."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from volans.transport.contract cimport Address, Endpoint
from volans.transport.net cimport epoll_event, iovec, mmsghdr

cpdef enum:
    TX_SCRATCH_LENGTH = 2048            # a copied datagram up to here costs no allocation
    RX_BUFFER_SPACING = 128             # added to each buffer, so that their heads fall into different cache sets

# What Endpoint.private_state points at for engines made of BSD sockets.
cdef struct UdpSocket:
    int32_t receive_descriptor
    int32_t send_descriptor             # another one than the receive descriptor for a connected multicast endpoint
    int32_t is_connected
    int32_t timestamps                  # RX_TIMESTAMP_... taken of what comes in
    int32_t hit_streak                  # mmsg: polls in a row that found a datagram
    int32_t is_blocked                  # within one flush: the system takes no more from this socket

cdef struct PollSet:
    Endpoint **endpoints
    Endpoint **candidates
    epoll_event *events
    int32_t count
    int32_t capacity
    int32_t start                       # who goes first next time
    int32_t epoll_above_count           # with more endpoints than this epoll finds the readable ones
    int32_t epoll_descriptor            # -1 until it is needed

# Datagrams one behind the other, as tx_run takes them; `done` of them are already settled (sent or dropped).
cdef struct TxRun:
    Endpoint *endpoint
    const uint8_t *base
    uint8_t *owned                      # copied data to give back: a scratch slot, or allocated when longer than one
    int32_t segment_length
    int32_t segment_count
    int32_t last_length
    int32_t done
    Address destination                 # length 0: the connected peer

cdef struct TxQueue:
    TxRun *runs
    uint8_t *scratch
    int32_t *free_slots
    int32_t free_slot_count
    int32_t run_count
    int32_t datagram_count
    int32_t capacity                    # datagrams, and so runs as well

cdef struct RxBuffers:
    uint8_t *memory
    int32_t *free_buffers
    int32_t free_count
    int32_t count
    int32_t length                      # of each
    int32_t stride

cdef struct SocketEngine:
    PollSet poll_set
    TxQueue tx
    RxBuffers rx
    mmsghdr *rx_messages
    iovec *rx_vectors
    mmsghdr *tx_messages
    iovec *tx_vectors
