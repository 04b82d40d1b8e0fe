"""Arithmetic of terms and positions (PROTOCOL.md section 3.4). Term ids wrap as int32: built with -fwrapv."""
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef enum:
    RAW_TAIL_OFFSET_MASK = 0xFFFFFFFF

cdef inline int64_t compute_position(int32_t term_id, int32_t term_offset, int32_t bits, int32_t initial_term_id) noexcept nogil:
    return ((<int64_t>(term_id - initial_term_id)) << bits) + term_offset

cdef inline int32_t compute_term_id(int64_t position, int32_t bits, int32_t initial_term_id) noexcept nogil:
    return <int32_t>(position >> bits) + initial_term_id

cdef inline int32_t index_by_position(int64_t position, int32_t bits) noexcept nogil:
    return <int32_t>((<uint64_t>position >> bits) % 3)       # unsigned: a corrupt word never indexes out of the log

cdef inline int32_t index_by_term_count(int64_t term_count) noexcept nogil:
    return <int32_t>(<uint64_t>term_count % 3)

cdef inline int32_t raw_tail_term_id(int64_t raw_tail) noexcept nogil:
    return <int32_t>(raw_tail >> 32)

# Clamped to the term length: the raw offset may have run past it.
cdef inline int32_t raw_tail_term_offset(int64_t raw_tail, int32_t term_length) noexcept nogil:
    cdef int64_t offset = raw_tail & RAW_TAIL_OFFSET_MASK
    return <int32_t>(offset if offset < term_length else term_length)

cdef inline int32_t align_frame(int32_t length) noexcept nogil:
    return (length + 31) & ~31

cdef inline int64_t pack_tail(int32_t term_id, int32_t term_offset) noexcept nogil:
    return (<int64_t>term_id << 32) + term_offset
