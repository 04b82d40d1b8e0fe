# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The distinct error log: each different error once, how often and when (PROTOCOL.md section 8)."""

from __future__ import annotations

import traceback
from typing import NamedTuple

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_char, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.volans.memory.atomic import (
    cas_i32,
    cpu_pause,
    fetch_add_i32,
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.error_log import ErrorLogState
from cython.cimports.volans.memory.layout import ERROR_RECORD_HEADER_LENGTH
from cython.cimports.volans.memory.scheduler import thread_yield
from cython.cimports.volans.memory.views import flat_view, view_address

# Record fields: 0 length i32, 4 observation count i32, 8 last and 16 first observation i64 ms.


@cfunc
@nogil
@exceptval(check=False)
def _record_length(buffer: pointer[uint8_t], capacity: int64_t, offset: int64_t) -> int64_t:
    """The length of the record at `offset`; 0 at the end of the log, -1 when it cannot be."""
    if capacity - offset < ERROR_RECORD_HEADER_LENGTH:
        return 0
    # Written last, with release, by the writer: a length says that the rest is complete.
    length: int32_t = load_acquire_i32(cast(pointer[int32_t], buffer + offset))
    if length == 0:
        return 0
    if length < ERROR_RECORD_HEADER_LENGTH or length > capacity - offset:
        return -1
    return length


@cfunc
@nogil
@exceptval(check=False)
def error_log_wrap(
    log: pointer[ErrorLogState], buffer: pointer[uint8_t], capacity: int64_t
) -> cython.void:
    log.buffer = buffer
    log.capacity = capacity
    log.next_offset = 0
    log.lock = 0
    length: int64_t = _record_length(buffer, capacity, 0)
    while length > 0:
        log.next_offset += (length + 7) & ~7
        length = _record_length(buffer, capacity, log.next_offset)


@cfunc
@nogil
@exceptval(check=False)
def _find(log: pointer[ErrorLogState], text: cython.p_const_char, length: int64_t) -> int64_t:
    offset: int64_t = 0
    record_length: int64_t
    while offset < log.next_offset:
        record_length = cast(pointer[int32_t], log.buffer + offset)[0]
        if record_length < ERROR_RECORD_HEADER_LENGTH or record_length > log.capacity - offset:
            # Somebody else scribbled over the log: nothing behind this point can be trusted.
            return -1
        if record_length == ERROR_RECORD_HEADER_LENGTH + length and (
            memcmp(log.buffer + offset + ERROR_RECORD_HEADER_LENGTH, text, length) == 0
        ):
            return offset
        offset += (record_length + 7) & ~7
    return -1


@cfunc
@nogil
@exceptval(check=False)
def _append(
    log: pointer[ErrorLogState], text: cython.p_const_char, length: int64_t, now_ms: int64_t
) -> int32_t:
    record_length: int64_t = ERROR_RECORD_HEADER_LENGTH + length
    if record_length > log.capacity - log.next_offset:
        return -1
    record: pointer[uint8_t] = log.buffer + log.next_offset
    next_offset: int64_t = log.next_offset + ((record_length + 7) & ~7)
    if next_offset + 4 <= log.capacity:
        # A wrapped buffer may hold garbage here, which must not become the next record.
        store_release_i32(cast(pointer[int32_t], log.buffer + next_offset), 0)
    cast(pointer[int32_t], record + 4)[0] = 1
    cast(pointer[int64_t], record + 8)[0] = now_ms
    cast(pointer[int64_t], record + 16)[0] = now_ms
    memcpy(record + ERROR_RECORD_HEADER_LENGTH, text, length)
    # Readers of any process load the length with acquire.
    store_release_i32(cast(pointer[int32_t], record), cast(int32_t, record_length))
    log.next_offset = next_offset
    return 0


@cfunc
@nogil
@exceptval(check=False)
def error_log_record(
    log: pointer[ErrorLogState], text: cython.p_const_char, length: int32_t, now_ms: int64_t
) -> int32_t:
    spins: int32_t = 0
    result: int32_t = 0
    text_length: int64_t = length if length > 0 else 0
    while not cas_i32(address(log.lock), 0, 1):
        cpu_pause()
        spins += 1
        if spins % 64 == 0:
            thread_yield()  # the holder may wait for this very core
    offset: int64_t = _find(log, text, text_length)
    if offset >= 0:
        fetch_add_i32(cast(pointer[int32_t], log.buffer + offset + 4), 1)
        store_release_i64(cast(pointer[int64_t], log.buffer + offset + 8), now_ms)
    else:
        result = _append(log, text, text_length, now_ms)
    store_release_i32(address(log.lock), 0)
    return result


@cclass
class DistinctErrorLog:
    """Writes an error log: an error seen before only raises its count and last timestamp.

    Errors are the same when their text is the same. `buffer` is writable memory aligned to 8
    bytes; records already in it are kept. `epoch_clock_ms` is called for each record. Any thread
    may record (PROTOCOL.md section 8).
    """

    log: ErrorLogState
    view: object
    clock: object

    def __init__(self, buffer, epoch_clock_ms):
        if self.view is not None:
            raise RuntimeError("the error log is initialised: make a new one")
        view = flat_view(buffer, True, "an error log")
        self.clock = epoch_clock_ms
        error_log_wrap(address(self.log), view_address(view), view.nbytes)
        self.view = view

    def record(self, error: str | BaseException) -> bool:
        """Record a text, or an exception as its traceback; False when the log is full."""
        if isinstance(error, BaseException):
            error = "".join(traceback.format_exception(error))
        if self.view is None:
            raise RuntimeError("the error log has no buffer: call its constructor")
        encoded: bytes = error.encode("utf-8", "backslashreplace")
        text: p_char = encoded
        if len(encoded) > self.log.capacity:
            return False
        length: int32_t = cast(int32_t, len(encoded))
        now_ms: int64_t = self.clock()
        result: int32_t
        with nogil:
            result = error_log_record(address(self.log), text, length, now_ms)
        return result == 0


class ErrorObservation(NamedTuple):
    """One distinct error: how often it was seen, when first and last (epoch ms), and its text."""

    observation_count: int
    first_timestamp_ms: int
    last_timestamp_ms: int
    text: str


@cclass
class ErrorLogReader:
    """Iterates the `ErrorObservation`s of a log that others may be writing.

    A length that cannot be ends the reading and is told by `corrupt_offset` (None when all is
    well). The buffer is held only while reading; any alignment to 8 bytes will do. Format:
    PROTOCOL.md section 8.

    Threading: one thread reads; the writers may be any others, in any process.
    """

    source: object
    corrupt_offset = cython.declare(object, visibility="readonly")

    def __init__(self, buffer):
        self.source = buffer
        self.corrupt_offset = None

    def read(self, since_timestamp_ms: int64_t = 0) -> list[ErrorObservation]:
        """All observations whose last timestamp is `since_timestamp_ms` or later."""
        capacity: int64_t
        offset: int64_t = 0
        last_ms: int64_t
        record: pointer[uint8_t]
        observations: list = []
        self.corrupt_offset = None
        view = flat_view(self.source, False, "an error log")
        try:
            buffer: pointer[uint8_t] = view_address(view)
            capacity = view.nbytes
            length: int64_t = _record_length(buffer, capacity, 0)
            while length > 0:
                record = buffer + offset
                last_ms = load_acquire_i64(cast(pointer[int64_t], record + 8))
                if last_ms >= since_timestamp_ms:
                    text: bytes = cast(p_char, record)[ERROR_RECORD_HEADER_LENGTH:length]
                    observations.append(
                        ErrorObservation(
                            load_acquire_i32(cast(pointer[int32_t], record + 4)),
                            cast(pointer[int64_t], record + 16)[0],
                            last_ms,
                            text.decode("utf-8", "replace"),
                        )
                    )
                offset += (length + 7) & ~7
                length = _record_length(buffer, capacity, offset)
            if length < 0:
                self.corrupt_offset = offset
        finally:
            view.release()
        return observations

    def __iter__(self):
        return iter(self.read())
