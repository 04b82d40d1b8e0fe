"""One stream to many: destinations given and learnt, and groups, between drivers of either kind.

Every stream has two subscribers, one on a Volans driver and one on the official one; flow control
waits for both, so both must get all of it.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import peer
import pytest
from conftest import Workers

import volans
from volans.protocol.counter_types import CounterType

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

KINDS = ("volans", "official")
MESSAGE_COUNT = 300
SIZES = [40, 1376, 20_000]
BOTH_OF_THEM = "fc=min,g:/2"
SETTINGS = {
    "AERON_TERM_BUFFER_LENGTH": "1m",
    "AERON_THREADING_MODE": "SHARED",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "1s",
    "AERON_TIMER_INTERVAL": "100ms",
}


@pytest.fixture(scope="module")
def drivers(need: Callable[..., None]) -> Iterator[dict[str, peer.Driver]]:
    """One driver of each kind."""
    need("volans")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(peer.scratch_directory())
        yield {
            kind: stack.enter_context(peer.Driver(kind, directory / kind, SETTINGS))
            for kind in KINDS
        }


@pytest.fixture
def clients(drivers: dict[str, peer.Driver]) -> Iterator[dict[str, volans.Client]]:
    """A Volans client of each driver."""
    with contextlib.ExitStack() as stack:
        yield {
            kind: stack.enter_context(volans.connect(driver.directory))
            for kind, driver in drivers.items()
        }


def await_that(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not true within {timeout_s} s"
        time.sleep(0.001)
    return result


def plan(kind: str, free_port: Callable[[], int]) -> tuple[str, list[str], list[str] | None]:
    """Publication's channel, subscribers' channels, destinations to add."""
    if kind == "multicast":
        group = f"aeron:udp?endpoint=224.20.30.43:{free_port()}|interface=127.0.0.1|ttl=0"
        return f"{group}|{BOTH_OF_THEM}", [group, group], None
    endpoints = [f"aeron:udp?endpoint=127.0.0.1:{free_port()}" for _ in range(2)]
    if kind == "manual":
        return f"aeron:udp?control-mode=manual|{BOTH_OF_THEM}", endpoints, endpoints
    control = f"control=127.0.0.1:{free_port()}|control-mode=dynamic"
    subscriptions = [f"{endpoint}|{control}" for endpoint in endpoints]
    return f"aeron:udp?{control}|{BOTH_OF_THEM}", subscriptions, None


@pytest.mark.parametrize("kind", ["manual", "dynamic", "multicast"])
@pytest.mark.parametrize("publishing", KINDS)
def test_both_subscribers_get_the_whole_stream(
    publishing: str,
    kind: str,
    drivers: dict[str, peer.Driver],
    workers: Workers,
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    channel, subscriptions, destinations = plan(kind, free_port)
    stream_id = fresh_stream()
    # The wheel's client has no destinations; elsewhere the client is of the driver's kind.
    client_kind = "volans" if kind == "manual" else publishing
    publisher = workers.get(client_kind, drivers[publishing].directory, "publisher")
    subscribers = [workers.get(kind, drivers[kind].directory, "subscriber") for kind in KINDS]
    try:
        for subscriber, subscription in zip(subscribers, subscriptions, strict=True):
            subscriber.send(
                command="subscribe", channel=subscription, stream_id=stream_id, count=MESSAGE_COUNT
            )
            subscriber.expect("subscribed")
        sent = publisher.call(
            command="publish",
            channel=channel,
            stream_id=stream_id,
            count=MESSAGE_COUNT,
            sizes=SIZES,
            seed=stream_id,
            exclusive=True,
            destinations=destinations,
        )
        received = [subscriber.expect("done", timeout=60.0) for subscriber in subscribers]
        for worker in (publisher, *subscribers):
            worker.call(command="close")
    except peer.WorkerFailed:
        workers.discard(publisher, *subscribers)
        raise
    assert [got["sha256"] for got in received] == [sent["sha256"]] * 2


def destination_counter(client: volans.Client, registration_id: int) -> int:
    counter_id = client.counters.find(CounterType.MDC_DESTINATIONS, registration_id)
    assert counter_id is not None
    return counter_id


def test_the_official_client_adds_and_removes_destinations(
    drivers: dict[str, peer.Driver],
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """On a Volans driver."""
    stream_id = fresh_stream()
    destinations = [f"aeron:udp?endpoint=127.0.0.1:{free_port()}" for _ in range(3)]
    script = peer.HERE / "official_destinations.py"
    command = [
        peer.peer_python(),
        str(script),
        str(drivers["volans"].directory),
        "aeron:udp?control-mode=manual|alias=official",
        str(stream_id),
        *destinations,
    ]
    counters = clients["volans"].counters

    def count() -> int | None:
        for counter_id in counters.find_by_type(CounterType.MDC_DESTINATIONS):
            if "alias=official" in counters.label(counter_id):
                return counters.value(counter_id)
        return None

    with subprocess.Popen(
        command,
        env=peer.official_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "added\n"
            await_that(lambda: count() == 3)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "removed\n"
            await_that(lambda: count() == 1)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("publishing", KINDS)
def test_rejections_name_the_destination(
    publishing: str,
    drivers: dict[str, peer.Driver],
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """A subscriber on the other driver rejects; the publisher hears whose destination it was."""
    other = KINDS[1 - KINDS.index(publishing)]
    stream_id = fresh_stream()
    heard: list = []
    channels = [f"aeron:udp?endpoint=127.0.0.1:{free_port()}" for _ in range(2)]
    subscriptions = [clients[other].add_subscription(channel, stream_id) for channel in channels]
    with volans.connect(
        drivers[publishing].directory, on_publication_error=heard.append
    ) as publisher:
        publication = publisher.add_exclusive_publication(
            "aeron:udp?control-mode=manual", stream_id
        )
        ids = [publication.add_destination(channel) for channel in channels]
        await_that(lambda: all(subscription.is_connected for subscription in subscriptions))
        subscriptions[1].images[0].reject("no more")
        await_that(lambda: heard)
    assert heard[0].destination_registration_id == ids[1]
    assert heard[0].message == "no more"
    assert heard[0].stream_id == stream_id


@pytest.mark.parametrize("publishing", KINDS)
def test_revocation_reaches_the_other_driver(
    publishing: str,
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    other = KINDS[1 - KINDS.index(publishing)]
    stream_id = fresh_stream()
    channel = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    gone: list = []
    subscription = clients[other].add_subscription(
        channel, stream_id, on_unavailable_image=gone.append
    )
    publication = clients[publishing].add_exclusive_publication(
        "aeron:udp?control-mode=manual", stream_id
    )
    publication.add_destination(channel)
    await_that(lambda: subscription.is_connected)
    publication.revoke()
    await_that(lambda: gone)
    assert gone[0].is_publication_revoked


def test_the_counter_of_destinations_is_that_of_the_official_driver(
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    stream_id = fresh_stream()
    target = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    channel = f"aeron:udp?control-mode=manual|tags={stream_id}"
    seen = []
    for client in clients.values():
        publication = client.add_exclusive_publication(channel, stream_id)
        publication.add_destination(target)
        publication.add_destination(target)
        counter_id = destination_counter(client, publication.registration_id)
        await_that(lambda: client.counters.value(counter_id) == 2)  # noqa: B023
        publication.remove_destination(target)
        await_that(lambda: client.counters.value(counter_id) == 1)  # noqa: B023
        key = client.counters.key(counter_id)
        seen.append((client.counters.label(counter_id), key[: 4 + len(channel)]))
    assert seen[0] == seen[1]
