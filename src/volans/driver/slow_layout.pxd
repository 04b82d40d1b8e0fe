"""Subscribers that hold a stream's window (slow_subscribers.py). All of it is the conductor's."""
from libc.stdint cimport int32_t, int64_t

cpdef enum:
    SLOW_SUSPECT_MAX = 64              # as many are followed at a time: naming some is enough, and the cost stays bounded
    TO_CONTROL_SLOW_SUBSCRIBER = 30     # SlowSubscriberReport

cdef struct SlowSuspect:
    const int64_t *position             # tells subscribers apart: each has a counter of its own
    int64_t stream_registration_id
    int32_t counter_id
    int32_t is_told
    int64_t lagging_since_ns
    int64_t told_at_ns
    int64_t lag_bytes
    int64_t seen_in_scan

cdef struct SlowSubscribers:
    int64_t threshold_ns                # 0: nobody is watched
    int64_t deadline_ns
    int64_t scan_number
    int32_t count
    SlowSuspect suspects[SLOW_SUSPECT_MAX]

cdef struct SlowSubscriberReport:
    int64_t stream_registration_id      # of the publication, or the image's correlation id
    int64_t lag_bytes                   # -1: it has caught up, or is gone
    int32_t counter_id                  # of the subscriber position
