"""Directories that drivers which are gone have left behind: found, and cleared away.

A directory goes only when it is certain that it is a driver's, that it holds nothing else, and that
the driver is dead: it said so in its heartbeat, or it is silent and its process is no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from volans.driver.directory import remove_directory
from volans.errors import VolansError
from volans.protocol.cnc import CNC_FILE_NAME, CncFile

_OF_DRIVERS: Final = frozenset({CNC_FILE_NAME, "loss-report.dat", "publications", "images"})
_BLOCK_BYTES: Final = 512
_CLOCK_SLACK_MS: Final = 5_000
_SHUT_DOWN: Final = -1


class DriverState(Enum):
    """How it stands with the driver of a directory."""

    ALIVE = "alive"
    SHUT_DOWN = "shut down"
    DEAD = "dead"
    SILENT = "silent, but its process lives"
    UNREADABLE = "not readable"
    SHARED = "dead, but other files are there too"

    @property
    def may_go(self) -> bool:
        """Whether nobody needs the directory any more."""
        return self in (DriverState.SHUT_DOWN, DriverState.DEAD)


class DriverLeftover(NamedTuple):
    """A directory with a driver's files."""

    path: Path
    state: DriverState
    pid: int | None
    size_bytes: int
    detail: str


def look_at(
    path: Path,
    now_ms: int,
    timeout_ms: int,
    start_epoch_ms_of: Callable[[int], int | None],
) -> DriverLeftover:
    """What a directory with a ``cnc.dat`` is.

    ``start_epoch_ms_of``: when a process began, None when it has ended, OSError when unknown.
    """
    try:
        cnc = CncFile.attach(path, timeout_s=0.0, read_only=True)
    except (VolansError, OSError, ValueError) as error:
        return DriverLeftover(path, DriverState.UNREADABLE, None, _size_bytes(path), str(error))
    with cnc:
        heartbeat_ms, pid = cnc.driver_heartbeat_ms, cnc.pid
        started_ms = cnc.start_timestamp_ms
    if heartbeat_ms == _SHUT_DOWN:
        state = DriverState.SHUT_DOWN
    elif now_ms <= max(heartbeat_ms, started_ms) + timeout_ms:
        state = DriverState.ALIVE
    else:
        state = (
            DriverState.SILENT if _lives(pid, started_ms, start_epoch_ms_of) else DriverState.DEAD
        )
    strange = sorted(name for name in os.listdir(path) if name not in _OF_DRIVERS)  # noqa: PTH208
    if state.may_go and strange:
        return DriverLeftover(
            path, DriverState.SHARED, pid, _size_bytes(path), f"holds {', '.join(strange[:3])} too"
        )
    return DriverLeftover(path, state, pid, _size_bytes(path), "")


def find_leftovers(
    parent: Path,
    now_ms: int,
    timeout_ms: int,
    start_epoch_ms_of: Callable[[int], int | None],
) -> list[DriverLeftover]:
    """All directories of drivers right below `parent`, living ones too. Raises OSError."""
    return [
        look_at(path, now_ms, timeout_ms, start_epoch_ms_of)
        for path in sorted(parent.iterdir())
        if not path.is_symlink() and (path / CNC_FILE_NAME).is_file()
    ]


def remove_leftover(leftover: DriverLeftover, look_again: Callable[[Path], DriverLeftover]) -> bool:
    """Delete it unless a driver has come to life there meanwhile; whether it was deleted.

    Raises OSError when it cannot be.
    """
    # Under another name no new driver can come to life in it while it is looked at and deleted.
    aside = leftover.path.with_name(f"{leftover.path.name}.gone-{os.getpid()}")
    leftover.path.rename(aside)
    if not look_again(aside).state.may_go:
        aside.rename(leftover.path)
        return False
    remove_directory(aside)
    return True


def _lives(
    pid: int, driver_started_ms: int, start_epoch_ms_of: Callable[[int], int | None]
) -> bool:
    try:
        began_ms = start_epoch_ms_of(pid)
    except (OSError, ValueError):
        return True  # nobody knows: then it is not dead for certain
    # A process that began after the driver only got its number.
    return began_ms is not None and began_ms <= driver_started_ms + _CLOCK_SLACK_MS


def _size_bytes(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(Path(folder, name)).st_blocks * _BLOCK_BYTES
            except OSError:
                continue  # gone meanwhile
    return total
