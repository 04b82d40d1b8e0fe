"""Whether the file system can hold what the driver has promised.

A sparse file takes its blocks when they are first written. Were each new file only compared with
what is free now, several could be promised the same blocks, and who writes last would die of
SIGBUS. So what the driver's own files have yet to take counts as taken.
"""

from __future__ import annotations

import os
from pathlib import Path

from volans.memory.errors import StorageSpaceError

BLOCK_BYTES = 512  # the unit of st_blocks


class PromisedSpace:
    """Promises sparse files their room; used by one thread, the one that makes files.

    Looking at every file for each new one would make a thousandth stream a thousand times as dear
    as the first. What is promised never exceeds the last count and the lengths granted since, so
    files are only counted anew when there might be too little.
    """

    def __init__(self) -> None:
        self._at_most_bytes: int | None = None

    def promise(self, path: Path, length_bytes: int, directory: Path) -> None:
        """Raise StorageSpaceError when a new sparse file cannot be filled beside those there."""
        status = os.statvfs(directory)
        free_bytes = status.f_bavail * status.f_frsize
        if length_bytes > free_bytes:
            raise StorageSpaceError.for_file(os.fspath(path), length_bytes, free_bytes)
        promised = self._at_most_bytes
        if promised is None or length_bytes > free_bytes - promised:
            promised = promised_bytes(directory)
            self._at_most_bytes = promised
        available_bytes = max(0, free_bytes - promised)
        if length_bytes > available_bytes:
            raise StorageSpaceError.for_file(os.fspath(path), length_bytes, available_bytes)
        self._at_most_bytes = promised + length_bytes


def low_space_warning(directory: Path, threshold_bytes: int) -> str | None:
    """The official driver's words when the file system has no more room than the threshold."""
    status = os.statvfs(directory)
    usable_bytes = status.f_bavail * status.f_frsize
    if usable_bytes > threshold_bytes:
        return None
    return (
        f"WARNING: space is running low: threshold={threshold_bytes} usable={usable_bytes} "
        f"in {directory}"
    )


def promised_bytes(directory: Path) -> int:
    """Bytes that the files of a driver's directory may still take."""
    total = 0
    for folder in (directory, directory / "publications", directory / "images"):
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted meanwhile
                if entry.is_file(follow_symlinks=False):
                    total += max(0, status.st_size - status.st_blocks * BLOCK_BYTES)
    return total
