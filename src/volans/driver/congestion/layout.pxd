"""State of congestion controls."""
from libc.stdint cimport int32_t, int64_t

cpdef enum:
    CUBIC_INITIAL_SEGMENTS = 10         # window of a new stream, in datagrams of the MTU
    CUBIC_RTT_TIMEOUT_MULTIPLE = 4      # round trips from one measurement to the next
    CUBIC_RTT_MAX_NS = 60000000000      # what is longer was not measured

cdef struct CubicState:
    # written once
    int32_t mtu_length
    int32_t max_segments
    int64_t initial_rtt_ns
    bint measure_rtt
    bint is_tcp_friendly
    # conductor
    int32_t segments                    # window in datagrams of the MTU
    int32_t segments_at_loss
    double recovery_seconds             # after a loss the window is back where it was
    int64_t time_of_last_loss_ns
    int64_t time_of_last_update_ns
    # shared: receiver → conductor
    int64_t rtt_ns
    # receiver
    int64_t rtt_timeout_ns
    int64_t time_of_last_rtt_ns
