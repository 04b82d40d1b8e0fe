"""Flow control of multicast groups against running drivers: who is needed, who is counted."""

from __future__ import annotations

import os
import socket

import pytest
from client_driver import await_that, client, driver, errors, start_driver, stream_id

import volans
from volans.errors import RegistrationError
from volans.protocol.counter_types import CounterType, describe

__all__ = ["client", "driver", "errors", "stream_id"]


@pytest.fixture
def group() -> str:
    """A multicast channel over loopback, on a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"aeron:udp?endpoint=224.20.30.39:{port}|interface=127.0.0.1"


@pytest.fixture(scope="module")
def other_driver():
    """A second machine, as far as a publication can tell."""
    with start_driver() as running:
        yield running


@pytest.fixture
def other_client(other_driver, errors):
    with volans.connect(other_driver.directory, error_handler=errors.append) as connected:
        yield connected


def receivers_counter(client: volans.Client, registration_id: int):
    for counter in client.counters:
        if (
            counter.type_id == CounterType.FLOW_CONTROL_RECEIVERS
            and describe(counter.type_id, counter.key)["registration_id"] == registration_id
        ):
            return counter
    return None


def test_min_waits_for_its_group_and_names_it(client, other_client, group, stream_id):
    channel = f"{group}|fc=min,g:/2,t:1s"
    publication = client.add_exclusive_publication(channel, stream_id)
    first = client.add_subscription(group, stream_id)
    counter = receivers_counter(client, publication.registration_id)
    assert counter.label == (
        f"fc-receivers: {publication.registration_id} {publication.session_id} {stream_id} "
        f"{channel}"
    )
    await_that(lambda: first.image_count)
    await_that(lambda: client.counters.value(counter.id) == 1)
    assert not publication.is_connected
    second = other_client.add_subscription(group, stream_id)
    await_that(lambda: publication.is_connected)
    assert client.counters.value(counter.id) == 2
    await_that(lambda: publication.offer(b"to both"))
    for subscription in (first, second):
        got: list[bytes] = []
        await_that(
            lambda s=subscription, g=got: s.poll(lambda buffer, _header: g.append(bytes(buffer)))
        )
        assert got == [b"to both"]
    second.close()
    # Its last status messages say that it ends: nobody waits for the time-out.
    await_that(lambda: not publication.is_connected)
    assert client.counters.value(counter.id) == 1
    publication.close()
    await_that(lambda: receivers_counter(client, publication.registration_id) is None)


def test_tagged_needs_receivers_with_its_tag(client, other_client, group, stream_id):
    publication = client.add_exclusive_publication(f"{group}|fc=tagged,g:-7/1", stream_id)
    stranger = client.add_subscription(group, stream_id)
    await_that(lambda: stranger.image_count)
    counter = receivers_counter(client, publication.registration_id)
    assert client.counters.value(counter.id) == 0
    assert not publication.is_connected
    member = other_client.add_subscription(f"{group}|gtag=-7", stream_id)
    await_that(lambda: publication.is_connected)
    assert client.counters.value(counter.id) == 1
    await_that(lambda: member.image_count)


def test_several_destinations_are_a_group_too(client, other_client, group, stream_id):
    control = group.split("|")[0].replace("aeron:udp?endpoint=224.20.30.39", "control=127.0.0.1")
    publication = client.add_exclusive_publication(
        f"aeron:udp?control-mode=dynamic|{control}|fc=min,g:/2", stream_id
    )
    first = client.add_subscription(f"aeron:udp?endpoint=127.0.0.1:0|{control}", stream_id)
    await_that(lambda: first.image_count)
    assert not publication.is_connected
    second = other_client.add_subscription(f"aeron:udp?endpoint=127.0.0.1:0|{control}", stream_id)
    await_that(lambda: publication.is_connected)
    counter = receivers_counter(client, publication.registration_id)
    assert client.counters.value(counter.id) == 2
    second.close()
    await_that(lambda: not publication.is_connected)


@pytest.mark.parametrize("text", ["fastest", "max,g:/2", "min,t:soon", "tagged,g:1x"])
def test_bad_text_is_refused(client, group, stream_id, text):
    with pytest.raises(RegistrationError, match=r"(?i)fc=|flow control"):
        client.add_publication(f"{group}|fc={text}", stream_id)


def test_plain_unicast_ignores_it(client, stream_id):
    publication = client.add_publication("aeron:udp?endpoint=127.0.0.1:40123|fc=min", stream_id)
    assert receivers_counter(client, publication.registration_id) is None


def test_cubic_has_its_counters_and_carries_messages(client, stream_id):
    channel = "aeron:udp?endpoint=127.0.0.1:40125"
    subscription = client.add_subscription(f"{channel}|cc=cubic", stream_id)
    publication = client.add_exclusive_publication(channel, stream_id)
    await_that(lambda: publication.is_connected and subscription.image_count)
    labels = {
        counter.label.split(":")[0]: counter.id
        for counter in client.counters
        if counter.type_id == CounterType.PER_IMAGE
    }
    assert set(labels) == {"rcv-cc-cubic-rtt", "rcv-cc-cubic-wnd"}
    got = 0

    def step() -> bool:
        nonlocal got
        publication.offer(bytes(1000))
        got += subscription.poll(lambda _buffer, _header: None)
        return got > 300

    await_that(step)
    assert client.counters.value(labels["rcv-cc-cubic-wnd"]) % 1408 == 0
    assert client.counters.value(labels["rcv-cc-cubic-wnd"]) > 10 * 1408


@pytest.mark.skipif(
    os.environ.get("VOLANS_TEST_DRIVER") == "official",
    reason="the official driver refuses the name when the first image comes",
)
def test_unknown_congestion_control_is_refused(client, stream_id):
    with pytest.raises(RegistrationError, match="cc='bbr', allowed: static or cubic"):
        client.add_subscription("aeron:udp?endpoint=127.0.0.1:40127|cc=bbr", stream_id)
