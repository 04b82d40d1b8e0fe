"""UDP channels resolved: addresses, canonical form and what official drivers refuse."""

from __future__ import annotations

import socket

import pytest

from volans.driver.naming.address import SocketAddress
from volans.driver.naming.interfaces import InterfaceAddress
from volans.driver.naming.resolve import DefaultResolver
from volans.driver.udp_channel import UdpChannel
from volans.protocol.channel_uri import ChannelUri, InvalidChannelError
from volans.protocol.error_codes import ErrorCode

LOOPBACK = SocketAddress(socket.AF_INET, "127.0.0.1", 0)
RESOLVER = DefaultResolver(
    lambda host, family: LOOPBACK if (host, family) == ("localhost", socket.AF_INET) else None,
    lambda: [
        InterfaceAddress("lo", 1, LOOPBACK, 8, True, True, False),
        InterfaceAddress("eth0", 2, SocketAddress(socket.AF_INET, "10.1.2.3", 0), 16),
    ],
)


def channel(parameters: str, **options: object) -> UdpChannel:
    uri = ChannelUri.parse(f"aeron:udp?{parameters}")
    return UdpChannel.from_uri(uri, RESOLVER, next_unique=lambda: 5, **options)


def addresses(of: UdpChannel) -> tuple[str, str, str, str]:
    return (
        str(of.remote_data),
        str(of.local_data),
        str(of.remote_control),
        str(of.local_control),
    )


def test_unicast() -> None:
    it = channel("endpoint=localhost:40123|so-sndbuf=1m|so-rcvbuf=2m|rcv-wnd=64k|ttl=9|tags=3")
    assert addresses(it) == ("127.0.0.1:40123", "0.0.0.0:0", "127.0.0.1:40123", "0.0.0.0:0")
    assert it.canonical_form == "UDP-0.0.0.0:0-localhost:40123"
    assert it.has_explicit_endpoint
    assert not it.has_explicit_control
    assert not it.is_multicast
    assert not it.has_group_semantics
    assert it.multicast_ttl == 0
    assert it.tag == 3
    assert (it.socket_sndbuf_length, it.socket_rcvbuf_length) == (1 << 20, 2 << 20)
    assert it.receiver_window_length == 65536
    assert it == channel("endpoint=localhost:40123|mtu=8k")
    assert hash(it) == hash(channel("endpoint=localhost:40123"))
    assert it != channel("endpoint=127.0.0.1:40123")


def test_multicast_control_is_one_above() -> None:
    it = channel("endpoint=224.20.30.39:40456|interface=10.1.0.0/16|ttl=300")
    assert addresses(it) == (
        "224.20.30.39:40456",
        "10.1.2.3:0",
        "224.20.30.40:40456",
        "10.1.2.3:0",
    )
    assert it.canonical_form == "UDP-10.1.2.3:0-224.20.30.39:40456"
    assert it.is_multicast
    assert it.has_group_semantics
    assert it.multicast_ttl == 255
    assert it.interface_index == 2


def test_explicit_control_is_the_local_address() -> None:
    it = channel("control=localhost:40124|control-mode=dynamic")
    assert addresses(it) == ("0.0.0.0:0", "127.0.0.1:40124", "0.0.0.0:0", "127.0.0.1:40124")
    assert it.canonical_form == "UDP-localhost:40124-0.0.0.0:0"
    assert it.has_explicit_control
    assert it.is_dynamic
    assert it.is_multi_destination
    both = channel("control=localhost:40124|endpoint=localhost:40123")
    assert both.canonical_form == "UDP-localhost:40124-localhost:40123"


@pytest.mark.parametrize(
    ("parameters", "canonical"),
    [
        ("control-mode=manual", "UDP-0.0.0.0:0-0.0.0.0:0-5"),
        ("control-mode=response|tags=7", "UDP-0.0.0.0:0-0.0.0.0:0#7"),
        ("endpoint=localhost:0", "UDP-0.0.0.0:0-localhost:0-5"),
        ("endpoint=localhost:0|tags=7,8", "UDP-0.0.0.0:0-localhost:0#7"),
        ("control=localhost:0|endpoint=localhost:1", "UDP-localhost:0-localhost:1-5"),
        ("endpoint=[::1]:1", "UDP-[::]:0-[::1]:1"),
        ("endpoint=localhost:1|interface={eth0}:4", "UDP-10.1.2.3:4-localhost:1"),
    ],
)
def test_canonical_forms(parameters: str, canonical: str) -> None:
    assert channel(parameters).canonical_form == canonical


def test_destinations_are_never_made_unique() -> None:
    it = channel("endpoint=localhost:0", is_destination=True)
    assert it.canonical_form == "UDP-0.0.0.0:0-localhost:0"


def test_unnumbered_channels_differ() -> None:
    one, other = (UdpChannel.from_uri("aeron:udp?control-mode=manual", RESOLVER) for _ in range(2))
    assert one != other


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("aeron:ipc", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp?control-mode=dynamic", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp?mtu=8k", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp?endpoint=nowhere:1", ErrorCode.UNKNOWN_HOST),
        ("aeron:udp?endpoint=localhost:1|control=nowhere:1", ErrorCode.UNKNOWN_HOST),
        ("aeron:udp?endpoint=localhost", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp?endpoint=224.20.30.38:1", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp?endpoint=localhost:1|interface=9.9.9.9", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp?endpoint=localhost:1|so-sndbuf=x", ErrorCode.INVALID_CHANNEL),
        ("aeron:udp?endpoint=localhost:1|tags=x", ErrorCode.INVALID_CHANNEL),
        (
            "aeron:udp?endpoint=localhost:1|media-rcv-ts-offset=0|channel-rcv-ts-offset=7",
            ErrorCode.INVALID_CHANNEL,
        ),
    ],
)
def test_refused_channels(text: str, code: ErrorCode) -> None:
    with pytest.raises(InvalidChannelError) as caught:
        UdpChannel.from_uri(text, RESOLVER)
    assert caught.value.error_code == code


def test_tags() -> None:
    existing = channel("endpoint=localhost:1|tags=7|control-mode=manual")
    assert channel("tags=7").matches_tag(existing)
    assert channel("tags=7|endpoint=localhost:1").matches_tag(existing)
    assert not channel("tags=8").matches_tag(existing)
    assert not channel("endpoint=localhost:1").matches_tag(existing)
    with pytest.raises(InvalidChannelError, match="tag 7"):
        channel("tags=7|endpoint=localhost:2").matches_tag(existing)
    with pytest.raises(InvalidChannelError, match="control-mode"):
        channel("tags=7|control-mode=response").matches_tag(existing)
