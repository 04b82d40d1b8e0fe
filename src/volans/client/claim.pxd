from libc.stdint cimport int64_t
from volans.client.log_file cimport LogFile
from volans.log.layout cimport ClaimResult

cdef class Claim:
    cdef ClaimResult result         # header NULL once committed or aborted
    cdef LogFile log_file
    cdef object view                # weak reference to the memoryview handed out
    cdef readonly int64_t position
