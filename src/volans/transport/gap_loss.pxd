from libc.stdint cimport int32_t, int64_t
from volans.memory.int64_map cimport Int64Map
from volans.transport.registry cimport EngineHandle

# Which data frames of one term go, each once: those in [first_offset, first_offset + gap_length), or such a gap behind every
# multiple of gap_radix up to last_offset.
cdef struct GapLossState:
    int32_t term_id
    int64_t first_offset
    int64_t gap_length
    int64_t gap_radix                   # 0: one gap
    int64_t last_offset
    Int64Map lost_until                 # (stream, session) → 1 + term offset up to which frames have been judged
    int64_t dropped_count

cdef class GapLossEngine(EngineHandle):
    pass
