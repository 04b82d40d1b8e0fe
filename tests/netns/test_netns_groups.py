"""One publication, receivers on two other hosts: multicast, and several destinations."""

from __future__ import annotations

import kit
import pytest

from volans.protocol.counter_types import SystemCounter

STREAM = 3101
KINDS = [
    ("volans", "volans", "volans"),
    ("volans", "official", "volans"),
    ("official", "volans", "volans"),
]
MESSAGES = [kit.message(i, 100 if i % 10 else 5000) for i in range(200)]


@pytest.fixture(scope="module")
def lan():
    if kit.missing():
        pytest.skip(kit.missing())
    with kit.Lan(3, subnet_count=2) as made:
        yield made


def lose_on(hosts: list[kit.Host], percent: int) -> None:
    for host in hosts:
        host.lose(percent)


def heal(hosts: list[kit.Host]) -> None:
    for host in hosts:
        host.heal()


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("loss_percent", [0, 10])
def test_multicast_reaches_every_member(lan, kinds, loss_percent, official_peer):
    """Both receivers get all, through loss on every host, with flow control by the slowest."""
    channel = "aeron:udp?endpoint=224.20.30.39:40456|interface=10.77.0.0/24|fc=min,g:/2"
    with kit.parties(lan, kinds) as (source, *sinks):
        readers = [kit.Reader(sink, channel, STREAM) for sink in sinks]
        publication = source.client.add_exclusive_publication(channel, STREAM)
        kit.connect(publication, readers)
        try:
            if loss_percent:
                lose_on(lan.hosts, loss_percent)
            kit.send(publication, readers, MESSAGES)
        finally:
            heal(lan.hosts)
        if loss_percent:
            assert all(sink.system_counter(SystemCounter.NAK_MESSAGES_SENT) for sink in sinks)
            # One retransmit serves a group: far fewer than datagrams were lost.
            assert source.system_counter(SystemCounter.RETRANSMITS_SENT) > 0


def test_multicast_stays_on_its_interface(lan):
    """A member on the other subnet hears nothing."""
    group = "aeron:udp?endpoint=224.20.30.41:40457"
    with kit.parties(lan, ("volans", "volans", "volans")) as (source, here, elsewhere):
        publication = source.client.add_exclusive_publication(
            f"{group}|interface=10.77.1.0/24", STREAM
        )
        reader = kit.Reader(here, f"{group}|interface=10.77.1.0/24", STREAM)
        stranger = kit.Reader(elsewhere, f"{group}|interface=10.77.0.0/24", STREAM)
        kit.connect(publication, [reader])
        kit.send(publication, [reader], MESSAGES)
        assert stranger.available_count == 0


def test_a_member_that_is_cut_off_does_not_hold_the_others_for_ever(lan):
    """With `fc=min` and a receiver time-out the group goes on without it; then it comes back."""
    channel = "aeron:udp?endpoint=224.20.30.43:40458|interface=10.77.0.0/24|fc=min,t:300ms"
    with kit.parties(lan, ("volans", "volans", "volans")) as (source, one, other):
        readers = [kit.Reader(sink, channel, STREAM) for sink in (one, other)]
        publication = source.client.add_exclusive_publication(channel, STREAM)
        kit.connect(publication, readers)
        kit.send(publication, readers, MESSAGES)
        try:
            other.host.cut_from(source.host)
            source.host.cut_from(other.host)
            kit.send(publication, readers[:1], MESSAGES * 3)
            kit.await_that(lambda: readers[1].unavailable_count == 1, "the image goes")
        finally:
            heal(lan.hosts)
        kit.await_that(lambda: readers[1].subscription.images, "the image comes back")
        kit.send(publication, readers, MESSAGES)


@pytest.mark.parametrize("kinds", KINDS)
def test_dynamic_destinations_join_and_leave(lan, kinds, official_peer):
    """Receivers tell the publication where they are."""
    with kit.parties(lan, kinds) as (source, *sinks):
        control = f"{source.host.address}:40500"
        publication = source.client.add_exclusive_publication(
            f"aeron:udp?control={control}|control-mode=dynamic|fc=max", STREAM
        )
        readers = [
            kit.Reader(
                sink,
                f"aeron:udp?endpoint={sink.host.address}:40501|control={control}"
                "|control-mode=dynamic|group=true",
                STREAM,
            )
            for sink in sinks
        ]
        kit.connect(publication, readers)
        try:
            lose_on([sink.host for sink in sinks], 5)
            kit.send(publication, readers, MESSAGES)
        finally:
            heal(lan.hosts)
        readers[0].subscription.close()
        kit.send(publication, readers[1:], MESSAGES)


@pytest.mark.parametrize("kinds", KINDS)
def test_manual_destinations(lan, kinds, official_peer):
    """The publisher names its receivers, and takes one back."""
    with kit.parties(lan, kinds) as (source, *sinks):
        channels = [f"aeron:udp?endpoint={sink.host.address}:40600" for sink in sinks]
        readers = [
            kit.Reader(sink, f"{channel}|group=true", STREAM)
            for sink, channel in zip(sinks, channels, strict=True)
        ]
        publication = source.client.add_exclusive_publication(
            "aeron:udp?control-mode=manual|fc=max", STREAM
        )
        for channel in channels:
            publication.add_destination(channel)
        kit.connect(publication, readers)
        kit.send(publication, readers, MESSAGES)
        publication.remove_destination(channels[0])
        kit.await_that(lambda: readers[0].unavailable_count == 1, "the image goes")
        kit.send(publication, readers[1:], MESSAGES)


@pytest.mark.parametrize("kinds", KINDS[:2])
def test_one_subscription_hears_one_stream_on_two_ways(lan, kinds, official_peer):
    """Two receive destinations on two subnets: what one way loses comes by the other."""
    with kit.parties(lan, kinds[:2]) as (source, sink):
        ways = [f"aeron:udp?endpoint={address}:40700" for address in sink.host.addresses]
        reader = kit.Reader(sink, "aeron:udp?control-mode=manual", STREAM)
        for way in ways:
            reader.subscription.add_destination(way)
        publication = source.client.add_exclusive_publication(
            "aeron:udp?control-mode=manual|fc=max", STREAM
        )
        for way in ways:
            publication.add_destination(way)
        kit.connect(publication, [reader])
        try:
            # Half of all datagrams that come over the first subnet, everything later on.
            sink.host.drop("iifname eth0 meta l4proto udp numgen random mod 100 < 50")
            kit.send(publication, [reader], MESSAGES)
            assert sink.host.dropped_count() > 0
            sink.host.drop("iifname eth0 meta l4proto udp")
            kit.send(publication, [reader], MESSAGES)
        finally:
            sink.host.heal()
        assert (reader.available_count, reader.unavailable_count) == (1, 0)
