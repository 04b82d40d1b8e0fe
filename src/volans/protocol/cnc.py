"""The command and control file, ``cnc.dat``, where all meet (PROTOCOL.md section 2).

The driver creates it, fills the sections and writes the version last. Clients wait for the
version, then for a driver that shows life. Nothing a file says is believed unchecked.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from volans.errors import CncFormatError, CncVersionError, DriverNotRunningError
from volans.memory.errors import TruncatedFileError
from volans.memory.mapped import MappedFile

CNC_FILE_NAME: Final = "cnc.dat"
CNC_VERSION: Final = 0x0002_00  # 0.2.0
HEADER_LENGTH: Final = 128
RING_TRAILER_LENGTH: Final = 768
BROADCAST_TRAILER_LENGTH: Final = 128
COUNTER_VALUE_LENGTH: Final = 128
COUNTER_METADATA_LENGTH: Final = 512
DEFAULT_TIMEOUT_S: Final = 10.0

_HEADER: Final = struct.Struct("=iiiiiiqqqi")
_I64: Final = struct.Struct("=q")
_HEARTBEAT_OFFSET_IN_TRAILER: Final = 640
_LEAST_BUFFER_CAPACITY: Final = 1024
_LEAST_PAGE_BYTES: Final = 4096
_MOST_PAGE_BYTES: Final = 1 << 30
_INT32_MAX: Final = (1 << 31) - 1
_RETRY_INTERVAL_S: Final = 0.016


@dataclass(frozen=True, slots=True)
class CncLayout:
    """Lengths of the sections in bytes, in file order, trailers included."""

    to_driver_buffer_length: int
    to_clients_buffer_length: int
    counters_metadata_buffer_length: int
    counters_values_buffer_length: int
    error_log_buffer_length: int
    file_page_size: int = _LEAST_PAGE_BYTES

    @classmethod
    def of_lengths(
        cls,
        *,
        to_driver_buffer_length: int,
        to_clients_buffer_length: int,
        counters_values_buffer_length: int,
        error_log_buffer_length: int,
        file_page_size: int = _LEAST_PAGE_BYTES,
    ) -> CncLayout:
        """A new file's layout: counters metadata follow from the values. CncFormatError."""
        layout = cls(
            to_driver_buffer_length,
            to_clients_buffer_length,
            counters_values_buffer_length * (COUNTER_METADATA_LENGTH // COUNTER_VALUE_LENGTH),
            counters_values_buffer_length,
            error_log_buffer_length,
            file_page_size,
        )
        layout.check("new cnc file")
        return layout

    @property
    def to_driver_buffer_offset(self) -> int:
        """Where the to-driver ring begins."""
        return HEADER_LENGTH

    @property
    def to_clients_buffer_offset(self) -> int:
        """Where the to-clients broadcast begins."""
        return self.to_driver_buffer_offset + self.to_driver_buffer_length

    @property
    def counters_metadata_buffer_offset(self) -> int:
        """Where the counters' metadata begin."""
        return self.to_clients_buffer_offset + self.to_clients_buffer_length

    @property
    def counters_values_buffer_offset(self) -> int:
        """Where the counters' values begin."""
        return self.counters_metadata_buffer_offset + self.counters_metadata_buffer_length

    @property
    def error_log_buffer_offset(self) -> int:
        """Where the error log begins."""
        return self.counters_values_buffer_offset + self.counters_values_buffer_length

    @property
    def heartbeat_offset(self) -> int:
        """Where the driver writes its heartbeat (epoch ms) into the ring's trailer."""
        trailer = self.to_clients_buffer_offset - RING_TRAILER_LENGTH
        return trailer + _HEARTBEAT_OFFSET_IN_TRAILER

    @property
    def sections_end(self) -> int:
        """Bytes the header and the sections take."""
        return self.error_log_buffer_offset + self.error_log_buffer_length

    @property
    def file_length(self) -> int:
        """Length of a file of this layout: whole pages."""
        page = max(self.file_page_size, _LEAST_PAGE_BYTES)
        return (self.sections_end + page - 1) // page * page

    def check(self, where: str) -> None:
        """Raise CncFormatError when a length cannot be that of its section."""
        _check_capacity(where, "to-driver", self.to_driver_buffer_length, RING_TRAILER_LENGTH)
        _check_capacity(
            where, "to-clients", self.to_clients_buffer_length, BROADCAST_TRAILER_LENGTH
        )
        values, metadata = self.counters_values_buffer_length, self.counters_metadata_buffer_length
        if values < COUNTER_VALUE_LENGTH or values % COUNTER_VALUE_LENGTH:
            raise CncFormatError(
                f"{where}: counters values length {values} is not a multiple of 128 over 0"
            )
        if metadata != values * (COUNTER_METADATA_LENGTH // COUNTER_VALUE_LENGTH):
            raise CncFormatError(
                f"{where}: counters metadata length {metadata} is not 4 times the values' {values}"
            )
        if self.error_log_buffer_length < 0:
            raise CncFormatError(
                f"{where}: error log length {self.error_log_buffer_length} is negative"
            )
        page = self.file_page_size
        if page and (not _LEAST_PAGE_BYTES <= page <= _MOST_PAGE_BYTES or page & (page - 1)):
            raise CncFormatError(f"{where}: page size {page} is no power of two from 4k to 1g")
        if self.sections_end > _INT32_MAX:
            raise CncFormatError(
                f"{where}: {self.sections_end} bytes are more than {_INT32_MAX}: "
                "use shorter buffers"
            )


class CncFile:
    """A mapped ``cnc.dat``. Sections are memoryviews, made anew at each access.

    Attributes: ``mapped``, ``layout``, ``version``, ``client_liveness_timeout_ns``,
    ``start_timestamp_ms``, ``pid`` and ``path``. Works as a context manager.
    Raises CncVersionError or CncFormatError for what is not a file of version 0.2.
    """

    def __init__(self, mapped: MappedFile) -> None:
        self.mapped = mapped
        self.path = mapped.path
        if mapped.length <= HEADER_LENGTH:
            raise CncFormatError(f"{self.path}: {mapped.length} bytes cannot hold a header")
        with mapped.view(0, HEADER_LENGTH) as header:
            fields = _HEADER.unpack_from(header)
        self.version = fields[0]
        if self.version >> 16 & 0xFF != CNC_VERSION >> 16 or self.version < 0:
            raise CncVersionError(
                f"{self.path}: version {version_text(self.version)} is not compatible with "
                f"{version_text(CNC_VERSION)}: use a driver and a client of like versions"
            )
        self.layout = CncLayout(fields[1], fields[2], fields[3], fields[4], fields[5], fields[9])
        self.client_liveness_timeout_ns, self.start_timestamp_ms, self.pid = fields[6:9]
        self.layout.check(self.path)
        if self.client_liveness_timeout_ns < 0:
            raise CncFormatError(
                f"{self.path}: client liveness timeout {self.client_liveness_timeout_ns} ns "
                "is negative"
            )
        if self.layout.sections_end > mapped.length:
            raise CncFormatError(
                f"{self.path}: truncated, {mapped.length} bytes of {self.layout.sections_end}"
            )

    @classmethod
    def attach(
        cls,
        directory: str | os.PathLike[str],
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        read_only: bool = False,
        require_alive: bool | None = None,
        epoch_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> CncFile:
        """Map the file of a running driver, waiting for it up to ``timeout_s``.

        A heartbeat not older than ``timeout_s`` is asked for when ``require_alive``, which is
        so unless ``read_only``: tools look at dead drivers too. The clocks are arguments for
        virtual time. Raises DriverNotRunningError, CncVersionError, CncFormatError, OSError.
        """
        path = os.path.join(os.fspath(directory), CNC_FILE_NAME)  # noqa: PTH118
        needs_heartbeat = (not read_only) if require_alive is None else require_alive
        deadline_ns = monotonic_ns() + int(timeout_s * 1e9)
        while True:
            cnc, reason = cls._try_attach(path, read_only)
            if cnc is not None:
                if not needs_heartbeat or cnc.is_driver_active(epoch_ms(), int(timeout_s * 1e3)):
                    return cnc
                reason = _describe_heartbeat(cnc.driver_heartbeat_ms, epoch_ms())
                cnc.close()
            if monotonic_ns() >= deadline_ns:
                raise DriverNotRunningError(
                    f"no media driver in {os.fspath(directory)} within {timeout_s:g} s: {reason}; "
                    "start one (volansmd) or give the directory of a running one (AERON_DIR)"
                )
            sleep(_RETRY_INTERVAL_S)

    @classmethod
    def _try_attach(cls, path: str, read_only: bool) -> tuple[CncFile | None, str]:
        try:
            mapped = MappedFile.open(path, read_only=read_only, minimum_length=HEADER_LENGTH + 1)
        except FileNotFoundError:
            return None, "it has no cnc.dat"
        except TruncatedFileError:
            return None, "its cnc.dat is still being made"
        except ValueError as error:
            raise CncFormatError(str(error)) from None
        try:
            with mapped.view(0, 4) as word:
                if word.tobytes() == bytes(4):
                    mapped.close()
                    return None, "its cnc.dat is not ready: the version is not set"
            return cls(mapped), ""
        except BaseException:
            mapped.close()
            raise

    def signal_ready(self) -> None:
        """Driver only: write the version, by which clients know that all is in place."""
        # The atomic count of views taken here keeps what was written before in front of this.
        with self.mapped.view(0, 4) as word, word.cast("i") as version:
            version[0] = CNC_VERSION
        self.version = CNC_VERSION

    @property
    def to_driver_buffer(self) -> memoryview:
        """The ring of commands, trailer included."""
        layout = self.layout
        return self.mapped.view(layout.to_driver_buffer_offset, layout.to_driver_buffer_length)

    @property
    def to_clients_buffer(self) -> memoryview:
        """The broadcast of events, trailer included."""
        layout = self.layout
        return self.mapped.view(layout.to_clients_buffer_offset, layout.to_clients_buffer_length)

    @property
    def counters_metadata_buffer(self) -> memoryview:
        """Types, keys and labels of the counters."""
        layout = self.layout
        return self.mapped.view(
            layout.counters_metadata_buffer_offset, layout.counters_metadata_buffer_length
        )

    @property
    def counters_values_buffer(self) -> memoryview:
        """Values of the counters."""
        layout = self.layout
        return self.mapped.view(
            layout.counters_values_buffer_offset, layout.counters_values_buffer_length
        )

    @property
    def error_log_buffer(self) -> memoryview:
        """The driver's distinct errors."""
        layout = self.layout
        return self.mapped.view(layout.error_log_buffer_offset, layout.error_log_buffer_length)

    @property
    def driver_heartbeat_ms(self) -> int:
        """Epoch ms of the driver's last sign of life; 0: none yet, -1: it has shut down."""
        with self.mapped.view(self.layout.heartbeat_offset, _I64.size) as word:
            return int(word.cast("q")[0])

    def is_driver_active(self, now_ms: int, timeout_ms: int) -> bool:
        """Whether the heartbeat is not older than ``timeout_ms``."""
        heartbeat_ms = self.driver_heartbeat_ms
        return heartbeat_ms > 0 and heartbeat_ms >= now_ms - timeout_ms

    def close(self) -> None:
        """Give the mapping up; it goes when the last view of a section is gone."""
        self.mapped.close()

    def __enter__(self) -> CncFile:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<CncFile {self.path} version {version_text(self.version)} pid {self.pid}>"


def create_cnc(
    directory: str | os.PathLike[str],
    layout: CncLayout,
    *,
    client_liveness_timeout_ns: int,
    start_timestamp_ms: int,
    pid: int,
    sparse: bool = False,
    check_storage: bool = True,
) -> CncFile:
    """Make the file of a new driver, all but the version: see :meth:`CncFile.signal_ready`.

    Raises FileExistsError, StorageSpaceError, OSError.
    """
    path = os.path.join(os.fspath(directory), CNC_FILE_NAME)  # noqa: PTH118
    mapped = MappedFile.create(path, layout.file_length, sparse=sparse, check_storage=check_storage)
    with mapped.view(0, HEADER_LENGTH) as header:
        _HEADER.pack_into(
            header,
            0,
            0,
            layout.to_driver_buffer_length,
            layout.to_clients_buffer_length,
            layout.counters_metadata_buffer_length,
            layout.counters_values_buffer_length,
            layout.error_log_buffer_length,
            client_liveness_timeout_ns,
            start_timestamp_ms,
            pid,
            layout.file_page_size,
        )
    return CncFile(mapped)


def version_text(version: int) -> str:
    """``"0.2.0"`` for 0x000200."""
    return f"{version >> 16 & 0xFF}.{version >> 8 & 0xFF}.{version & 0xFF}"


def _check_capacity(where: str, section: str, length: int, trailer_length: int) -> None:
    capacity = length - trailer_length
    if capacity < _LEAST_BUFFER_CAPACITY or capacity & (capacity - 1):
        raise CncFormatError(
            f"{where}: {section} length {length} is not a power of two from "
            f"{_LEAST_BUFFER_CAPACITY} on plus {trailer_length}"
        )


def _describe_heartbeat(heartbeat_ms: int, now_ms: int) -> str:
    if heartbeat_ms == 0:
        return "its driver has not begun its work"
    if heartbeat_ms < 0:
        return "its driver has shut down"
    return f"its driver's last sign of life is {(now_ms - heartbeat_ms) / 1e3:.1f} s old"
