from libc.stdint cimport int32_t, int64_t, uint8_t

cdef struct LossReportState:
    uint8_t *buffer
    int64_t capacity
    int64_t next_offset

cdef void loss_report_wrap(LossReportState *report, uint8_t *buffer, int64_t capacity) noexcept nogil
# Offset of the new entry (first observation written), or -1 when the file is full. One writer.
cdef int64_t loss_report_create(LossReportState *report, int64_t bytes_lost, int64_t now_ms, int32_t session_id, int32_t stream_id,
                                const char *channel, int32_t channel_length, const char *source, int32_t source_length) noexcept nogil
cdef void loss_report_observe(LossReportState *report, int64_t entry_offset, int64_t bytes_lost, int64_t now_ms) noexcept nogil
