from libc.stdint cimport int32_t, int64_t
from volans.log.layout cimport Appender, ClaimResult, LogBuffers
from volans.protocol.layout cimport DataHeader

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef enum:
    COLLECTOR_CAPACITY = 1024

# Where a fragment handler leaves what it saw, and the actions it answers with.
cdef struct Collector:
    int32_t count
    int32_t action_count
    int32_t actions[1024]
    DataHeader *headers[1024]

cdef class LogKit:
    cdef readonly object memory     # a memoryview of the whole file
    cdef LogBuffers log
    cdef Appender shared
    cdef Appender own
    cdef int64_t limit              # the publisher limit; written with release
    cdef int32_t stop               # set from Python, ends the loops of threads

cdef class LogKitClaim:
    cdef ClaimResult result
    cdef LogKit kit
