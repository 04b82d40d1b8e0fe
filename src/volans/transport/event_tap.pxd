from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.memory.layout cimport RingBuffer
from volans.transport.contract cimport Address
from volans.transport.registry cimport EngineHandle

cpdef enum:
    TAP_FRAME_IN = 1                    # message types of the ring: the official event ids
    TAP_FRAME_OUT = 2
    TAP_NAK_SENT = 54
    TAP_NAK_RECEIVED = 58
    TAP_CAPTURE_MAX = 256               # bytes of a frame that are kept

cdef struct TapRecord:
    int64_t time_ns
    Address peer
    int32_t length                      # of the datagram
    int32_t captured_length
    uint8_t data[TAP_CAPTURE_MAX]

cdef struct TapState:
    RingBuffer ring
    bint taps_in
    bint taps_out
    bint taps_naks_sent
    bint taps_naks_received
    int64_t lost_count                  # events the ring had no room for

cdef class EventTap(EngineHandle):
    cdef object ring_owner
