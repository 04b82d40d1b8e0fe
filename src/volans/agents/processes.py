"""What the operating system says about processes: whether one lives, and what tells two apart.

A pid alone does not name a process: it means another one in another pid namespace, and is given
again after its process has ended.
"""

from __future__ import annotations

import os
from pathlib import Path

_STATE_FIELD = 0  # of what follows the name in /proc/<pid>/stat
_START_TIME_FIELD = 19
_ENDED_STATES = (b"Z", b"X", b"x")


def pid_namespace_id() -> int | None:
    """The pid namespace of this process; None where the system does not tell.

    None too when ``/proc`` shows the processes of another namespace than the own.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):  # noqa: PTH115
            return None
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        return None


def process_start_ticks(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine started; None when it has ended.

    A process that has ended but was not waited for (a zombie) counts as ended.

    Raises:
        OSError: the system would not say.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(1024)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in brackets and may hold any character, brackets and blanks too.
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[_STATE_FIELD] in _ENDED_STATES and not _has_other_threads(pid):
        return None
    return int(fields[_START_TIME_FIELD])


def _has_other_threads(pid: int) -> bool:
    """The first thread may have ended while others run on."""
    try:
        return any(entry.name != str(pid) for entry in Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


def process_start_epoch_ms(pid: int) -> int | None:
    """When a process began, in epoch milliseconds to about a second; None when it has ended.

    Raises:
        OSError: the system would not say.
    """
    ticks = process_start_ticks(pid)
    if ticks is None:
        return None
    with open("/proc/stat", encoding="ascii") as file:
        boot_s = next((int(line.split()[1]) for line in file if line.startswith("btime ")), None)
    if boot_s is None:
        raise OSError("/proc/stat does not tell when the machine was started")
    return (boot_s * os.sysconf("SC_CLK_TCK") + ticks) * 1000 // os.sysconf("SC_CLK_TCK")
