from libc.stdint cimport int32_t, int64_t

cdef enum:
    PRODUCER_MAX = 16
    STRESS_HEADER_LENGTH = 16

# What the consumer knows of the message it is in and of each producer.
cdef struct Consumer:
    int64_t message_count
    int32_t next_sequence[16]
    int32_t producer
    int32_t sequence
    int32_t expected_length
    int32_t seen_length
    int32_t failure
