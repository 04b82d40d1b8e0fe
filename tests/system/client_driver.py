"""A media driver for client tests: volansmd where it runs, else the official one."""

from __future__ import annotations

import functools
import itertools
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import peer

import volans

_streams = itertools.count(2001)

SETTINGS = {
    "AERON_THREADING_MODE": "SHARED",
    "AERON_SHARED_IDLE_STRATEGY": "backoff",
    "AERON_TERM_BUFFER_LENGTH": "256k",
    "AERON_IPC_TERM_BUFFER_LENGTH": "256k",
    "AERON_TIMER_INTERVAL": "100ms",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "200ms",
    "AERON_CLIENT_LIVENESS_TIMEOUT": "5s",
}


def scratch() -> str:
    """A directory name of its own, in memory where there is some."""
    root = "/dev/shm" if Path("/dev/shm").is_dir() else None
    return tempfile.mkdtemp(prefix="volans-client-", dir=root)


def start_driver(**settings: str) -> peer.Driver:
    """A driver process on a new directory; skips the test when none can be run."""
    kind = _driver_kind()
    if kind == "official":
        try:
            peer.peer_python()
        except peer.PeerUnavailable as reason:
            pytest.skip(str(reason))
    return peer.Driver(kind, scratch(), {**SETTINGS, **settings})


@functools.cache
def _driver_kind() -> str:
    named = os.environ.get("VOLANS_TEST_DRIVER")
    if named:
        return named
    try:
        with peer.Driver("volans", scratch(), SETTINGS):
            return "volans"
    except (peer.WorkerFailed, OSError):
        return "official"


@pytest.fixture(scope="module")
def driver() -> Iterator[peer.Driver]:
    """One driver for all tests of a module."""
    with start_driver() as running:
        yield running


@pytest.fixture
def errors() -> list[BaseException]:
    """What the client's error handler got."""
    return []


@pytest.fixture
def client(driver: peer.Driver, errors: list[BaseException]) -> Iterator[volans.Client]:
    """A client of the module's driver."""
    with volans.connect(driver.directory, error_handler=errors.append) as connected:
        yield connected


@pytest.fixture
def stream_id() -> int:
    """A stream nobody used before."""
    return next(_streams)


@pytest.fixture
def udp_channel() -> str:
    """A channel on a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"aeron:udp?endpoint=127.0.0.1:{probe.getsockname()[1]}"


def await_that(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Look until the condition is true, in bounded time; what it gave."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not true within {timeout_s} s"
        time.sleep(0.001)


def poll_until(
    poll: Callable[..., int], handler: Callable[..., Any], condition: Callable[[], Any]
) -> None:
    """Poll until the condition is true, in bounded time."""

    def step() -> Any:
        poll(handler)
        return condition()

    await_that(step, 60.0)


def collect(subscription: volans.Subscription, count: int) -> list[bytes]:
    """Poll until so many messages are there."""
    got: list[bytes] = []

    def poll() -> bool:
        subscription.poll(lambda buffer, _header: got.append(bytes(buffer)))
        return len(got) >= count

    await_that(poll)
    return got


def connected_pair(
    client: volans.Client, stream_id: int, channel: str = "aeron:ipc", **options: Any
) -> tuple[volans.ExclusivePublication, volans.Subscription]:
    """An exclusive publication and a subscription that see each other."""
    subscription = client.add_subscription(channel, stream_id, **options)
    publication = client.add_exclusive_publication(channel, stream_id)
    await_that(lambda: publication.is_connected and subscription.is_connected)
    await_that(lambda: publication.available_window)
    return publication, subscription
