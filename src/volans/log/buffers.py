# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A log file in memory: wrapping it, its first state, where its producers are, and rotation.

PROTOCOL.md sections 3.1, 3.2, 3.4 and 3.6. Nothing here validates more than what keeps every
later access inside the mapped bytes.
"""

from __future__ import annotations

from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof, void
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.log.buffers import log_metadata_at
from cython.cimports.volans.log.layout import (
    LOG_METADATA_LENGTH,
    PAGE_MAX_SIZE,
    PAGE_MIN_SIZE,
    PARTITION_COUNT,
    TERM_MAX_LENGTH,
    TERM_MIN_LENGTH,
    LogBuffers,
    LogMetadata,
)
from cython.cimports.volans.log.position import (
    compute_position,
    index_by_term_count,
    pack_tail,
    raw_tail_term_id,
    raw_tail_term_offset,
)
from cython.cimports.volans.memory.atomic import (
    cas_i32,
    cas_i64,
    load_acquire_i32,
    load_acquire_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAGS_UNFRAGMENTED,
    DATA_HEADER_LENGTH,
    FRAME_TYPE_DATA,
    FRAME_VERSION,
    DataHeader,
)


@cfunc
@nogil
@exceptval(check=False)
def log_file_length(term_length: int32_t, page_size: int32_t) -> int64_t:
    length: int64_t = cast(int64_t, term_length) * PARTITION_COUNT + LOG_METADATA_LENGTH
    return (length + page_size - 1) & ~(cast(int64_t, page_size) - 1)


@cfunc
@nogil
@exceptval(check=False)
def log_buffers_wrap(
    log: pointer[LogBuffers], memory: pointer[uint8_t], length: int64_t
) -> int32_t:
    metadata: pointer[LogMetadata]
    term_length: int32_t
    page_size: int32_t
    index: int32_t
    if length < LOG_METADATA_LENGTH:
        return -3
    metadata = log_metadata_at(memory, length)
    # Read once: another process may own the file.
    term_length = metadata.term_length
    page_size = metadata.page_size
    if (
        term_length < TERM_MIN_LENGTH
        or term_length > TERM_MAX_LENGTH
        or term_length & (term_length - 1) != 0
    ):
        return -1
    if page_size < PAGE_MIN_SIZE or page_size > PAGE_MAX_SIZE or page_size & (page_size - 1) != 0:
        return -2
    if length != log_file_length(term_length, page_size):
        return -3
    for index in range(PARTITION_COUNT):
        log.terms[index] = memory + cast(int64_t, term_length) * index
    log.metadata = metadata
    log.term_length = term_length
    log.term_length_mask = term_length - 1
    log.position_bits_to_shift = 0
    while (1 << log.position_bits_to_shift) < term_length:
        log.position_bits_to_shift += 1
    log.initial_term_id = metadata.initial_term_id
    return 0


@cfunc
@nogil
@exceptval(check=False)
def write_default_header(
    log: pointer[LogBuffers], session_id: int32_t, stream_id: int32_t, initial_term_id: int32_t
) -> void:
    header: pointer[DataHeader] = cast(pointer[DataHeader], address(log.metadata.default_header[0]))
    memset(header, 0, sizeof(DataHeader))
    header.version = FRAME_VERSION
    header.flags = DATA_FLAGS_UNFRAGMENTED
    header.type = FRAME_TYPE_DATA
    header.session_id = session_id
    header.stream_id = stream_id
    header.term_id = initial_term_id
    log.metadata.default_frame_header_length = DATA_HEADER_LENGTH
    log.metadata.initial_term_id = initial_term_id
    log.metadata.end_of_stream_position = INT64_MAX
    log.initial_term_id = initial_term_id


# Before the file is announced: plain stores, nobody else sees it yet. Sets the end of stream to
# "none" too.
@cfunc
@nogil
@exceptval(check=False)
def log_init_publication(
    log: pointer[LogBuffers],
    session_id: int32_t,
    stream_id: int32_t,
    initial_term_id: int32_t,
    start_term_id: int32_t,
    start_term_offset: int32_t,
) -> void:
    term_count: int32_t = start_term_id - initial_term_id
    index: int32_t = index_by_term_count(term_count)
    step: int32_t
    log.metadata.term_tail_counters[index] = pack_tail(start_term_id, start_term_offset)
    # The two other partitions look like the terms before, so that rotation finds what it expects.
    for step in range(1, PARTITION_COUNT):
        index = (index + 1) % PARTITION_COUNT
        log.metadata.term_tail_counters[index] = pack_tail(
            start_term_id + step - PARTITION_COUNT, 0
        )
    log.metadata.active_term_count = term_count
    write_default_header(log, session_id, stream_id, initial_term_id)


@cfunc
@nogil
@exceptval(check=False)
def log_init_image(
    log: pointer[LogBuffers], session_id: int32_t, stream_id: int32_t, initial_term_id: int32_t
) -> void:
    write_default_header(log, session_id, stream_id, initial_term_id)


@cfunc
@nogil
@exceptval(check=False)
def log_producer_position(log: pointer[LogBuffers]) -> int64_t:
    term_count: int32_t = load_acquire_i32(address(log.metadata.active_term_count))
    raw_tail: int64_t = load_acquire_i64(
        address(log.metadata.term_tail_counters[index_by_term_count(term_count)])
    )
    return compute_position(
        raw_tail_term_id(raw_tail),
        raw_tail_term_offset(raw_tail, log.term_length),
        log.position_bits_to_shift,
        log.initial_term_id,
    )


# Everyone who finds the term full calls this; one of them wins each of the two steps. The tail
# comes before the count: who sees the new count also sees a tail of the new term.
@cfunc
@nogil
@exceptval(check=False)
def log_rotate(log: pointer[LogBuffers], term_count: int32_t, term_id: int32_t) -> int32_t:
    next_term_id: int32_t = term_id + 1
    expected_term_id: int32_t = next_term_id - PARTITION_COUNT
    tail: pointer[int64_t] = address(
        log.metadata.term_tail_counters[index_by_term_count(cast(int64_t, term_count) + 1)]
    )
    raw_tail: int64_t
    while True:
        # A late producer may still add to this old tail: try again until it is replaced.
        raw_tail = load_acquire_i64(tail)
        if raw_tail_term_id(raw_tail) != expected_term_id:
            break
        if cas_i64(tail, raw_tail, pack_tail(next_term_id, 0)):
            break
    return cas_i32(address(log.metadata.active_term_count), term_count, term_count + 1)
