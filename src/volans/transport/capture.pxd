from libc.stdint cimport int32_t, int64_t
from volans.transport.contract cimport Address, Endpoint
from volans.transport.pcapng cimport PcapngFile
from volans.transport.registry cimport EngineHandle

# What an endpoint's own struct does not tell: the group it hears, the peer it is connected to.
cdef struct CapturedPeer:
    Endpoint *endpoint
    Address group
    Address peer

cdef struct CaptureState:
    PcapngFile file
    int64_t epoch_offset_ns
    int32_t captures_rx
    int32_t captures_tx
    int32_t lock                        # 1 while peers is looked at: endpoints are opened by another thread
    int32_t peer_count
    int32_t peer_capacity
    CapturedPeer *peers

cdef class CaptureEngine(EngineHandle):
    cdef readonly object path
