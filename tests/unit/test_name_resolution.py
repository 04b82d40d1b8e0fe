"""Names and interfaces to addresses, with look-ups that are made up."""

from __future__ import annotations

import socket
import struct

import pytest

from volans.driver.naming.address import SocketAddress, wildcard
from volans.driver.naming.interfaces import InterfaceAddress, system_interfaces
from volans.driver.naming.resolve import DefaultResolver, UnknownHostError
from volans.protocol.channel_uri import InvalidChannelError
from volans.protocol.error_codes import ErrorCode

INTERFACES = [
    InterfaceAddress("lo", 1, SocketAddress(socket.AF_INET, "127.0.0.1", 0), 8, True, True, False),
    InterfaceAddress("eth0", 2, SocketAddress(socket.AF_INET, "10.1.2.3", 0), 16),
    InterfaceAddress("eth1", 3, SocketAddress(socket.AF_INET, "10.1.9.3", 0), 24),
    InterfaceAddress("eth2", 4, SocketAddress(socket.AF_INET, "192.168.0.1", 0), 24, False),
    InterfaceAddress("eth1", 3, SocketAddress(socket.AF_INET6, "fd00::1", 0), 64),
]
NAMES = {
    ("both", socket.AF_INET): SocketAddress(socket.AF_INET, "10.0.0.1", 0),
    ("both", socket.AF_INET6): SocketAddress(socket.AF_INET6, "fd00::9", 0),
    ("six", socket.AF_INET6): SocketAddress(socket.AF_INET6, "fd00::6", 0),
}
RESOLVER = DefaultResolver(lambda host, family: NAMES.get((host, family)), lambda: INTERFACES)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("127.0.0.1:40123", "127.0.0.1:40123"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("[::1]:40123", "[::1]:40123"),
        ("[fe80::1%eth0]:5", "[fe80::1]:5"),
        ("[0:0:0:0:0:0:0:1]:5", "[::1]:5"),
        ("both:7", "10.0.0.1:7"),
        ("six:7", "[fd00::6]:7"),
        ("224.1.1.1:9", "224.1.1.1:9"),
    ],
)
def test_hosts_and_ports(name: str, shown: str) -> None:
    assert str(RESOLVER.resolve(name)) == shown


@pytest.mark.parametrize(
    "name", ["", "host", "host:", ":5", "a:65536", "a:-1", "a:b", "a:1:2", "[::1]", "[::1", "[]:4"]
)
def test_bad_addresses(name: str) -> None:
    with pytest.raises(InvalidChannelError) as caught:
        RESOLVER.resolve(name, "control")
    assert caught.value.parameter == "control"
    assert caught.value.error_code == ErrorCode.INVALID_CHANNEL


@pytest.mark.parametrize("name", ["nowhere:1", "300.1.1.1:1", "[nowhere]:1", "127.0.0.1.:1"])
def test_unknown_hosts(name: str) -> None:
    with pytest.raises(UnknownHostError) as caught:
        RESOLVER.resolve(name)
    assert caught.value.error_code == ErrorCode.UNKNOWN_HOST
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("text", "family", "expected"),
    [
        (None, socket.AF_INET, ("0.0.0.0:0", 0)),
        (None, socket.AF_INET6, ("[::]:0", 0)),
        ("0.0.0.0", socket.AF_INET, ("0.0.0.0:0", 0)),
        ("127.0.0.1", socket.AF_INET, ("127.0.0.1:0", 1)),
        ("127.0.0.9/24", socket.AF_INET, ("127.0.0.1:0", 1)),
        ("10.1.0.0/16", socket.AF_INET, ("10.1.9.3:0", 3)),
        ("10.1.2.0/24:99", socket.AF_INET, ("10.1.2.3:99", 2)),
        ("10.1.2.3:99", socket.AF_INET, ("10.1.2.3:99", 2)),
        ("[fd00::]/8", socket.AF_INET6, ("[fd00::1]:0", 3)),
        ("{eth1}", socket.AF_INET, ("10.1.9.3:0", 3)),
        ("{eth1}:5", socket.AF_INET6, ("[fd00::1]:5", 3)),
    ],
)
def test_interfaces(text: str | None, family: int, expected: tuple[str, int]) -> None:
    address, index = RESOLVER.resolve_interface(text, family)
    assert (str(address), index) == expected


def test_multicast_takes_a_real_interface() -> None:
    address, index = RESOLVER.find_interface(None, socket.AF_INET)
    assert (str(address), index) == ("10.1.9.3:0", 3)


@pytest.mark.parametrize(
    "text", ["", "9.9.9.9", "192.168.0.1", "10.1.2.3/33", "{eth9}", "{}", "{eth2}", "a b", "10/8/8"]
)
def test_bad_interfaces(text: str) -> None:
    with pytest.raises(InvalidChannelError) as caught:
        RESOLVER.resolve_interface(text, socket.AF_INET)
    assert caught.value.parameter == "interface"


def test_sockaddr_bytes() -> None:
    four = SocketAddress(socket.AF_INET, "127.0.0.1", 40123)
    assert four.sockaddr_bytes() == (
        struct.pack("=H", socket.AF_INET)
        + struct.pack(">H", 40123)
        + bytes([127, 0, 0, 1])
        + bytes(8)
    )
    six = SocketAddress(socket.AF_INET6, "fd00::1", 1, 7)
    assert six.sockaddr_bytes() == (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack(">HI", 1, 0)
        + bytes([0xFD])
        + bytes(14)
        + bytes([1])
        + struct.pack("=I", 7)
    )
    for address in (four, six, wildcard(socket.AF_INET), wildcard(socket.AF_INET6, 5)):
        assert SocketAddress.from_sockaddr(address.sockaddr_bytes()) == address
    for bad in (b"", b"\x02", bytes(16), four.sockaddr_bytes()[:15]):
        with pytest.raises(ValueError, match="no IPv4 or IPv6"):
            SocketAddress.from_sockaddr(bad)


def test_this_machine_has_a_loopback_interface() -> None:
    loopback = [i for i in system_interfaces() if i.is_loopback and i.is_up]
    assert "127.0.0.1" in {i.address.host for i in loopback}
    assert DefaultResolver().resolve("localhost:1").host == "127.0.0.1"
