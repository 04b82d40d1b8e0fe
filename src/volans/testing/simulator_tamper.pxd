from libc.stdint cimport int32_t, int64_t
from volans.transport.registry cimport EngineHandle

cdef struct TamperState:
    int32_t drops_naks
    int32_t corrupts_payloads
    int64_t period_count                # every so many-th matching datagram
    int64_t seen_count
    int64_t tampered_count

cdef class TamperEngine(EngineHandle):
    pass
