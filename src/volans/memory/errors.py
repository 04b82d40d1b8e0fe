"""What can be wrong with shared memory: one type for each thing a program may react to."""

from __future__ import annotations

import errno
from pathlib import Path


class StorageSpaceError(OSError):
    """The file system cannot hold a file of the wanted length.

    Attributes: ``needed_bytes`` and ``available_bytes`` (what an unprivileged process may use).
    """

    needed_bytes: int = 0
    available_bytes: int = 0

    @classmethod
    def for_file(
        cls,
        path: str,
        needed_bytes: int,
        available_bytes: int,
        remedy: str = "use a smaller term-length, close unused streams",
    ) -> StorageSpaceError:
        """The error for one file that does not fit; ``remedy`` is what else than room may help."""
        error = cls(
            errno.ENOSPC,
            f"storage too small: needs {needed_bytes} bytes, "
            f"{Path(path).parent} has {available_bytes} available "
            f"({remedy} or enlarge the file system, e.g. mount -o remount,size=2g /dev/shm)",
            path,
        )
        error.needed_bytes = needed_bytes
        error.available_bytes = available_bytes
        return error


class TruncatedFileError(OSError):
    """A file is shorter than the structure it should hold.

    Attributes: ``length_bytes`` and ``minimum_bytes``.
    """

    length_bytes: int = 0
    minimum_bytes: int = 0

    @classmethod
    def for_file(cls, path: str, length_bytes: int, minimum_bytes: int) -> TruncatedFileError:
        """The error for one file that is too short."""
        error = cls(
            errno.EINVAL,
            f"file too short: {length_bytes} bytes where at least {minimum_bytes} are needed "
            "(still being created, or cut off: retry, or remove it when its writer is gone)",
            path,
        )
        error.length_bytes = length_bytes
        error.minimum_bytes = minimum_bytes
        return error


class MessageTooLongError(ValueError):
    """A message is longer than an eighth of the ring or broadcast buffer it should go through."""


class BroadcastLappedError(RuntimeError):
    """The transmitter overtook this receiver: messages were lost, the latest comes next."""


class CounterLimitError(ValueError):
    """A counter's key or label is longer than its record has room for."""


class CountersExhaustedError(RuntimeError):
    """Every counter is in use or waits for its reuse time-out."""
