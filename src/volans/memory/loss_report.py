# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The loss report: how much was lost on which stream from whom (PROTOCOL.md section 9)."""

from __future__ import annotations

from typing import NamedTuple

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_char, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.memory.atomic import (
    fetch_add_i64,
    load_acquire_i64,
    store_release_i64,
)
from cython.cimports.volans.memory.layout import LOSS_RECORD_ALIGNMENT, LOSS_RECORD_HEADER_LENGTH
from cython.cimports.volans.memory.loss_report import LossReportState
from cython.cimports.volans.memory.views import flat_view, view_address

# Record fields: 0 observation count i64, 8 bytes lost i64, 16 first and 24 last observation i64 ms,
# 32 session id i32, 36 stream id i32, 40 channel length i32 and text, padded to 4, source alike.


@cfunc
@nogil
@exceptval(check=False)
def _source_offset(channel_length: int64_t) -> int64_t:
    """Where the source's length stands, from the start of a record."""
    return LOSS_RECORD_HEADER_LENGTH + ((4 + channel_length + 3) & ~3)


@cfunc
@nogil
@exceptval(check=False)
def _aligned(length: int64_t) -> int64_t:
    return (length + LOSS_RECORD_ALIGNMENT - 1) // LOSS_RECORD_ALIGNMENT * LOSS_RECORD_ALIGNMENT


@cfunc
@nogil
@exceptval(check=False)
def _record_length(buffer: pointer[uint8_t], capacity: int64_t, offset: int64_t) -> int64_t:
    """The length of the record at `offset`; 0 at the end of the report, -1 when it cannot be."""
    room: int64_t = capacity - offset
    if room < LOSS_RECORD_HEADER_LENGTH + 8:
        return 0
    # Written last, with release, by the driver: a count says that the rest is complete.
    if load_acquire_i64(cast(pointer[int64_t], buffer + offset)) <= 0:
        return 0
    channel_length: int64_t = cast(pointer[int32_t], buffer + offset + LOSS_RECORD_HEADER_LENGTH)[0]
    if channel_length < 0:
        return -1
    source_at: int64_t = _source_offset(channel_length)
    if source_at + 4 > room:
        return -1
    source_length: int64_t = cast(pointer[int32_t], buffer + offset + source_at)[0]
    if source_length < 0 or source_at + 4 + source_length > room:
        return -1
    return source_at + 4 + source_length


@cfunc
@nogil
@exceptval(check=False)
def loss_report_wrap(
    report: pointer[LossReportState], buffer: pointer[uint8_t], capacity: int64_t
) -> cython.void:
    report.buffer = buffer
    report.capacity = capacity
    report.next_offset = 0
    length: int64_t = _record_length(buffer, capacity, 0)
    while length > 0:
        report.next_offset += _aligned(length)
        length = _record_length(buffer, capacity, report.next_offset)


@cfunc
@nogil
@exceptval(check=False)
def loss_report_create(
    report: pointer[LossReportState],
    bytes_lost: int64_t,
    now_ms: int64_t,
    session_id: int32_t,
    stream_id: int32_t,
    channel: cython.p_const_char,
    channel_length: int32_t,
    source: cython.p_const_char,
    source_length: int32_t,
) -> int64_t:
    if channel_length < 0 or source_length < 0:
        return -1
    source_at: int64_t = _source_offset(channel_length)
    length: int64_t = source_at + 4 + source_length
    if length > report.capacity - report.next_offset:
        return -1
    offset: int64_t = report.next_offset
    record: pointer[uint8_t] = report.buffer + offset
    report.next_offset = offset + _aligned(length)
    if report.next_offset + 8 <= report.capacity:
        # A wrapped buffer may hold garbage here, which must not become the next record.
        store_release_i64(cast(pointer[int64_t], report.buffer + report.next_offset), 0)
    cast(pointer[int64_t], record + 8)[0] = bytes_lost
    cast(pointer[int64_t], record + 16)[0] = now_ms
    cast(pointer[int64_t], record + 24)[0] = now_ms
    cast(pointer[int32_t], record + 32)[0] = session_id
    cast(pointer[int32_t], record + 36)[0] = stream_id
    cast(pointer[int32_t], record + 40)[0] = channel_length
    memcpy(record + 44, channel, channel_length)
    cast(pointer[int32_t], record + source_at)[0] = source_length
    memcpy(record + source_at + 4, source, source_length)
    # Readers of any process load the count with acquire.
    store_release_i64(cast(pointer[int64_t], record), 1)
    return offset


@cfunc
@nogil
@exceptval(check=False)
def loss_report_observe(
    report: pointer[LossReportState], entry_offset: int64_t, bytes_lost: int64_t, now_ms: int64_t
) -> cython.void:
    if entry_offset < 0 or entry_offset >= report.next_offset:
        return
    record: pointer[uint8_t] = report.buffer + entry_offset
    store_release_i64(cast(pointer[int64_t], record + 24), now_ms)
    fetch_add_i64(cast(pointer[int64_t], record + 8), bytes_lost)
    fetch_add_i64(cast(pointer[int64_t], record), 1)


@cclass
class LossReport:
    """Writes a loss report into `buffer` (writable, aligned to 8 bytes); one writer.

    Records already in the buffer are kept and followed by new ones (PROTOCOL.md section 9).

    Threading: one thread writes; any may read.
    """

    report: LossReportState
    view: object

    def __init__(self, buffer):
        if self.view is not None:
            raise RuntimeError("the loss report is initialised: make a new one")
        view = flat_view(buffer, True, "a loss report")
        loss_report_wrap(address(self.report), view_address(view), view.nbytes)
        self.view = view

    def create_entry(
        self,
        bytes_lost: int64_t,
        now_ms: int64_t,
        session_id: int32_t,
        stream_id: int32_t,
        channel: str,
        source: str,
    ) -> int | None:
        """Add the first loss of an image; the entry's offset, or None when the report is full."""
        if self.view is None:
            raise RuntimeError("the loss report has no buffer: call its constructor")
        channel_bytes: bytes = channel.encode()
        source_bytes: bytes = source.encode()
        if len(channel_bytes) > self.report.capacity or len(source_bytes) > self.report.capacity:
            return None
        offset: int64_t = loss_report_create(
            address(self.report),
            bytes_lost,
            now_ms,
            session_id,
            stream_id,
            channel_bytes,
            cast(int32_t, len(channel_bytes)),
            source_bytes,
            cast(int32_t, len(source_bytes)),
        )
        return None if offset < 0 else offset

    def observe(self, entry: int64_t, bytes_lost: int64_t, now_ms: int64_t) -> None:
        """Add a further loss to an entry made by `create_entry`.

        Raises ValueError for an offset that no entry can have.
        """
        if entry < 0 or entry >= self.report.next_offset or entry % LOSS_RECORD_ALIGNMENT != 0:
            raise ValueError(
                f"entry={entry} is not an entry of this report, which ends at "
                f"{self.report.next_offset}: pass what create_entry returned"
            )
        loss_report_observe(address(self.report), entry, bytes_lost, now_ms)


class LossEntry(NamedTuple):
    """What was lost on one image; timestamps are epoch ms."""

    observation_count: int
    total_bytes_lost: int
    first_observation_ms: int
    last_observation_ms: int
    session_id: int
    stream_id: int
    channel: str
    source: str


@cclass
class LossReportReader:
    """Iterates the `LossEntry`s of a report that a driver may be writing.

    Lengths that cannot be end the reading and are told by `corrupt_offset` (None when all is
    well). The buffer is held only while reading. Format: PROTOCOL.md section 9.

    Threading: one thread reads; the writer may be any other, in any process.
    """

    source: object
    corrupt_offset = cython.declare(object, visibility="readonly")

    def __init__(self, buffer):
        self.source = buffer
        self.corrupt_offset = None

    def read(self) -> list[LossEntry]:
        """All complete entries, oldest first."""
        capacity: int64_t
        offset: int64_t = 0
        source_at: int64_t
        record: pointer[uint8_t]
        entries: list = []
        self.corrupt_offset = None
        view = flat_view(self.source, False, "a loss report")
        try:
            buffer: pointer[uint8_t] = view_address(view)
            capacity = view.nbytes
            length: int64_t = _record_length(buffer, capacity, 0)
            while length > 0:
                record = buffer + offset
                # The texts are cut at what was checked: another process may write meanwhile.
                channel_length: int64_t = cast(pointer[int32_t], record + 40)[0]
                source_at = _source_offset(channel_length)
                if channel_length < 0 or source_at + 4 > length:
                    length = -1
                    break
                channel: bytes = cast(p_char, record)[44 : 44 + channel_length]
                source: bytes = cast(p_char, record)[source_at + 4 : length]
                entries.append(
                    LossEntry(
                        load_acquire_i64(cast(pointer[int64_t], record)),
                        load_acquire_i64(cast(pointer[int64_t], record + 8)),
                        cast(pointer[int64_t], record + 16)[0],
                        load_acquire_i64(cast(pointer[int64_t], record + 24)),
                        cast(pointer[int32_t], record + 32)[0],
                        cast(pointer[int32_t], record + 36)[0],
                        channel.decode("utf-8", "replace"),
                        source.decode("utf-8", "replace"),
                    )
                )
                offset += _aligned(length)
                length = _record_length(buffer, capacity, offset)
            if length < 0:
                self.corrupt_offset = offset
        finally:
            view.release()
        return entries

    def __iter__(self):
        return iter(self.read())
