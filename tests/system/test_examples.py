"""The programs of examples/ do what they say."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_driver import SETTINGS, driver, peer, start_driver

import volans

__all__ = ["driver"]

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(90)


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}


class Program:
    """A running example and the lines it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))

    def next_line(self) -> str:
        return self._lines.get(timeout=30)

    def skip_to(self, start: str) -> None:
        """Read lines until one begins so."""
        while not self.next_line().startswith(start):
            pass


@contextlib.contextmanager
def running(name: str, *arguments: object) -> Iterator[Program]:
    with subprocess.Popen(
        command(name, *arguments), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_each_response_client_gets_its_answers(driver):
    common = (
        "--directory",
        driver.directory,
        "--requests",
        f"aeron:udp?endpoint=127.0.0.1:{free_port()}",
        "--responses",
        f"aeron:udp?control-mode=response|control=127.0.0.1:{free_port()}",
    )
    with running("response_server.py", *common) as server:
        assert server.next_line() == "answering"
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(
                    running("response_client.py", *common, *(f"{name}{i}" for i in range(5)))
                )
                for name in ("ant", "bee")
            ]
            for client, name in zip(clients, ("ANT", "BEE"), strict=True):
                assert [client.next_line() for _ in range(5)] == [f"{name}{i}" for i in range(5)]


def test_the_reconnecting_subscriber_outlives_its_driver():
    with start_driver() as first, contextlib.ExitStack() as stack:
        program = stack.enter_context(running("reconnect.py", "--directory", first.directory))
        assert program.next_line() == "connected"
        for attempt in range(2):
            with volans.connect(first.directory) as client:
                publication = client.add_publication("aeron:ipc", 10)
                publication.publish(f"message {attempt}".encode(), timeout=20)
                assert program.next_line() == f"message {attempt}"
            if attempt == 0:
                first.stop()
                stack.enter_context(peer.Driver(first.kind, first.directory, SETTINGS))
                program.skip_to("connected")
