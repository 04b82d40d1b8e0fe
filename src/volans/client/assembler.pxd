from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.protocol.layout cimport DataHeader

# Heap memory of one assembled message.
cdef class MessageMemory:
    cdef uint8_t *data
    cdef int64_t capacity
    cdef bint reserve(self, int64_t length) noexcept

# Puts the fragments of one session together.
cdef class Assembler:
    cdef MessageMemory memory
    cdef DataHeader header          # the first fragment's; completed with the last
    cdef int64_t length             # payload bytes so far
    cdef int64_t previous_length    # before the last fragment was added
    cdef int32_t next_term_offset   # -1 = no message begun
    cdef readonly int64_t dropped_count
    # 1 when the message is complete, 0 when more is to come or the fragment was dropped; -1 with MemoryError
    # or CorruptLogError (longer than any message may be). `position`: of the frame in the stream.
    cdef int32_t add(self, const uint8_t *payload, int32_t length, DataHeader *frame, int64_t position) except -1
    cdef void undo_last(self, DataHeader *frame) noexcept
    cdef void release(self) noexcept
    cdef void reset(self) noexcept
