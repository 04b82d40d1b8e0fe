"""The driver's directory: taken over, made, removed (PROTOCOL.md section 1)."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from volans.errors import DriverAlreadyRunningError, VolansError
from volans.memory import ErrorLogReader
from volans.protocol.cnc import CncFile

if TYPE_CHECKING:
    from volans.driver.config import DriverConfig


def prepare_directory(config: DriverConfig, now_ms: int) -> Path:
    """Make the driver's directory anew, unless a live driver has it.

    Raises:
        DriverAlreadyRunningError: a driver's heartbeat there is younger than the driver time-out.
        OSError: the directory cannot be made or removed.
    """
    directory = Path(config.directory)
    if directory.exists():
        if config.dir_warn_if_exists:
            print(f"WARNING: {directory} exists", file=sys.stderr)
        if not config.dir_delete_on_start:
            _refuse_when_active(directory, now_ms, config.driver_timeout_ms)
        remove_directory(directory)
    for path in (directory, directory / "publications", directory / "images"):
        path.mkdir(parents=True, exist_ok=True)
    return directory


def remove_directory(directory: Path) -> None:
    """Delete a driver's directory with everything in it; nothing when it is not there."""
    shutil.rmtree(directory, ignore_errors=False) if directory.exists() else None


def _refuse_when_active(directory: Path, now_ms: int, timeout_ms: int) -> None:
    if not (directory / "cnc.dat").exists():
        return
    try:
        cnc = CncFile.attach(directory, timeout_s=0, read_only=True)
    except VolansError:
        return  # dead, half made or not a driver's: it may go
    with cnc:
        if cnc.is_driver_active(now_ms, timeout_ms):
            raise DriverAlreadyRunningError(
                f"active driver detected in {directory} (pid {cnc.pid}): stop it, or choose "
                "another directory with AERON_DIR"
            )
        _save_errors(directory, cnc, now_ms)


def _save_errors(directory: Path, cnc: CncFile, now_ms: int) -> None:
    """What a dead driver had logged would go with its directory: keep it beside."""
    observations = ErrorLogReader(cnc.error_log_buffer).read()
    if not observations:
        return
    kept = directory.with_name(f"{directory.name}-{_date(now_ms).replace(':', '-')}-error.log")
    with kept.open("w", encoding="utf-8") as file:
        for seen in observations:
            file.write(
                f"***\n{seen.observation_count} observations from "
                f"{_date(seen.first_timestamp_ms)} to {_date(seen.last_timestamp_ms)} for:\n"
                f" {seen.text}\n"
            )
        file.write(f"\n{len(observations)} distinct errors observed.\n")
    print(f"WARNING: Existing errors saved to: {kept}", file=sys.stderr)


def _date(epoch_ms: int) -> str:
    seconds, milliseconds = divmod(epoch_ms, 1000)
    local = time.localtime(seconds)
    return time.strftime(f"%Y-%m-%d %H:%M:%S.{milliseconds:03d}%z", local)
