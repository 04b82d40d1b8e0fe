"""What a process holds and how much processor time it took, from ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time a process has taken, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def descriptor_count(pid: int) -> int:
    """Open files, sockets and so on."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def mapping_count(pid: int, directory: Path) -> int:
    """Mappings of files in a directory, deleted ones too."""
    text = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    return sum(1 for line in text.splitlines() if str(directory) in line)


def resident_bytes(pid: int) -> int:
    """Memory of its own: without the files it shares with others."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def holdings(pid: int, directory: Path) -> dict[str, int]:
    """Descriptors, mappings and log files of a driver."""
    return {
        "descriptors": descriptor_count(pid),
        "mappings": mapping_count(pid, directory),
        "log files": sum(1 for _ in directory.rglob("*.logbuffer")),
    }
