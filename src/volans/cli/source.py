"""A driver's directory for reading: of any driver, official or ours, alive or dead."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from volans.cli.failures import CommandFailedError
from volans.cli.options import resolve_directory
from volans.memory import CountersReader, ErrorLogReader, LossReportReader, MappedFile
from volans.memory.errors import TruncatedFileError
from volans.memory.loss_report import LossEntry
from volans.protocol.cnc import CncFile

LOSS_REPORT_FILE_NAME = "loss-report.dat"
_ALIVE_WITHIN_MS = 10_000


def epoch_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


class DriverDirectory:
    """The files of one driver, mapped read-only. Works as a context manager.

    Raises DriverNotRunningError when there is no driver's file, CncVersionError and
    CncFormatError when it cannot be read.
    """

    def __init__(
        self, directory: str | None, *, epoch_clock_ms: Callable[[], int] = epoch_ms
    ) -> None:
        self.path = resolve_directory(directory)
        self._epoch_clock_ms = epoch_clock_ms
        self.cnc = CncFile.attach(self.path, timeout_s=0.0, read_only=True)
        self.counters = CountersReader(
            self.cnc.counters_metadata_buffer, self.cnc.counters_values_buffer
        )

    @property
    def heartbeat_age_ms(self) -> int | None:
        """Age of the driver's last sign of life; None when it never began or has shut down."""
        heartbeat_ms = self.cnc.driver_heartbeat_ms
        return None if heartbeat_ms <= 0 else max(0, self._epoch_clock_ms() - heartbeat_ms)

    @property
    def is_active(self) -> bool:
        """Whether the driver has shown life within the last ten seconds."""
        return self.cnc.is_driver_active(self._epoch_clock_ms(), _ALIVE_WITHIN_MS)

    def describe(self) -> dict[str, object]:
        """What a program wants to know about the driver."""
        return {
            "directory": self.path,
            "pid": self.cnc.pid,
            "start_timestamp_ms": self.cnc.start_timestamp_ms,
            "active": self.is_active,
            "heartbeat_age_ms": self.heartbeat_age_ms,
        }

    def headline(self) -> str:
        """One line about the driver for people."""
        age_ms = self.heartbeat_age_ms
        if self.is_active:
            state = "alive"
        elif age_ms is None:
            state = "not running"
        else:
            state = f"silent for {age_ms / 1e3:.0f} s"
        return f"{self.path}  pid {self.cnc.pid}  {state}"

    def error_log(self) -> ErrorLogReader:
        """The driver's distinct errors."""
        return ErrorLogReader(self.cnc.error_log_buffer)

    def losses(self) -> list[LossEntry]:
        """The entries of the loss report. Raises CommandFailedError when there is none."""
        path = Path(self.path, LOSS_REPORT_FILE_NAME)
        try:
            mapped = MappedFile.open(path, read_only=True)
        except FileNotFoundError:
            raise CommandFailedError(
                f"no loss report in {self.path}: it has no {LOSS_REPORT_FILE_NAME}"
            ) from None
        except (TruncatedFileError, ValueError) as error:
            raise CommandFailedError(f"{path} is no loss report: {error}") from None
        with mapped, mapped.view(0, mapped.length) as view:
            return LossReportReader(view).read()

    def close(self) -> None:
        """Give the mappings up."""
        self.cnc.close()

    def __enter__(self) -> DriverDirectory:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
