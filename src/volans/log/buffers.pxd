from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.layout cimport LOG_METADATA_LENGTH, LogBuffers, LogMetadata
from volans.protocol.layout cimport DataHeader

# The metadata is the last 4096 bytes of the file (with pages above 4 KiB a gap lies between it and term 2).
cdef inline LogMetadata *log_metadata_at(uint8_t *memory, int64_t length) noexcept nogil:
    return <LogMetadata *>(memory + length - LOG_METADATA_LENGTH)

# Wraps a mapped file of `length` bytes: 0, or -1 term length invalid, -2 page size invalid, -3 file length does not fit.
cdef int32_t log_buffers_wrap(LogBuffers *log, uint8_t *memory, int64_t length) noexcept nogil
# For a fresh file: term_length etc. must already be in metadata. Writes tails, active term count and default header.
# Publications start at (initial_term_id) or at an explicit position; images call log_init_image.
cdef void log_init_publication(LogBuffers *log, int32_t session_id, int32_t stream_id, int32_t initial_term_id,
                               int32_t start_term_id, int32_t start_term_offset) noexcept nogil
cdef void log_init_image(LogBuffers *log, int32_t session_id, int32_t stream_id, int32_t initial_term_id) noexcept nogil
cdef int64_t log_file_length(int32_t term_length, int32_t page_size) noexcept nogil
cdef int64_t log_producer_position(LogBuffers *log) noexcept nogil       # from the active raw tail, clamped (acquire)
cdef int32_t log_rotate(LogBuffers *log, int32_t term_count, int32_t term_id) noexcept nogil
