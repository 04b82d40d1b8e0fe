from libc.stdint cimport int64_t, uint32_t
from volans.transport.random_source cimport Random
from volans.transport.registry cimport EngineHandle

# One direction: each has its own random numbers, so that traffic one way does not change losses the other way.
cdef struct LossyDirection:
    double rate
    Random random
    int64_t dropped_count
    int64_t dropped_bytes

cdef struct LossState:
    LossyDirection rx
    LossyDirection tx
    uint32_t rx_type_mask               # bit 1 << frame type of those that may be lost

cdef class LossEngine(EngineHandle):
    pass
