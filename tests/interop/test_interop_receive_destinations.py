"""Subscriptions with several sources, on drivers of either kind, from publishers on the other."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import peer
import pytest

import volans
from volans.protocol.counter_types import CounterType

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

KINDS = ("volans", "official")
MANUAL = "aeron:udp?control-mode=manual"
SETTINGS = {
    "AERON_TERM_BUFFER_LENGTH": "256k",
    "AERON_IPC_TERM_BUFFER_LENGTH": "256k",
    "AERON_THREADING_MODE": "SHARED",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "200ms",
    "AERON_TIMER_INTERVAL": "100ms",
    "AERON_IMAGE_LIVENESS_TIMEOUT": "3s",
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


def other_kind(kind: str) -> str:
    return KINDS[1 - KINDS.index(kind)]


def unicast(port: int) -> str:
    return f"aeron:udp?endpoint=127.0.0.1:{port}"


def exchange(
    subscription: volans.Subscription, publications: list[Any], count: int = 50
) -> dict[int, list[bytes]]:
    """What came of each session when every publication sent `count` messages."""
    received: dict[int, list[bytes]] = {}
    sent = 0
    total = count * len(publications)

    def on_message(buffer: Any, header: Any) -> None:
        received.setdefault(header.session_id, []).append(bytes(buffer))

    def step() -> bool:
        nonlocal sent
        while sent < total and publications[sent % len(publications)].offer(
            b"%d" % (sent // len(publications))
        ):
            sent += 1
        subscription.poll(on_message)
        return sum(map(len, received.values())) >= total

    await_that(step)
    return received


@pytest.mark.parametrize("subscribing", KINDS)
def test_streams_of_all_destinations_arrive(
    subscribing: str,
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """Two ports fed by the other driver, IPC and a spy: four sources of one subscription."""
    here, there = clients[subscribing], clients[other_kind(subscribing)]
    stream_id = fresh_stream()
    subscription = here.add_subscription(MANUAL, stream_id)
    spied = unicast(free_port()) + "|ssc=true"
    channels = [unicast(free_port()), unicast(free_port()), "aeron:ipc", "aeron-spy:" + spied]
    for channel in channels:
        subscription.add_destination(channel)
    publications = [
        there.add_exclusive_publication(channels[0], stream_id),
        there.add_exclusive_publication(channels[1], stream_id),
        here.add_exclusive_publication("aeron:ipc", stream_id),
        here.add_exclusive_publication(spied, stream_id),
    ]
    await_that(lambda: len(subscription.images) == 4)
    received = exchange(subscription, publications)
    expected = [b"%d" % i for i in range(50)]
    assert received == {publication.session_id: expected for publication in publications}
    for channel in channels[2:]:
        subscription.remove_destination(channel)
    # The official C driver names no image when a spy goes, so its clients keep that one.
    left = 2 if subscribing == "volans" else 3
    await_that(lambda: len(subscription.images) == left)


@pytest.mark.parametrize("subscribing", KINDS)
def test_one_stream_over_two_ways_is_read_once(
    subscribing: str,
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """It goes on when either way is taken away, and ends when it ended on all."""
    here, there = clients[subscribing], clients[other_kind(subscribing)]
    stream_id = fresh_stream()
    ways = [unicast(free_port()) for _ in range(2)]
    gone: list[Any] = []
    subscription = here.add_subscription(MANUAL, stream_id, on_unavailable_image=gone.append)
    publication = there.add_exclusive_publication(MANUAL, stream_id)
    for way in ways:
        subscription.add_destination(way)
        publication.add_destination(way)
    await_that(lambda: subscription.images and publication.is_connected)
    (image,) = subscription.images
    await_that(lambda: image.active_transport_count == 2)
    expected = [b"%d" % i for i in range(50)]
    assert exchange(subscription, [publication]) == {publication.session_id: expected}
    subscription.remove_destination(ways[0])
    assert exchange(subscription, [publication]) == {publication.session_id: expected}
    publication.close()
    await_that(lambda: gone)
    assert gone[0].session_id == publication.session_id


@pytest.mark.parametrize("subscribing", KINDS)
def test_a_destination_asks_at_the_control_of_a_dynamic_publication(
    subscribing: str,
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    here, there = clients[subscribing], clients[other_kind(subscribing)]
    stream_id = fresh_stream()
    control = f"control=127.0.0.1:{free_port()}|control-mode=dynamic"
    subscription = here.add_subscription(MANUAL, stream_id)
    subscription.add_destination(f"aeron:udp?endpoint=127.0.0.1:0|{control}")
    publication = there.add_exclusive_publication(f"aeron:udp?{control}", stream_id)
    await_that(lambda: subscription.images and publication.is_connected)
    received = exchange(subscription, [publication])
    assert received == {publication.session_id: [b"%d" % i for i in range(50)]}


@pytest.mark.parametrize("subscribing", KINDS)
def test_a_resolved_port_can_be_published_to(
    subscribing: str, clients: dict[str, volans.Client], fresh_stream: Callable[[], int]
) -> None:
    here, there = clients[subscribing], clients[other_kind(subscribing)]
    stream_id = fresh_stream()
    subscription = here.add_subscription(unicast(0), stream_id)
    endpoint = await_that(lambda: subscription.resolved_endpoint)
    publication = there.add_exclusive_publication(f"aeron:udp?endpoint={endpoint}", stream_id)
    await_that(lambda: subscription.images and publication.is_connected)
    assert exchange(subscription, [publication])


def test_counters_are_those_of_the_official_driver(
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """Of a subscription without and with destinations; ids and ports aside."""
    stream_id = fresh_stream()
    channel = f"{MANUAL}|tags={stream_id}"
    ports = [free_port(), free_port()]
    seen: dict[str, list[tuple[int, str, int]]] = {}
    for kind, client in clients.items():
        subscription = client.add_subscription(channel, stream_id)
        # One after the other: the two drivers would fight for the ports.
        for port in ports:
            subscription.add_destination(unicast(port))
        counters = client.counters
        status_id = subscription.channel_status_id
        own = [
            counter_id
            for counter_id in counters.find_by_type(CounterType.LOCAL_SOCKADDR)
            if counters.label(counter_id).startswith(f"rcv-local-sockaddr: {status_id} ")
        ]
        seen[kind] = sorted(
            (
                int(counters.value(counter_id)),
                counters.label(counter_id).replace(f": {status_id} ", ": # "),
                counters.registration_id(counter_id) == subscription.registration_id,
            )
            for counter_id in (status_id, *own)
        )
        subscription.close()
        await_that(
            lambda: (
                not any(
                    f"127.0.0.1:{port}" in counters.label(counter_id)  # noqa: B023
                    for counter_id in counters.find_by_type(CounterType.LOCAL_SOCKADDR)  # noqa: B023
                    for port in ports
                )
            )
        )
    assert len(seen["volans"]) == 3
    assert seen["volans"] == seen["official"]


def test_the_official_client_adds_and_removes_destinations(
    drivers: dict[str, peer.Driver],
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """On a Volans driver."""
    ports = [free_port() for _ in range(3)]
    script = peer.HERE / "official_receive_destinations.py"
    command = [
        peer.peer_python(),
        str(script),
        str(drivers["volans"].directory),
        MANUAL,
        str(fresh_stream()),
        "aeron:ipc",
        *map(unicast, ports),
    ]
    counters = clients["volans"].counters

    def bound() -> set[int]:
        labels = map(counters.label, counters.find_by_type(CounterType.LOCAL_SOCKADDR))
        return {port for label in labels for port in ports if label.endswith(f":{port}")}

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
            await_that(lambda: bound() == set(ports))
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "removed\n"
            await_that(lambda: bound() == set(ports[1:]))
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("subscribing", KINDS)
def test_receive_times_are_written_into_messages(
    subscribing: str,
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """By the system and by the driver; only where a message begins."""
    here, there = clients[subscribing], clients[other_kind(subscribing)]
    stream_id = fresh_stream()
    channel = unicast(free_port())
    subscription = here.add_subscription(
        f"{channel}|media-rcv-ts-offset=reserved|channel-rcv-ts-offset=0", stream_id
    )
    publication = there.add_exclusive_publication(channel, stream_id)
    await_that(lambda: subscription.images and publication.is_connected)
    before_ns = time.time_ns()
    payload = bytes(3000)
    await_that(lambda: publication.offer(payload))
    fragments: list[tuple[int, bytes]] = []

    def on_fragment(buffer: Any, header: Any) -> None:
        fragments.append((header.reserved_value, bytes(buffer)))

    (image,) = subscription.images
    await_that(lambda: image.poll(on_fragment, fragments=True) or len(fragments) >= 3)
    await_that(lambda: len(fragments) >= 3 or not image.poll(on_fragment, fragments=True))
    after_ns = time.time_ns()
    first_reserved, first = fragments[0]
    channel_ns = int.from_bytes(first[:8], "little")
    assert before_ns <= first_reserved <= channel_ns <= after_ns
    assert first[8:] == bytes(len(first) - 8)
    assert [reserved for reserved, _ in fragments[1:]] == [0] * (len(fragments) - 1)
    assert b"".join(data for _, data in fragments[1:]) == bytes(3000 - len(first))
