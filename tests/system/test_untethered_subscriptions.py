"""Untethered subscriptions against a running driver: IPC, spies and images."""

from __future__ import annotations

import pytest
from client_driver import await_that, client, driver, errors, stream_id, udp_channel

import volans

__all__ = ["client", "driver", "errors", "stream_id", "udp_channel"]

TIMEOUTS = (
    "untethered-window-limit-timeout=200ms"
    "|untethered-linger-timeout=200ms"
    "|untethered-resting-timeout=200ms"
)
MESSAGE = bytes(1000)
SUBSCRIBER_POSITION = 4


def channels(kind: str, udp_channel: str, rejoin: str) -> tuple[str, str, str]:
    """Of the publication, the tethered subscription and the other one."""
    untethered = f"tether=false|rejoin={rejoin}"
    if kind == "ipc":
        return f"aeron:ipc?{TIMEOUTS}", "aeron:ipc", f"aeron:ipc?{untethered}"
    publication = f"{udp_channel}|{TIMEOUTS}"
    if kind == "spy":
        return publication, udp_channel, f"aeron-spy:{udp_channel}|{untethered}"
    # Subscriptions of one endpoint and stream have to agree on rejoin.
    return publication, f"{publication}|rejoin={rejoin}", f"{publication}|{untethered}"


class Lagging:
    """A publication, somebody who reads it, and somebody who does not."""

    def __init__(self, client: volans.Client, channels: tuple[str, str, str], stream_id: int):
        publication, fast, slow = channels
        self.lost: list[volans.Image] = []
        self.found: list[volans.Image] = []
        self.publication = client.add_exclusive_publication(publication, stream_id)
        self.fast = client.add_subscription(fast, stream_id)
        await_that(lambda: self.fast.image_count)
        self.slow = client.add_subscription(
            slow,
            stream_id,
            on_available_image=self.found.append,
            on_unavailable_image=self.lost.append,
        )
        await_that(lambda: self.slow.image_count)
        await_that(lambda: self.publication.is_connected)

    def move(self) -> None:
        """The publisher publishes what it may, the reader reads."""
        self.publication.offer(MESSAGE)
        self.fast.poll(lambda _buffer, _header: None)


@pytest.mark.parametrize("kind", ["ipc", "spy", "image"])
def test_one_that_lags_is_let_go_and_comes_back(client, stream_id, udp_channel, kind):
    lagging = Lagging(client, channels(kind, udp_channel, "true"), stream_id)
    first_image = lagging.found[0]
    stopped_at = first_image.position

    def until(condition) -> None:
        def step():
            lagging.move()
            return condition()

        await_that(step)

    until(lambda: lagging.lost)
    assert lagging.lost == [first_image]
    assert lagging.slow.image_count == 0
    # Nobody holds the publisher back any more.
    until(lambda: lagging.publication.position > stopped_at + (512 << 10))
    until(lambda: lagging.slow.image_count)
    image = lagging.slow.images[0]
    assert image.session_id == first_image.session_id
    assert image.join_position > stopped_at
    got: list[int] = []

    def read() -> bool:
        lagging.move()
        lagging.slow.poll(lambda _buffer, header: got.append(header.position))
        return len(got) >= 3

    await_that(read)
    assert got[0] > image.join_position
    assert lagging.fast.image_count == 1


@pytest.mark.parametrize("kind", ["ipc", "spy", "image"])
def test_one_that_may_not_rejoin_is_let_go_for_good(client, stream_id, udp_channel, kind):
    sides = channels(kind, udp_channel, "false")
    lagging = Lagging(client, sides, stream_id)

    def position_counters() -> int:
        return sum(
            1
            for counter in client.counters
            if counter.type_id == SUBSCRIBER_POSITION
            and counter.registration_id == lagging.slow.registration_id
        )

    assert position_counters() == 1

    def step() -> bool:
        lagging.move()
        return bool(lagging.lost) and position_counters() == 0

    await_that(step)
    assert lagging.slow.image_count == 0
    lagging.slow.close()
    # The driver frees no counter twice: whoever got the next one keeps it.
    counter = client.add_counter(1001, "kept")
    again = client.add_subscription(sides[1], stream_id)
    await_that(lambda: again.image_count)
    assert not counter.is_closed
