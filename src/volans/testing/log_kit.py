# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A log buffer in plain memory with every log operation as a Python call, for tests.

What a driver and its clients do at C level through ``volans.log`` can be done here step by
step: append, claim, read, scan, insert, fill, unblock, rotate, clean. Arguments are checked, so
that a test can go wrong without taking the interpreter with it.
"""

from __future__ import annotations

from collections import namedtuple

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.cpython.memoryview import PyMemoryView_GET_BUFFER
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.log.append import (
    append,
    append_batch,
    append_block_exclusive,
    append_exclusive,
    append_gather,
    append_gather_exclusive,
    append_padding_exclusive,
    appender_init,
    appender_init_exclusive,
    appender_position,
    claim,
    claim_abort,
    claim_commit,
    claim_exclusive,
)
from cython.cimports.volans.log.buffers import (
    log_buffers_wrap,
    log_file_length,
    log_init_image,
    log_init_publication,
    log_metadata_at,
    log_producer_position,
    log_rotate,
)
from cython.cimports.volans.log.clean import log_clean
from cython.cimports.volans.log.layout import (
    CONTINUE,
    LOG_METADATA_LENGTH,
    LOG_TYPE_CONCURRENT,
    LOG_TYPE_IMAGE,
    LogBuffers,
    LogMetadata,
    Piece,
)
from cython.cimports.volans.log.read import read_controlled, read_fragments, scan_block
from cython.cimports.volans.log.rebuild import term_gap_fill, term_gap_scan, term_insert
from cython.cimports.volans.log.scan import scan_for_availability
from cython.cimports.volans.log.unblock import log_unblock
from cython.cimports.volans.memory.atomic import store_release_i32, store_release_i64
from cython.cimports.volans.protocol.layout import DATA_HEADER_LENGTH, DataHeader
from cython.cimports.volans.testing.log_kit import COLLECTOR_CAPACITY, Collector

Fragment = namedtuple(
    "Fragment",
    "payload frame_length flags type term_offset session_id stream_id term_id reserved_value",
)


@cfunc
def _address(view: object) -> pointer[uint8_t]:
    return cast(pointer[uint8_t], PyMemoryView_GET_BUFFER(view).buf)


@cfunc
def _fragment(header: pointer[DataHeader]) -> object:
    payload: pointer[cython.char] = cast(pointer[cython.char], header) + DATA_HEADER_LENGTH
    return Fragment(
        payload[: header.frame_length - DATA_HEADER_LENGTH],
        header.frame_length,
        header.flags,
        header.type,
        header.term_offset,
        header.session_id,
        header.stream_id,
        header.term_id,
        header.reserved_value,
    )


@cfunc
def _check_position(position: int64_t):
    if position < 0 or position % 32 != 0:
        raise ValueError(f"position {position} is no frame boundary")


@cfunc
def _check_range(term_length: int32_t, offset: int32_t, length: int64_t):
    if offset < 0 or length < 0 or offset % 32 != 0 or offset + length > term_length:
        raise ValueError(f"[{offset}, {offset + length}) is no part of a term")


@cfunc
@nogil
@exceptval(check=False)
def collect(
    payload: pointer[cython.const[uint8_t]],
    length: int32_t,
    header: pointer[DataHeader],
    clientd: p_void,
) -> int32_t:
    collector: pointer[Collector] = cast(pointer[Collector], clientd)
    index: int32_t = collector.count
    collector.headers[index] = header
    collector.count += 1
    return collector.actions[index] if index < collector.action_count else CONTINUE


@cclass
class LogKit:
    """A log of three terms in ``memory``, one shared and one exclusive appender over it.

    ``buffer`` takes memory of ``file_length`` bytes instead of allocating it. ``image`` makes a
    receiver's log (no tails). Lengths are in bytes. One thread at a time, except that the loops
    of ``volans.testing.log_stress`` run beside each other.
    """

    def __init__(
        self,
        term_length: int32_t = 65536,
        mtu_length: int32_t = 1408,
        page_size: int32_t = 4096,
        session_id: int32_t = 1001,
        stream_id: int32_t = 10,
        initial_term_id: int32_t = 0,
        start_term_id=None,
        start_term_offset: int32_t = 0,
        image: cython.bint = False,
        buffer=None,
    ):
        start: int32_t = initial_term_id if start_term_id is None else start_term_id
        length: int64_t = log_file_length(term_length, page_size)
        if buffer is None:
            buffer = bytearray(length)
        self.memory = memoryview(buffer).cast("B")
        if self.memory.nbytes != length or length < LOG_METADATA_LENGTH:
            raise ValueError(f"buffer has {self.memory.nbytes} bytes, the log needs {length}")
        metadata: pointer[LogMetadata] = log_metadata_at(_address(self.memory), length)
        metadata.term_length = term_length
        metadata.page_size = page_size
        metadata.mtu_length = mtu_length
        metadata.initial_term_id = initial_term_id
        metadata.type = LOG_TYPE_IMAGE if image else LOG_TYPE_CONCURRENT
        code: int32_t = log_buffers_wrap(address(self.log), _address(self.memory), length)
        if code != 0:
            raise ValueError(f"no log of term length {term_length}, page size {page_size}: {code}")
        if image:
            log_init_image(address(self.log), session_id, stream_id, initial_term_id)
        else:
            log_init_publication(
                address(self.log), session_id, stream_id, initial_term_id, start, start_term_offset
            )
        self.limit = INT64_MAX
        self.reopen()

    def reopen(self) -> None:
        """Make both appenders anew from what the log says."""
        appender_init(address(self.shared), address(self.log), address(self.limit))
        appender_init_exclusive(address(self.own), address(self.log), address(self.limit))

    # --- words -------------------------------------------------------------------------------

    @property
    def position_limit(self) -> int:
        """Where producers are stopped."""
        return self.limit

    @position_limit.setter
    def position_limit(self, value: int64_t):
        store_release_i64(address(self.limit), value)

    @property
    def is_connected(self) -> bool:
        """The driver's word in the metadata."""
        return self.log.metadata.is_connected == 1

    @is_connected.setter
    def is_connected(self, value: cython.bint):
        store_release_i32(address(self.log.metadata.is_connected), value)

    @property
    def stopped(self) -> bool:
        """Whether the loops of threads shall end."""
        return self.stop != 0

    @stopped.setter
    def stopped(self, value: cython.bint):
        store_release_i32(address(self.stop), value)

    @property
    def term_length(self) -> int:
        """Bytes of a term."""
        return self.log.term_length

    @property
    def max_payload_length(self) -> int:
        """Payload bytes of the greatest frame."""
        return self.shared.max_payload_length

    @property
    def max_message_length(self) -> int:
        """Bytes of the greatest message."""
        return self.shared.max_message_length

    @property
    def active_term_count(self) -> int:
        """Terms completed so far."""
        return self.log.metadata.active_term_count

    @property
    def tails(self) -> list:
        """(term id, raw offset) of the three partitions."""
        pairs = []
        for index in range(3):
            raw = self.log.metadata.term_tail_counters[index]
            pairs.append((raw >> 32, raw % 2**32))
        return pairs

    def set_tail(self, index: cython.uint, term_id: int32_t, offset: int64_t) -> None:
        """Overwrite a raw tail: a producer reserved and went away."""
        self.log.metadata.term_tail_counters[index % 3] = (cast(int64_t, term_id) << 32) + offset

    def term(self, index: cython.uint) -> memoryview:
        """The bytes of one term, writable."""
        begin: int64_t = cast(int64_t, index % 3) * self.log.term_length
        return self.memory[begin : begin + self.log.term_length]

    @property
    def metadata(self) -> memoryview:
        """The 4096 bytes of the metadata, writable."""
        return self.memory[-LOG_METADATA_LENGTH:]

    @property
    def producer_position(self) -> int:
        """From the active tail."""
        return log_producer_position(address(self.log))

    def position(self, exclusive: cython.bint = False) -> int:
        """Of an appender."""
        return appender_position(
            address(self.own) if exclusive else address(self.shared), exclusive
        )

    # --- producers ---------------------------------------------------------------------------

    def append(self, payload, reserved_value: int64_t = 0, exclusive: cython.bint = False) -> int:
        """New position or an ``APPEND_`` code."""
        view = memoryview(payload).cast("B")
        data: pointer[uint8_t] = _address(view)
        length: int32_t = view.nbytes
        if exclusive:
            return append_exclusive(address(self.own), data, length, reserved_value)
        return append(address(self.shared), data, length, reserved_value)

    def gather(self, parts, reserved_value: int64_t = 0, exclusive: cython.bint = False) -> int:
        """One message from several buffers."""
        views = [memoryview(part).cast("B") for part in parts]
        count: int32_t = len(views)
        total: int64_t = 0
        result: int64_t
        index: int32_t
        pieces: pointer[Piece] = cast(pointer[Piece], calloc(count + 1, cython.sizeof(Piece)))
        if pieces is cython.NULL:
            raise MemoryError
        for index in range(count):
            pieces[index].data = _address(views[index])
            pieces[index].length = views[index].nbytes
            total += pieces[index].length
        if exclusive:
            result = append_gather_exclusive(
                address(self.own), pieces, count, total, reserved_value
            )
        else:
            result = append_gather(address(self.shared), pieces, count, total, reserved_value)
        free(pieces)
        return result

    def batch(self, messages, length: int32_t, stride=None, exclusive: cython.bint = False):
        """Equal messages laid ``stride`` bytes apart: (accepted, code)."""
        view = memoryview(messages).cast("B")
        step: int64_t = length if stride is None else stride
        if length < 0 or step < max(1, length):
            raise ValueError(f"length {length} and stride {step} overlap")
        count: int64_t = 0 if view.nbytes < length else (view.nbytes - length) // step + 1
        code: int64_t = 0
        accepted: int64_t = append_batch(
            address(self.own) if exclusive else address(self.shared),
            exclusive,
            _address(view),
            step,
            length,
            count,
            address(code),
        )
        return accepted, code

    def claim(self, length: int32_t, exclusive: cython.bint = False):
        """(new position, claim), or (``APPEND_`` code, None)."""
        handle: LogKitClaim = LogKitClaim()
        position: int64_t
        handle.kit = self
        if exclusive:
            position = claim_exclusive(address(self.own), length, address(handle.result))
        else:
            position = claim(address(self.shared), length, address(handle.result))
        return (position, handle) if position > 0 else (position, None)

    def append_padding(self, length: int32_t) -> int:
        """Exclusive: a padding frame of so much payload."""
        return append_padding_exclusive(address(self.own), length)

    def append_block(self, block) -> int:
        """Exclusive: whole frames as they are."""
        view = memoryview(block).cast("B")
        return append_block_exclusive(address(self.own), _address(view), view.nbytes)

    # --- consumers ---------------------------------------------------------------------------

    def read(self, position: int64_t, limit_position: int64_t = INT64_MAX, limit: int32_t = 1024):
        """(fragments, new position)."""
        collector: Collector
        collector.count = 0
        collector.action_count = 0
        at: int64_t = position
        _check_position(position)
        count: int32_t = read_fragments(
            address(self.log),
            address(at),
            limit_position,
            min(limit, COLLECTOR_CAPACITY),
            collect,
            address(collector),
        )
        assert count == collector.count
        return [_fragment(collector.headers[index]) for index in range(count)], at

    def read_controlled(
        self, position: int64_t, actions, limit_position: int64_t = INT64_MAX, limit: int32_t = 1024
    ):
        """(count, fragments handed over, new position); the handler answers with ``actions``."""
        collector: Collector
        collector.count = 0
        collector.action_count = min(len(actions), COLLECTOR_CAPACITY)
        index: int32_t
        for index in range(collector.action_count):
            collector.actions[index] = actions[index]
        at: int64_t = position
        _check_position(position)
        count: int32_t = read_controlled(
            address(self.log),
            address(at),
            limit_position,
            min(limit, COLLECTOR_CAPACITY),
            collect,
            address(collector),
        )
        return count, [_fragment(collector.headers[index]) for index in range(collector.count)], at

    def scan_block(self, index: cython.uint, term_offset: int32_t, limit_offset: int32_t) -> int:
        """Bytes of whole frames."""
        _check_range(self.log.term_length, term_offset, limit_offset - term_offset)
        return scan_block(self.log.terms[index % 3], term_offset, limit_offset)

    def scan_available(self, index: cython.uint, term_offset: int32_t, max_length: int32_t):
        """(bytes for a datagram, padding)."""
        padding: int32_t = 0
        _check_range(self.log.term_length, term_offset, max_length)
        available: int32_t = scan_for_availability(
            self.log.terms[index % 3], term_offset, max_length, address(padding)
        )
        return available, padding

    # --- receivers ---------------------------------------------------------------------------

    def insert(self, index: cython.uint, term_offset: int32_t, packet) -> None:
        """Put a packet into its place unless something is there."""
        view = memoryview(packet).cast("B")
        if view.nbytes < DATA_HEADER_LENGTH:
            raise ValueError(f"a packet of {view.nbytes} bytes has no header")
        _check_range(self.log.term_length, term_offset, view.nbytes)
        term_insert(self.log.terms[index % 3], term_offset, _address(view), view.nbytes)

    def gap_scan(self, index: cython.uint, rebuild_offset: int32_t, limit_offset: int32_t) -> tuple:
        """(offset of the first hole, its length)."""
        length: int32_t = 0
        _check_range(self.log.term_length, rebuild_offset, limit_offset - rebuild_offset)
        offset: int32_t = term_gap_scan(
            self.log.terms[index % 3], 0, rebuild_offset, limit_offset, address(length)
        )
        return offset, length

    def gap_fill(
        self, index: cython.uint, term_id: int32_t, gap_offset: int32_t, gap_length: int32_t
    ) -> bool:
        """Turn a hole into padding."""
        _check_range(self.log.term_length, gap_offset, gap_length)
        return (
            term_gap_fill(
                address(self.log), self.log.terms[index % 3], term_id, gap_offset, gap_length
            )
            == 1
        )

    # --- the driver --------------------------------------------------------------------------

    def unblock(self, position: int64_t) -> bool:
        """Make the log readable again at a position."""
        _check_position(position)
        return log_unblock(address(self.log), position) == 1

    def rotate(self, term_count: int32_t, term_id: int32_t) -> bool:
        """Go on to the next term."""
        return log_rotate(address(self.log), term_count, term_id) == 1

    def clean(
        self, clean_position: int64_t, to_position: int64_t, max_bytes: int64_t = INT64_MAX
    ) -> int:
        """Zero what is consumed; the new clean position."""
        _check_position(clean_position)
        return log_clean(address(self.log), clean_position, to_position, max_bytes)


@cclass
class LogKitClaim:
    """A claimed frame: write its payload, then commit or abort it once."""

    def write(self, payload) -> None:
        """Put ``payload`` at the beginning of the claimed bytes."""
        data = bytes(payload)
        if len(data) > self.result.payload_length:
            raise ValueError(f"{len(data)} bytes do not fit {self.result.payload_length} claimed")
        index: int32_t
        for index in range(len(data)):
            self.result.payload[index] = data[index]

    def commit(self) -> None:
        """Let readers see it."""
        claim_commit(self.result.header, self.result.payload_length + DATA_HEADER_LENGTH)

    def abort(self) -> None:
        """Let readers skip it."""
        claim_abort(self.result.header, self.result.payload_length + DATA_HEADER_LENGTH)


def wrap_code(buffer) -> int:
    """What ``log_buffers_wrap`` says about ``buffer``: 0 when it is a log."""
    log: LogBuffers
    view = memoryview(buffer).cast("B")
    return log_buffers_wrap(address(log), _address(view), view.nbytes)


def file_length(term_length: int32_t, page_size: int32_t) -> int:
    """Bytes of a log file."""
    return log_file_length(term_length, page_size)
