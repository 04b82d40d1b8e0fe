"""Shared processes of the interoperability tests: drivers and workers live for a module."""

from __future__ import annotations

import functools
import itertools
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import peer
import pytest


@functools.cache
def volans_missing() -> str:
    """Why there is no Volans client and driver to test, or nothing."""
    script = "import volans; volans.connect; import volans.driver.volansmd"
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env=peer.volans_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stderr.strip().splitlines()[-1] if answer.returncode else ""


@pytest.fixture(scope="session")
def peer_ready() -> str:
    """The peer's Python, or a skip that says why there is none."""
    try:
        return peer.peer_python()
    except peer.PeerUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def need(peer_ready: str) -> Callable[..., None]:
    """Skips a test that names a party this checkout does not have."""

    def check(*kinds: str) -> None:
        if "volans" in kinds and volans_missing():
            pytest.skip(f"Volans is not built: {volans_missing()}")

    return check


@pytest.fixture(scope="session")
def fresh_stream() -> Callable[[], int]:
    """A stream id nobody used before in this session."""
    numbers = itertools.count(1001, 10)
    return lambda: next(numbers)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """UDP ports that were free when asked for; held together so that they differ."""
    held: list[socket.socket] = []

    def ask() -> int:
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.bind(("127.0.0.1", 0))
        held.append(probe)
        port = probe.getsockname()[1]
        probe.close()
        return port

    return ask


class Workers:
    """Client workers kept by (kind, driver directory, part), started when first asked for."""

    def __init__(self) -> None:
        self._workers: dict[tuple, peer.Worker] = {}

    def get(self, kind: str, directory: object, part: str) -> peer.Worker:
        key = (kind, str(directory), part)
        worker = self._workers.get(key)
        if worker is None or worker.process.poll() is not None:
            worker = self._workers[key] = peer.start_client(kind, directory)
        return worker

    def discard(self, *workers: peer.Worker) -> None:
        """Forget workers in an unknown state (a failed test): the next test gets new ones."""
        for worker in workers:
            self._workers = {k: w for k, w in self._workers.items() if w is not worker}
            worker.process.kill()
            worker.stop()

    def close(self) -> None:
        for worker in self._workers.values():
            worker.stop()
        self._workers.clear()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()
