"""Looking into a log buffer file without trusting it (PROTOCOL.md section 3).

Works on live files and on what a crash has left: everything is read by offset and length, never
through a mapping, and no field of the file decides how much is read beyond the file's own size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_PARTITION_COUNT = 3
_METADATA_LENGTH = 4096
_TERM_MIN_LENGTH = 64 * 1024
_TERM_MAX_LENGTH = 1024 * 1024 * 1024
_PAGE_MIN_SIZE = 4096
_PAGE_MAX_SIZE = 1024 * 1024 * 1024
_FRAME_ALIGNMENT = 32
_SCAN_BYTES = 1 << 16  # whole frames
_HEADER = struct.Struct("<ibBhiiiiq")
_TAILS = struct.Struct("<qqqi")
_STATE = struct.Struct("<qii")
_CONSTANTS = struct.Struct("<q14i")
_TAGS = struct.Struct("<5q")
_FLAGS = struct.Struct("<10B2xq")
# Names of the fields of LogFileMetadata, in the order of the file.
_CONSTANT_NAMES = (
    "correlation_id",
    "initial_term_id",
    "default_frame_header_length",
    "mtu_length",
    "term_length",
    "page_size",
    "publication_window_length",
    "receiver_window_length",
    "socket_sndbuf_length",
    "os_default_socket_sndbuf_length",
    "os_max_socket_sndbuf_length",
    "socket_rcvbuf_length",
    "os_default_socket_rcvbuf_length",
    "os_max_socket_rcvbuf_length",
    "max_resend",
)
_TAG_NAMES = (
    "entity_tag",
    "response_correlation_id",
    "linger_timeout_ns",
    "untethered_window_limit_timeout_ns",
    "untethered_resting_timeout_ns",
)
_FLAG_NAMES = (
    "group",
    "is_response",
    "rejoin",
    "reliable",
    "sparse",
    "signal_eos",
    "spies_simulate_connection",
    "tether",
    "is_publication_revoked",
)
_LOG_TYPES = {0: "concurrent", 1: "exclusive", 2: "image"}
_FRAME_TYPES = {0: "PAD", 1: "DATA"}


class LogFormatError(ValueError):
    """A file is no log buffer, or a broken one. Names what was found and what must be there."""


@dataclass(frozen=True, slots=True)
class LogFrame:
    """One frame as it stands in a term.

    ``partition_index`` and ``offset`` (bytes) say where it was found. ``frame_length`` (bytes,
    header included) is negative when its producer has not committed it; ``payload`` holds at
    most ``payload_limit`` bytes, nothing for padding and uncommitted frames.
    """

    partition_index: int
    offset: int
    frame_length: int
    version: int
    flags: int
    type: int
    term_offset: int
    session_id: int
    stream_id: int
    term_id: int
    reserved_value: int
    payload: bytes

    @property
    def is_committed(self) -> bool:
        """Whether readers see it."""
        return self.frame_length > 0

    @property
    def type_name(self) -> str:
        """``DATA``, ``PAD`` or the number."""
        return _FRAME_TYPES.get(self.type, str(self.type))


@dataclass(frozen=True, slots=True)
class LogFileMetadata:
    """The metadata section. Lengths and positions in bytes, time-outs in nanoseconds."""

    file_length: int
    term_tails: tuple[tuple[int, int], ...]  # (term id, raw offset) of each partition
    active_term_count: int
    end_of_stream_position: int
    is_connected: bool
    active_transport_count: int
    correlation_id: int
    initial_term_id: int
    default_frame_header_length: int
    mtu_length: int
    term_length: int
    page_size: int
    publication_window_length: int
    receiver_window_length: int
    socket_sndbuf_length: int
    os_default_socket_sndbuf_length: int
    os_max_socket_sndbuf_length: int
    socket_rcvbuf_length: int
    os_default_socket_rcvbuf_length: int
    os_max_socket_rcvbuf_length: int
    max_resend: int
    session_id: int
    stream_id: int
    entity_tag: int
    response_correlation_id: int
    linger_timeout_ns: int
    untethered_window_limit_timeout_ns: int
    untethered_linger_timeout_ns: int
    untethered_resting_timeout_ns: int
    group: bool
    is_response: bool
    rejoin: bool
    reliable: bool
    sparse: bool
    signal_eos: bool
    spies_simulate_connection: bool
    tether: bool
    is_publication_revoked: bool
    type: int

    @property
    def type_name(self) -> str:
        """``concurrent``, ``exclusive``, ``image`` or the number."""
        return _LOG_TYPES.get(self.type, str(self.type))

    @property
    def active_partition_index(self) -> int:
        """Which of the three terms producers write."""
        return self.active_term_count % _PARTITION_COUNT

    @property
    def producer_position(self) -> int:
        """Of the active tail; meaningless for images, which do not use tails."""
        term_id, offset = self.term_tails[self.active_partition_index]
        term_count = (term_id - self.initial_term_id) & 0xFFFFFFFF
        return term_count * self.term_length + min(offset, self.term_length)


class LogInspector:
    """Metadata and frames of a log buffer file or of a buffer that holds one.

    ``source`` is a path, or any contiguous buffer (bytes, bytearray, mmap, MappedFile). Raises
    LogFormatError when it cannot be a log, OSError when the file cannot be read. Closes as a
    context manager. For one thread. The log may change while one looks: each frame is read
    once, consistent in itself when it is committed.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> None:
        self._descriptor = -1
        self._view: memoryview | None = None
        if isinstance(source, str | os.PathLike):
            self.name = os.fspath(source)
            if not Path(source).is_file():
                if Path(source).exists():
                    raise LogFormatError(f"{self.name} is not a regular file: no log buffer")
                raise FileNotFoundError(2, "no such log buffer file", self.name)
            self._descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
            self.file_length = os.fstat(self._descriptor).st_size
        else:
            self.name = f"<{type(source).__name__}>"
            self._view = memoryview(source).cast("B")
            self.file_length = self._view.nbytes
        try:
            self.metadata = self._read_metadata()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the file or the buffer back. May be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._view is not None:
            self._view.release()
            self._view = None

    def __enter__(self) -> LogInspector:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def refresh(self) -> LogFileMetadata:
        """Read the metadata again (tails and connection change while a log lives)."""
        self.metadata = self._read_metadata()
        return self.metadata

    def frames(
        self,
        partition_index: int | None = None,
        *,
        payload_limit: int = 64,
        scan_over_zeroes: bool = False,
    ) -> Iterator[LogFrame]:
        """Frames of one partition, or of all three from the oldest term to the newest.

        An uncommitted frame is the last one given of its partition: nothing behind it can be
        found by walking. Zeroes end a partition too, unless ``scan_over_zeroes``: behind the gaps
        of an image, or what has been cleaned, there may be frames. Raises LogFormatError when a
        length cannot be one, ValueError when there is no such partition.
        """
        if partition_index is None:
            active = self.metadata.active_partition_index
            for step in range(1, _PARTITION_COUNT + 1):
                index = (active + step) % _PARTITION_COUNT
                yield from self._term_frames(index, payload_limit, scan_over_zeroes)
        elif 0 <= partition_index < _PARTITION_COUNT:
            yield from self._term_frames(partition_index, payload_limit, scan_over_zeroes)
        else:
            raise ValueError(f"partition {partition_index}: a log has partitions 0, 1 and 2")

    def _term_frames(
        self, index: int, payload_limit: int, scan_over_zeroes: bool
    ) -> Iterator[LogFrame]:
        term_length = self.metadata.term_length
        base = index * term_length
        offset = 0
        while offset < term_length:
            header: tuple[int, int, int, int, int, int, int, int, int] = _HEADER.unpack(
                self._read(base + offset, _HEADER.size)
            )
            frame_length, frame_type = header[0], header[3]
            if frame_length == 0:
                if not scan_over_zeroes:
                    return
                offset = self._end_of_zeroes(base, offset, term_length)
                continue
            rest = term_length - offset
            if not _HEADER.size <= abs(frame_length) <= rest:
                raise LogFormatError(
                    f"{self.name}: frame length {frame_length} at offset {offset} of partition "
                    f"{index}: must be between {_HEADER.size} and the {rest} bytes left in the "
                    "term (the term is corrupt from here on)"
                )
            payload = b""
            if frame_length > 0 and frame_type != 0:
                length = min(frame_length - _HEADER.size, max(payload_limit, 0))
                payload = self._read(base + offset + _HEADER.size, length)
            yield LogFrame(index, offset, *header, payload)
            if frame_length < 0:
                return
            offset += (frame_length + _FRAME_ALIGNMENT - 1) & ~(_FRAME_ALIGNMENT - 1)

    def _end_of_zeroes(self, base: int, offset: int, term_length: int) -> int:
        """Where the next frame may begin, or the term's end."""
        while offset < term_length:
            chunk = self._read(base + offset, min(_SCAN_BYTES, term_length - offset))
            for (length,) in struct.iter_unpack("<i28x", chunk):
                if length != 0:
                    return offset
                offset += _FRAME_ALIGNMENT
        return term_length

    def _read(self, offset: int, length: int) -> bytes:
        if self._view is not None:
            data = bytes(self._view[offset : offset + length])
        elif self._descriptor >= 0:
            data = os.pread(self._descriptor, length, offset)
        else:
            raise ValueError(f"inspector of {self.name} is closed")
        if len(data) != length:
            raise LogFormatError(
                f"{self.name}: {length} bytes wanted at {offset}, {len(data)} are there "
                "(the file was cut off while it was read)"
            )
        return data

    def _read_metadata(self) -> LogFileMetadata:
        minimum = _PARTITION_COUNT * _TERM_MIN_LENGTH + _METADATA_LENGTH
        if self.file_length < minimum:
            raise LogFormatError(
                f"{self.name}: {self.file_length} bytes, the smallest log buffer has {minimum} "
                "(cut off, or no log buffer)"
            )
        section = self._read(self.file_length - _METADATA_LENGTH, _METADATA_LENGTH)
        *raw_tails, active_term_count = _TAILS.unpack_from(section, 0)
        state = _STATE.unpack_from(section, 128)
        constants = _CONSTANTS.unpack_from(section, 256)
        header = _HEADER.unpack_from(section, 320)
        tags = _TAGS.unpack_from(section, 448)
        flags = _FLAGS.unpack_from(section, 488)
        self._check(constants[4], constants[5])
        values: dict[str, Any] = dict(zip(_CONSTANT_NAMES, constants, strict=True))
        values.update(zip(_TAG_NAMES, tags, strict=True))
        values.update(zip(_FLAG_NAMES, (value != 0 for value in flags[:9]), strict=True))
        return LogFileMetadata(
            file_length=self.file_length,
            term_tails=tuple((raw >> 32, raw & 0xFFFFFFFF) for raw in raw_tails),
            active_term_count=active_term_count,
            end_of_stream_position=state[0],
            is_connected=state[1] == 1,
            active_transport_count=state[2],
            session_id=header[5],
            stream_id=header[6],
            untethered_linger_timeout_ns=flags[10],
            type=flags[9],
            **values,
        )

    def _check(self, term_length: int, page_size: int) -> None:
        for what, value, least, most in (
            ("term length", term_length, _TERM_MIN_LENGTH, _TERM_MAX_LENGTH),
            ("page size", page_size, _PAGE_MIN_SIZE, _PAGE_MAX_SIZE),
        ):
            if not least <= value <= most or value & (value - 1) != 0:
                raise LogFormatError(
                    f"{self.name}: {what} {value} in the metadata must be a power of two between "
                    f"{least} and {most} (not a log buffer, still being made, or corrupt)"
                )
        expected = -(-(_PARTITION_COUNT * term_length + _METADATA_LENGTH) // page_size) * page_size
        if self.file_length != expected:
            raise LogFormatError(
                f"{self.name}: {self.file_length} bytes, but term length {term_length} and page "
                f"size {page_size} make {expected} (cut off or corrupt)"
            )
