"""Hostile datagrams through real sockets against a running driver, beside streams that go on."""

from __future__ import annotations

import socket
import struct

import pytest
from bad_input import driver_fixture, error_texts, free_port, hostile, stream_id
from client_driver import await_that, collect

import volans
from volans.protocol.counter_types import CounterType, SystemCounter

__all__ = ["stream_id"]

DATAGRAMS = 6000
SESSION_LIMIT = 12


driver = driver_fixture(AERON_DRIVER_STREAM_SESSION_LIMIT=str(SESSION_LIMIT))


def send_slowly(destinations: list[tuple[str, int]], datagrams, between) -> None:
    """Send in bursts a socket buffer can hold; `between` is called after each."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        for count, datagram in enumerate(datagrams):
            try:
                attacker.sendto(datagram, destinations[count % len(destinations)])
            except OSError:
                continue  # an ICMP answer to an earlier one
            if count % 64 == 63:
                between()


def sender_port(client: volans.Client) -> int:
    """Where the driver's publications get their status messages."""
    for counter in client.counters:
        if counter.type_id == CounterType.LOCAL_SOCKADDR and "snd-local" in counter.label:
            return int(counter.label.rsplit(":", 1)[1])
    raise AssertionError("no sender's address among the counters")


def test_valid_streams_go_on_beside_garbage(driver, stream_id):
    data_port = free_port()
    channel = f"aeron:udp?endpoint=127.0.0.1:{data_port}"
    with volans.connect(driver.directory) as client:
        subscription = client.add_subscription(channel, stream_id)
        publication = client.add_publication(channel, stream_id)
        await_that(lambda: publication.is_connected and subscription.images)
        good_session = publication.session_id
        hostile_session = good_session + 1
        invalid_before = client.counters.value(SystemCounter.INVALID_PACKETS)
        attacker = hostile.HostileSender(
            stream_id,
            sessions=(hostile_session, 0, -1),
            streams=(stream_id, stream_id, stream_id + 500),
            term_ids=(7, 7, 8),
            flood_sessions=50,
        )
        sent, got = 0, []

        def go_on() -> None:
            nonlocal sent
            if publication.offer(struct.pack("<q", sent)):
                sent += 1
            for image in subscription.images:
                if image.session_id == good_session:
                    image.poll(lambda buffer, _header: got.append(bytes(buffer)))

        send_slowly(
            [("127.0.0.1", data_port), ("127.0.0.1", sender_port(client))],
            (attacker.datagram() for _ in range(DATAGRAMS)),
            go_on,
        )
        publication.publish(b"the end", timeout=10)

        def ended() -> bool:
            go_on_polling = next(i for i in subscription.images if i.session_id == good_session)
            go_on_polling.poll(lambda buffer, _header: got.append(bytes(buffer)))
            return bool(got) and got[-1] == b"the end"

        await_that(ended)
        assert got[:-1] == [struct.pack("<q", number) for number in range(sent)]
        assert sent > 20
        assert client.counters.value(SystemCounter.INVALID_PACKETS) - invalid_before > 100
        assert driver.process.poll() is None


def test_a_flood_of_sessions_stops_at_the_limit(driver, stream_id):
    port = free_port()
    channel = f"aeron:udp?endpoint=127.0.0.1:{port}"
    with volans.connect(driver.directory) as client:
        subscription = client.add_subscription(channel, stream_id)
        most = 0

        def watch() -> None:
            nonlocal most
            most = max(most, len(subscription.images))

        send_slowly(
            [("127.0.0.1", port)],
            (hostile.setup(session, stream_id, 7) for session in range(1000, 2500)),
            watch,
        )
        await_that(lambda: len(subscription.images) >= SESSION_LIMIT)
        watch()
        assert most == SESSION_LIMIT
        texts = error_texts(driver.directory)
        assert sum("stream.session.limit" in text for text in texts) == 1
        # The sources were silent since: they go, and a real publication gets its place.
        await_that(lambda: not subscription.images)
        publication = client.add_publication(channel, stream_id)
        publication.publish(b"welcome", timeout=20)
        assert collect(subscription, 1) == [b"welcome"]


@pytest.mark.parametrize("flags", [0xE0, 0xF0], ids=["end of stream", "revoked"])
def test_a_spoofed_end_ends_one_image_and_the_publication_comes_back(driver, stream_id, flags):
    """UDP proves no sender; what a forged end does must stay what a real one does."""
    port = free_port()
    channel = f"aeron:udp?endpoint=127.0.0.1:{port}"
    with volans.connect(driver.directory) as client:
        gone = []
        subscription = client.add_subscription(
            channel, stream_id, on_unavailable_image=lambda image: gone.append(image.session_id)
        )
        publications = [client.add_exclusive_publication(channel, stream_id) for _ in range(2)]
        await_that(lambda: len(subscription.images) == 2)
        victim, other = publications
        heartbeat = hostile.heartbeat(
            victim.session_id, stream_id, victim.initial_term_id, 0, flags
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.sendto(heartbeat, ("127.0.0.1", port))
        await_that(lambda: gone == [victim.session_id])
        other.publish(b"unharmed", timeout=10)
        assert collect(subscription, 1) == [b"unharmed"]
        await_that(lambda: len(subscription.images) == 2)
        victim.publish(b"back", timeout=10)
        assert collect(subscription, 1) == [b"back"]
