"""The state table of untethered subscribers (tether.py)."""
from libc.stdint cimport int32_t

cpdef enum:
    TETHER_NOTHING = 0
    TETHER_LAGGED = 1
    TETHER_LINGERED = 2
    TETHER_LINGERED_FOR_GOOD = 3        # rejoin=false
    TETHER_RESTED = 4
    TETHER_EDGE_COUNT = 4

cdef struct TetherEdge:
    int32_t state
    int32_t cause
    int32_t next_state
    int32_t message                     # TO_CONTROL_SUBSCRIBER_..., 0: none
