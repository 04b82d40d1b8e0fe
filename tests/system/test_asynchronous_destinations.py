"""Destinations asked for without waiting: what `async_...` promises, `is_done` tells."""

from __future__ import annotations

import socket

import pytest
from client_driver import await_that, client, collect, driver, errors, stream_id

import volans

__all__ = ["client", "driver", "errors", "stream_id"]


def endpoint() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"aeron:udp?endpoint=127.0.0.1:{probe.getsockname()[1]}"


def done(client: volans.Client, registration_id: int) -> None:
    await_that(lambda: client.is_done(registration_id))


def test_destinations_of_a_publication_come_and_go(client, stream_id):
    here, there = endpoint(), endpoint()
    publication = client.add_publication("aeron:udp?control-mode=manual", stream_id)
    one = client.add_subscription(here, stream_id)
    other = client.add_subscription(there, stream_id)
    number = client.async_add_destination(publication, here)
    done(client, number)
    publication.publish(b"here", timeout=20)
    assert collect(one, 1) == [b"here"]
    done(client, client.async_remove_destination(publication, number))
    done(client, client.async_add_destination(publication, there))
    await_that(lambda: other.images)
    publication.publish(b"there", timeout=20)
    assert collect(other, 1) == [b"there"]
    assert not one.poll(lambda _buffer, _header: None)
    done(client, client.async_remove_destination(publication, there))


def test_destinations_of_a_subscription_come_and_go(client, stream_id):
    channel = endpoint()
    subscription = client.add_subscription("aeron:udp?control-mode=manual", stream_id)
    publication = client.add_publication(channel, stream_id)
    done(client, client.async_add_receive_destination(subscription, channel))
    publication.publish(b"here", timeout=20)
    assert collect(subscription, 1) == [b"here"]
    assert subscription.local_socket_addresses == [channel.partition("=")[2]]
    done(client, client.async_remove_receive_destination(subscription, channel))
    await_that(lambda: not subscription.local_socket_addresses)


def test_a_refused_destination_is_told_by_is_done(client, stream_id):
    publication = client.add_publication("aeron:udp?control-mode=manual", stream_id)
    refused = client.async_add_destination(publication, "aeron:udp?endpoint=bad")

    with pytest.raises(volans.RegistrationError, match="bad"):
        done(client, refused)
