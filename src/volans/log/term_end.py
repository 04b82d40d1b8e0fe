# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What happens when nothing can be appended: at the limit, at the end of a term, of the stream.

All of it is off the hot path; the position limit and ``is_connected`` are written by the driver
with release.
"""

from __future__ import annotations

from cython import address, cfunc, exceptval, nogil, pointer, void
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.log.buffers import log_rotate
from cython.cimports.volans.log.frames import begin_frame
from cython.cimports.volans.log.layout import (
    APPEND_ADMIN_ACTION,
    APPEND_BACK_PRESSURED,
    APPEND_MAX_POSITION_EXCEEDED,
    APPEND_NOT_CONNECTED,
    PARTITION_COUNT,
    Appender,
)
from cython.cimports.volans.log.position import compute_position, pack_tail
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAGS_UNFRAGMENTED,
    FRAME_TYPE_PAD,
    DataHeader,
)


# The position limit is reached: the most lasting reason comes first.
@cfunc
@nogil
@exceptval(check=False)
def refuse(appender: pointer[Appender], position: int64_t, framed_length: int32_t) -> int64_t:
    if position + framed_length >= appender.max_possible_position:
        return APPEND_MAX_POSITION_EXCEEDED
    if load_acquire_i32(address(appender.log.metadata.is_connected)) == 1:
        return APPEND_BACK_PRESSURED
    return APPEND_NOT_CONNECTED


@cfunc
@nogil
@exceptval(check=False)
def write_padding(
    appender: pointer[Appender],
    term: pointer[uint8_t],
    term_offset: int32_t,
    term_id: int32_t,
    frame_length: int32_t,
) -> void:
    header: pointer[DataHeader] = begin_frame(
        appender,
        term,
        term_offset,
        term_id,
        frame_length,
        DATA_FLAGS_UNFRAGMENTED,
        FRAME_TYPE_PAD,
    )
    store_release_i32(address(header.frame_length), frame_length)


# Past the end of the term. Only who reserved across the end finds room left, and pads it.
@cfunc
@nogil
@exceptval(check=False)
def trip(
    appender: pointer[Appender], term: pointer[uint8_t], term_offset: int32_t, term_id: int32_t
) -> int64_t:
    term_count: int32_t = term_id - appender.log.initial_term_id
    if term_offset < appender.log.term_length:
        write_padding(appender, term, term_offset, term_id, appender.log.term_length - term_offset)
    if (
        compute_position(
            term_id,
            appender.log.term_length,
            appender.log.position_bits_to_shift,
            appender.log.initial_term_id,
        )
        >= appender.max_possible_position
    ):
        return APPEND_MAX_POSITION_EXCEEDED
    log_rotate(address(appender.log), term_count, term_id)
    return APPEND_ADMIN_ACTION


@cfunc
@nogil
@exceptval(check=False)
def rotate_exclusive(appender: pointer[Appender]) -> int64_t:
    index: int32_t
    if appender.term_begin_position + appender.log.term_length >= appender.max_possible_position:
        appender.term_offset = appender.log.term_length  # nothing fits any more, ever
        return APPEND_MAX_POSITION_EXCEEDED
    index = appender.active_partition_index + 1
    if index == PARTITION_COUNT:
        index = 0
    appender.active_partition_index = index
    appender.term_offset = 0
    appender.term_id += 1
    appender.term_begin_position += appender.log.term_length
    # The tail before the count, as in log_rotate; one writer needs no CAS.
    store_release_i64(
        address(appender.log.metadata.term_tail_counters[index]), pack_tail(appender.term_id, 0)
    )
    store_release_i32(
        address(appender.log.metadata.active_term_count),
        appender.term_id - appender.log.initial_term_id,
    )
    return APPEND_ADMIN_ACTION


@cfunc
@nogil
@exceptval(check=False)
def trip_exclusive(appender: pointer[Appender]) -> int64_t:
    if appender.term_offset < appender.log.term_length:
        write_padding(
            appender,
            appender.log.terms[appender.active_partition_index],
            appender.term_offset,
            appender.term_id,
            appender.log.term_length - appender.term_offset,
        )
    return rotate_exclusive(appender)
