from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.layout cimport LogBuffers, fragment_fn

# Reads committed frames of the term holding *position; padding is skipped. Handler sees data frames only. Moves *position
# behind the last frame read (never past the end of the term) and returns the number of fragments handed over.
cdef int32_t read_fragments(LogBuffers *log, int64_t *position, int64_t limit_position, int32_t fragment_limit, fragment_fn handler, void *clientd) noexcept nogil
# The same, obeying ControlledAction; *position is where the subscriber position must be set; COMMIT calls publish through
# `subscriber_position` (release) itself.
cdef int32_t read_controlled(LogBuffers *log, int64_t *subscriber_position, int64_t limit_position, int32_t fragment_limit, fragment_fn handler, void *clientd) noexcept nogil
# Bytes of whole committed frames from term_offset, at most limit, padding stops (a lone padding frame is returned whole). For block_poll.
cdef int32_t scan_block(const uint8_t *term, int32_t term_offset, int32_t limit_offset) noexcept nogil
