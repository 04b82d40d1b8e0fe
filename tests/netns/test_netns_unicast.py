"""Unicast between two hosts: loss, partition, interfaces, frame sizes, a driver that restarts."""

from __future__ import annotations

import kit
import pytest

import volans
from volans.protocol.counter_types import SystemCounter

PAIRS = [("volans", "volans"), ("volans", "official"), ("official", "volans")]
STREAM = 3001
IP_FRAGMENT = "ip frag-off & 0x3fff != 0"


def channel_to(party: kit.Party, port: int = 40456, subnet: int = 0) -> str:
    return f"aeron:udp?endpoint={party.host.addresses[subnet]}:{port}"


def stream(source: kit.Party, sink: kit.Party, channel: str, options: str = ""):
    """A connected publication and reader."""
    reader = kit.Reader(sink, channel, STREAM)
    publication = source.client.add_exclusive_publication(channel + options, STREAM)
    kit.connect(publication, [reader])
    return publication, reader


@pytest.fixture(scope="module")
def lan():
    if kit.missing():
        pytest.skip(kit.missing())
    with kit.Lan(2, subnet_count=2) as made:
        yield made


@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("loss_percent", [0, 15])
def test_both_ways(lan, kinds, loss_percent, official_peer):
    """Streams both ways at once, some messages fragmented, datagrams lost on either host."""
    messages = [kit.message(i, 120 if i % 10 else 20_000) for i in range(400)]
    with kit.parties(lan, kinds) as (left, right):
        there = stream(left, right, channel_to(right))
        back = stream(right, left, channel_to(left))
        try:
            for host in lan.hosts:
                if loss_percent:
                    host.lose(loss_percent)
            for publication, reader in (there, back):
                kit.send(publication, [reader], messages)
            if loss_percent:
                assert all(host.dropped_count() > 0 for host in lan.hosts)
                assert right.system_counter(SystemCounter.NAK_MESSAGES_SENT) > 0
                assert left.system_counter(SystemCounter.RETRANSMITS_SENT) > 0
        finally:
            for host in lan.hosts:
                host.heal()


@pytest.mark.parametrize("kinds", PAIRS)
def test_a_partition_ends_the_image_and_healing_brings_it_back(lan, kinds, official_peer):
    messages = [kit.message(i) for i in range(50)]
    with kit.parties(lan, kinds) as (left, right):
        publication, reader = stream(left, right, channel_to(right))
        kit.send(publication, [reader], messages)
        try:
            for host, other in (lan.hosts, reversed(lan.hosts)):
                host.cut_from(other)
            kit.await_that(lambda: reader.unavailable_count == 1, "the image goes")
            kit.await_that(lambda: not publication.is_connected, "the publication is alone")
        finally:
            for host in lan.hosts:
                host.heal()
        kit.await_that(lambda: reader.available_count == 2, "the image comes back")
        kit.connect(publication, [reader])
        kit.send(publication, [reader], messages)


def test_a_short_partition_costs_nothing_but_time(lan):
    messages = [kit.message(i) for i in range(300)]
    with kit.parties(lan, AERON_IMAGE_LIVENESS_TIMEOUT="20s") as (left, right):
        publication, reader = stream(left, right, channel_to(right))
        try:
            right.host.cut_from(left.host)
            for each in messages[:100]:
                kit.await_that(lambda each=each: publication.offer(each), "the window has room")
            kit.await_that(lambda: right.host.dropped_count() > 0, "a datagram is dropped")
        finally:
            right.host.heal()
        kit.send(publication, [reader], messages[100:], under_way=messages[:100])
        assert reader.messages == messages
        assert (reader.available_count, reader.unavailable_count) == (1, 0)


@pytest.mark.parametrize("kind", ["volans", "official"])
def test_the_interface_decides_which_way_datagrams_go(lan, kind, official_peer):
    """A subscription on one subnet's interface hears that subnet only."""
    with kit.parties(lan, (kind, "volans")) as (left, right):
        for subnet in (0, 1):
            port = 40500 + subnet
            here = f"interface=10.77.{subnet}.0/24"
            channel = channel_to(right, port, subnet)
            reader = kit.Reader(right, f"{channel}|{here}", STREAM + subnet)
            publication = left.client.add_exclusive_publication(
                f"{channel}|{here}", STREAM + subnet
            )
            kit.connect(publication, [reader])
            other = 1 - subnet
            right.host.drop(f"iifname eth{other} meta l4proto udp")
            kit.send(publication, [reader], [kit.message(i) for i in range(20)])
            assert right.host.dropped_count() == 0
            right.host.heal()
            (image,) = reader.subscription.images
            assert image.source_identity.startswith(f"10.77.{subnet}.1:")


def test_an_interface_that_is_not_there_is_refused(lan):
    channel = "aeron:udp?endpoint=10.77.0.2:40456|interface=10.99.0.0/24"
    with (
        kit.parties(lan, ("volans",)) as (left,),
        pytest.raises(volans.RegistrationError, match=r"10\.99\.0\.0"),
    ):
        left.client.add_publication(channel, STREAM)


@pytest.mark.parametrize("mtu", [1500, 9000])
@pytest.mark.parametrize("kinds", PAIRS)
def test_the_longest_frames_of_an_interface(mtu, kinds, official_peer):
    """Datagrams that fill the interface's MTU: none is fragmented by IP, none is lost."""
    payload = (mtu - 28) // 32 * 32
    # One term holds all: the padding at a term's end may lie beyond the window, and is asked again.
    options = f"|mtu={payload}|term-length=4m"
    messages = [kit.message(i, 30_000) for i in range(30)]
    with kit.Lan(2, mtu=mtu) as lan, kit.parties(lan, kinds) as (left, right):
        right.host.drop(IP_FRAGMENT)
        publication, reader = stream(left, right, channel_to(right), options)
        kit.send(publication, [reader], messages)
        assert right.host.dropped_count() == 0
        assert right.system_counter(SystemCounter.NAK_MESSAGES_SENT) == 0


def test_datagrams_beyond_an_interface_are_fragmented_by_ip(lan):
    """The proof that the test before can fail."""
    with kit.parties(lan) as (left, right):
        publication, _reader = stream(left, right, channel_to(right), "|mtu=4096")
        right.host.drop(IP_FRAGMENT)
        try:
            kit.await_that(lambda: publication.offer(kit.message(1, 8000)), "the window has room")
            kit.await_that(lambda: right.host.dropped_count() > 0, "a fragment is dropped")
        finally:
            right.host.heal()


@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("side", ["publisher", "subscriber"])
def test_one_driver_restarts(lan, kinds, side, official_peer):
    messages = [kit.message(i) for i in range(40)]
    with kit.parties(lan, kinds) as (left, right):
        channel = channel_to(right)
        publication, reader = stream(left, right, channel)
        kit.send(publication, [reader], messages)
        if side == "publisher":
            left.restart()
            publication = left.client.add_exclusive_publication(channel, STREAM)
            kit.await_that(lambda: reader.available_count == 2, "an image of the new publication")
            kit.await_that(lambda: reader.unavailable_count == 1, "the old image goes")
        else:
            right.restart()
            kit.await_that(lambda: not publication.is_connected, "the publication is alone")
            reader = kit.Reader(right, channel, STREAM)
        kit.connect(publication, [reader])
        kit.send(publication, [reader], messages)
