"""What the bad-input tests share: a volansmd of one's own, its error log, its open resources."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fuzz"))

import hostile
import peer
from client_driver import await_that, scratch

from volans.memory import ErrorLogReader
from volans.protocol.cnc import CncFile

_streams = itertools.count(5001)

# Everything short that is otherwise waited for; long enough for a loaded machine.
SETTINGS = {
    "AERON_THREADING_MODE": "SHARED",
    "AERON_SHARED_IDLE_STRATEGY": "backoff",
    "AERON_TERM_BUFFER_LENGTH": "64k",
    "AERON_IPC_TERM_BUFFER_LENGTH": "64k",
    "AERON_TIMER_INTERVAL": "20ms",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "50ms",
    "AERON_CLIENT_LIVENESS_TIMEOUT": "2s",
    "AERON_PUBLICATION_UNBLOCK_TIMEOUT": "3s",
    "AERON_IMAGE_LIVENESS_TIMEOUT": "1s",
    "AERON_RCV_STATUS_MESSAGE_TIMEOUT": "20ms",
    "AERON_COUNTERS_FREE_TO_REUSE_TIMEOUT": "100ms",
}


def run_driver(**settings: str) -> peer.Driver:
    """A volansmd process on a new directory."""
    return peer.Driver("volans", scratch(), {**SETTINGS, **settings})


def driver_fixture(**settings: str) -> Callable[..., Any]:
    """A fixture: one such driver for the tests of a module, alive at its end."""

    @pytest.fixture(scope="module")
    def driver() -> Iterator[peer.Driver]:
        with run_driver(**settings) as running:
            yield running
            assert running.process.poll() is None, running.stderr_text()

    return driver


@pytest.fixture
def stream_id() -> int:
    """A stream nobody used before."""
    return next(_streams)


def free_port() -> int:
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def error_texts(directory: Path) -> list[str]:
    """The distinct errors a driver has logged."""
    with CncFile.attach(directory, read_only=True) as cnc:
        return [entry.text for entry in ErrorLogReader(cnc.error_log_buffer).read()]


def mappings_of(pid: int, directory: Path) -> list[str]:
    """Files of a driver's directory that a process has mapped."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return sorted(line.split()[5] for line in maps if str(directory) in line)


def descriptors_of(pid: int) -> list[str]:
    """What the open descriptors of a process lead to."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")  # noqa: PTH115
        except OSError:
            continue
        found.append(target.split(":")[0])
    return sorted(found)


def log_files(directory: Path) -> list[str]:
    """Log buffer files of a driver."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*.logbuffer"))


__all__ = [
    "await_that",
    "descriptors_of",
    "driver_fixture",
    "error_texts",
    "free_port",
    "hostile",
    "log_files",
    "mappings_of",
    "peer",
    "run_driver",
    "scratch",
    "stream_id",
]
