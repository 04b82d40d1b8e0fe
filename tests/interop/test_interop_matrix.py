"""Every pair of clients on every driver, and drivers of either kind with each other.

The official client and driver come from the pyaeron wheel. The pairs of official with official
prove the harness; the rest prove Volans. Contents are compared by SHA-256 at both ends, and the
subscriber checks the order of every message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import peer
import peer_counters
import pytest
from conftest import Workers

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

KINDS = ("volans", "official")
MTU_BYTES = 1408
SIZES = {
    "32B": (32, 2000),
    "mtu": (MTU_BYTES - 32, 600),
    "1MB": (1 << 20, 6),
}
SETTINGS = {
    "AERON_TERM_BUFFER_LENGTH": "8m",
    "AERON_IPC_TERM_BUFFER_LENGTH": "8m",
    "AERON_MTU_LENGTH": str(MTU_BYTES),
    "AERON_IPC_MTU_LENGTH": str(MTU_BYTES),
    "AERON_THREADING_MODE": "SHARED",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "1s",
    "AERON_IMAGE_LIVENESS_TIMEOUT": "5s",
    "AERON_PERFORM_STORAGE_CHECKS": "true",
}


@pytest.fixture(scope="module")
def drivers() -> Iterator[Callable[[str], peer.Driver]]:
    """One driver of each kind for the whole module."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(peer.scratch_directory())
        started: dict[str, peer.Driver] = {}

        def get(kind: str) -> peer.Driver:
            if kind not in started:
                started[kind] = stack.enter_context(peer.Driver(kind, directory / kind, SETTINGS))
            return started[kind]

        yield get


def transfer(
    workers: Workers,
    publisher: peer.Worker,
    subscriber: peer.Worker,
    channel: str,
    stream_id: int,
    sizes: list[int],
    count: int,
    exclusive: bool = False,
) -> None:
    """One stream from publisher to subscriber; the same bytes at both ends, or it raises."""
    try:
        subscriber.send(command="subscribe", channel=channel, stream_id=stream_id, count=count)
        subscriber.expect("subscribed")
        sent = publisher.call(
            command="publish",
            channel=channel,
            stream_id=stream_id,
            count=count,
            sizes=sizes,
            seed=stream_id,
            exclusive=exclusive,
        )
        received = subscriber.expect("done", timeout=60.0)
        publisher.call(command="close")
        subscriber.call(command="close")
    except peer.WorkerFailed:
        workers.discard(publisher, subscriber)
        raise
    assert received["count"] == sent["count"] == count
    assert received["sha256"] == sent["sha256"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("media", ["ipc", "udp"])
@pytest.mark.parametrize("subscriber_kind", KINDS)
@pytest.mark.parametrize("publisher_kind", KINDS)
@pytest.mark.parametrize("driver_kind", KINDS)
def test_one_driver(
    driver_kind: str,
    publisher_kind: str,
    subscriber_kind: str,
    media: str,
    size: str,
    need: Callable[..., None],
    drivers: Callable[[str], peer.Driver],
    workers: Workers,
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    need(driver_kind, publisher_kind, subscriber_kind)
    directory = drivers(driver_kind).directory
    channel = "aeron:ipc" if media == "ipc" else f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    size_bytes, count = SIZES[size]
    stream_id = fresh_stream()
    transfer(
        workers,
        workers.get(publisher_kind, directory, "publisher"),
        workers.get(subscriber_kind, directory, "subscriber"),
        channel,
        stream_id,
        [size_bytes],
        count,
        exclusive=size == "mtu",
    )
    assert peer_counters.system_counters(directory)[peer_counters.ERRORS] == 0


@pytest.mark.parametrize("media", ["ipc", "udp"])
@pytest.mark.parametrize(
    ("ping_kind", "pong_kind"),
    [("official", "official"), ("volans", "official"), ("official", "volans")],
)
@pytest.mark.parametrize("driver_kind", KINDS)
def test_round_trips(
    driver_kind: str,
    ping_kind: str,
    pong_kind: str,
    media: str,
    need: Callable[..., None],
    drivers: Callable[[str], peer.Driver],
    workers: Workers,
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """Requests and answers on two streams at once, one in flight."""
    need(driver_kind, ping_kind, pong_kind)
    directory = drivers(driver_kind).directory
    ping = workers.get(ping_kind, directory, "publisher")
    pong = workers.get(pong_kind, directory, "subscriber")
    channels = {
        way: "aeron:ipc" if media == "ipc" else f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
        for way in ("ping", "pong")
    }
    count, stream_id = 200, fresh_stream()
    try:
        pong.send(command="pong", stream_id=stream_id, count=count, **channels)
        pong.expect("subscribed")
        done = ping.call(command="ping", stream_id=stream_id, count=count, **channels)
        pong.expect("done")
        ping.call(command="close")
        pong.call(command="close")
    except peer.WorkerFailed:
        workers.discard(ping, pong)
        raise
    assert done["count"] == count


def loss_settings(kind: str, rate: float) -> dict[str, str]:
    """Makes a driver drop this share of the datagrams it receives, whatever their type."""
    if not rate:
        return {}
    if kind == "volans":
        return {"VOLANS_LOSS_RATE": str(rate), "VOLANS_LOSS_SEED": "7"}
    return {
        "AERON_UDP_CHANNEL_INCOMING_INTERCEPTORS": "loss",
        "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_LOSS_ARGS": f"rate={rate}|seed=7|recv-msg-mask=FFF",
    }


@pytest.fixture(scope="module", params=[0.0, 0.05, 0.2], ids=lambda rate: f"loss{rate:.0%}")
def lossy_drivers(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[float, Callable[[str, str], Path]]]:
    """Directories of drivers by (kind, side), all losing at one rate."""
    rate = request.param
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(peer.scratch_directory())
        started: dict[tuple[str, str], peer.Driver] = {}

        def get(kind: str, side: str) -> Path:
            if (kind, side) not in started:
                settings = {**SETTINGS, **loss_settings(kind, rate)}
                driver = peer.Driver(kind, base / f"{kind}-{side}", settings)
                started[kind, side] = stack.enter_context(driver)
            return started[kind, side].directory

        yield rate, get


@pytest.mark.parametrize(
    ("sender_kind", "receiver_kind"),
    [
        ("official", "official"),
        ("volans", "official"),
        ("official", "volans"),
        ("volans", "volans"),
    ],
)
def test_driver_to_driver(
    sender_kind: str,
    receiver_kind: str,
    lossy_drivers: tuple[float, Callable[[str, str], Path]],
    need: Callable[..., None],
    workers: Workers,
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """Two drivers on two directories, UDP between them, with loss in both directions."""
    need(sender_kind, receiver_kind)
    rate, directory_of = lossy_drivers
    sender = directory_of(sender_kind, "sender")
    receiver = directory_of(receiver_kind, "receiver")
    stream_id = fresh_stream()
    transfer(
        workers,
        workers.get("official", sender, "publisher"),
        workers.get("official", receiver, "subscriber"),
        f"aeron:udp?endpoint=127.0.0.1:{free_port()}",
        stream_id,
        [32, 1000, MTU_BYTES - 32, 100_000],
        120,
    )
    if rate:
        # Without this, a loss that is not injected would pass for a loss that is repaired.
        assert peer_counters.system_counters(receiver)[peer_counters.NAK_MESSAGES_SENT] > 0
