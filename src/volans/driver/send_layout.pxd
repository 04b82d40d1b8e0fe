"""What the sender keeps for the length of one call."""
from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.driver.layout cimport NetworkPublication

# Datagrams that lie one behind the other in a term, gathered into the runs of the transport contract.
cdef struct SendRun:
    NetworkPublication *publication
    const uint8_t *base
    int32_t segment_length
    int32_t segment_count
    int32_t last_length
    int32_t result                      # 0, 1 = the engine took less than it was offered, -errno
    int64_t bytes_accepted              # that will travel
    int64_t position_gain               # the same and the padding skipped behind them
