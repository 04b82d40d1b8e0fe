from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.log.batch cimport append_batch      # for who cimports it from here
from volans.log.layout cimport Appender, ClaimResult, LogBuffers, Piece
from volans.protocol.layout cimport DataHeader

cdef void appender_init(Appender *appender, LogBuffers *log, int64_t *position_limit) noexcept nogil      # ids, limits from metadata
cdef void appender_init_exclusive(Appender *appender, LogBuffers *log, int64_t *position_limit) noexcept nogil   # + own tail

# All return the new position (> 0) or an APPEND_ code. Never block, never loop over rotation.
cdef int64_t append(Appender *appender, const uint8_t *payload, int32_t length, int64_t reserved_value) noexcept nogil
cdef int64_t append_gather(Appender *appender, const Piece *pieces, int32_t piece_count, int64_t length, int64_t reserved_value) noexcept nogil
cdef int64_t claim(Appender *appender, int32_t length, ClaimResult *result) noexcept nogil
cdef int64_t append_exclusive(Appender *appender, const uint8_t *payload, int32_t length, int64_t reserved_value) noexcept nogil
cdef int64_t append_gather_exclusive(Appender *appender, const Piece *pieces, int32_t piece_count, int64_t length, int64_t reserved_value) noexcept nogil
cdef int64_t claim_exclusive(Appender *appender, int32_t length, ClaimResult *result) noexcept nogil
cdef int64_t append_padding_exclusive(Appender *appender, int32_t length) noexcept nogil
cdef int64_t append_block_exclusive(Appender *appender, const uint8_t *block, int32_t length) noexcept nogil
cdef void claim_commit(DataHeader *header, int32_t frame_length) noexcept nogil
cdef void claim_abort(DataHeader *header, int32_t frame_length) noexcept nogil
cdef int64_t appender_position(Appender *appender, bint exclusive) noexcept nogil
