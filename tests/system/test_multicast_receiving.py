"""Groups as receivers see them, against a running driver."""

from __future__ import annotations

import socket

import pytest
from client_driver import await_that, client, collect, driver, errors, stream_id

from volans.protocol.counter_types import SystemCounter

__all__ = ["client", "driver", "errors", "stream_id"]

GROUP = "224.20.30.47"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(("receiver_ttl", "count"), [(2, 0), (1, 1)])
def test_a_sender_that_reaches_further_than_its_receiver_is_counted(
    client, stream_id, receiver_ttl, count
):
    channel = f"aeron:udp?endpoint={GROUP}:{free_port()}|interface=127.0.0.1"
    before = client.counters.value(SystemCounter.POSSIBLE_TTL_ASYMMETRY)
    subscription = client.add_subscription(f"{channel}|ttl={receiver_ttl}", stream_id)
    publication = client.add_exclusive_publication(f"{channel}|ttl=2", stream_id)
    await_that(lambda: subscription.is_connected and publication.is_connected)
    assert client.counters.value(SystemCounter.POSSIBLE_TTL_ASYMMETRY) == before + count


def test_a_group_is_one_of_several_destinations(client, stream_id):
    """A multi-destination subscription hears a group beside a port of its own."""
    group = f"aeron:udp?endpoint={GROUP}:{free_port()}|interface=127.0.0.1|ttl=0"
    port = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    subscription = client.add_subscription("aeron:udp?control-mode=manual", stream_id)
    for channel in (group, port):
        subscription.add_destination(channel)
    publications = [
        client.add_exclusive_publication(channel, stream_id) for channel in (group, port)
    ]
    await_that(lambda: len(subscription.images) == 2)
    for number, publication in enumerate(publications):
        publication.publish(bytes([number]) * 3000, timeout=20)
    assert sorted(collect(subscription, 2)) == [bytes([0]) * 3000, bytes([1]) * 3000]
    subscription.remove_destination(group)
    await_that(lambda: len(subscription.local_socket_addresses) == 1)
    publications[1].publish(b"on", timeout=20)
    assert collect(subscription, 1) == [b"on"]


def test_subscriptions_of_one_group_share_its_socket(client, stream_id):
    channel = f"aeron:udp?endpoint={GROUP}:{free_port()}|interface=127.0.0.1|ttl=0"
    subscriptions = [client.add_subscription(channel, stream_id) for _ in range(2)]
    assert subscriptions[0].channel_status_id == subscriptions[1].channel_status_id
    publication = client.add_exclusive_publication(channel, stream_id)
    await_that(lambda: all(each.is_connected for each in subscriptions))
    publication.publish(b"to both", timeout=20)
    for each in subscriptions:
        assert collect(each, 1) == [b"to both"]
