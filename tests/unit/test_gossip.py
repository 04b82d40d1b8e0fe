"""Drivers tell each other their names: gossip under a chosen clock, without sockets."""

from __future__ import annotations

import socket
import struct

import pytest

from volans.driver.naming.address import SocketAddress
from volans.driver.naming.gossip import Gossip, GossipListener, GossipSettings
from volans.driver.naming.resolution_entries import ResolutionEntry, decode_frame, encode_frames
from volans.protocol.frames import FrameError

TIMEOUT_MS, SELF_MS, NEIGHBOR_MS, BOOTSTRAP_MS = 10_000, 1_000, 2_000, 10_000


def address(host: str, port: int = 8050) -> SocketAddress:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return SocketAddress(family, host, port)


class Network:
    """Datagrams wait for their receiver; `down` hosts neither send nor receive."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, list[tuple[bytes, bytes]]] = {}
        self.down: set[bytes] = set()
        self.sent: list[tuple[bytes, bytes]] = []


class NetworkPort:
    def __init__(self, network: Network, at: SocketAddress) -> None:
        self.network, self.at = network, at.sockaddr_bytes()
        network.waiting[self.at] = []

    def send(self, destination: bytes, data: bytes, now_ns: int) -> bool:
        network = self.network
        network.sent.append((destination, data))
        if not {self.at, destination} & network.down and destination in network.waiting:
            network.waiting[destination].append((data, self.at))
        return True

    def receive(self, now_ns: int) -> list[tuple[bytes, bytes]]:
        found, self.network.waiting[self.at] = self.network.waiting[self.at], []
        return found


class Drivers:
    """Some drivers whose bootstrap names are addresses, and one clock."""

    def __init__(self) -> None:
        self.network = Network()
        self.now_ms = 1_000_000
        self.all: list[Gossip] = []
        self.invalid_count = 0
        self.changes: list[tuple[str, SocketAddress]] = []
        self.known_hosts: dict[str, SocketAddress] = {}

    def add(self, name: str, host: str, *bootstrap: str, told: str | None = None) -> Gossip:
        at = address(host)
        gossip = Gossip(
            GossipSettings(
                name,
                at if told is None else address(told),
                1408,
                TIMEOUT_MS,
                SELF_MS,
                NEIGHBOR_MS,
                BOOTSTRAP_MS,
            ),
            NetworkPort(self.network, at),
            list(bootstrap),
            lambda text, done: done(self.known_hosts.get(text)),
            lambda text, family: None,
            GossipListener(
                on_invalid=self.count_invalid,
                on_neighbor_added=lambda where: self.changes.append(("added", where)),
                on_neighbor_removed=lambda where: self.changes.append(("removed", where)),
            ),
            self.now_ms,
        )
        self.all.append(gossip)
        return gossip

    def count_invalid(self) -> None:
        self.invalid_count += 1

    def run(self, duration_ms: int) -> None:
        for _ in range(0, duration_ms, 10):
            self.now_ms += 10
            for gossip in self.all:
                gossip.do_work(self.now_ms * 1_000_000, self.now_ms)


@pytest.fixture
def drivers() -> Drivers:
    drivers = Drivers()
    drivers.known_hosts["a:8050"] = address("10.0.0.1")
    return drivers


def test_two_drivers_learn_each_others_names(drivers):
    a = drivers.add("a", "10.0.0.1")
    b = drivers.add("b", "10.0.0.2", "a:8050")
    drivers.run(1_200)
    assert a("b", socket.AF_INET) == address("10.0.0.2")
    assert b("a", socket.AF_INET) == address("10.0.0.1")
    assert b("b", socket.AF_INET) == address("10.0.0.2")
    assert b("c", socket.AF_INET) is None
    assert b.bootstrap[0].is_connected


def test_names_spread_to_drivers_that_were_never_told_of(drivers):
    drivers.add("a", "10.0.0.1")
    b = drivers.add("b", "10.0.0.2", "a:8050")
    c = drivers.add("c", "10.0.0.3", "a:8050")
    drivers.run(4_500)
    assert b("c", socket.AF_INET) == address("10.0.0.3")
    assert c("b", socket.AF_INET) == address("10.0.0.2")
    assert address("10.0.0.3") in b.neighbors


def test_a_driver_that_listens_everywhere_is_known_by_where_its_datagrams_come_from(drivers):
    a = drivers.add("a", "10.0.0.1")
    drivers.add("b", "10.0.0.2", "a:8050", told="0.0.0.0")
    drivers.run(1_200)
    assert a("b", socket.AF_INET) == address("10.0.0.2")


def test_a_silent_driver_is_forgotten_and_found_again(drivers):
    a = drivers.add("a", "10.0.0.1")
    drivers.add("b", "10.0.0.2", "a:8050")
    drivers.run(1_200)
    drivers.network.down.add(address("10.0.0.2").sockaddr_bytes())
    drivers.run(TIMEOUT_MS + 1_500)
    assert a("b", socket.AF_INET) is None
    assert a.neighbors == []
    assert a.names == {}
    assert ("removed", address("10.0.0.2")) in drivers.changes
    drivers.network.down.clear()
    drivers.run(1_200)
    assert a("b", socket.AF_INET) == address("10.0.0.2")


def test_hearsay_does_not_keep_a_dead_driver_alive(drivers):
    drivers.add("a", "10.0.0.1")
    b = drivers.add("b", "10.0.0.2", "a:8050")
    drivers.add("c", "10.0.0.3", "a:8050")
    drivers.run(4_500)
    drivers.network.down.add(address("10.0.0.3").sockaddr_bytes())
    # a and b go on telling each other of c, with its true age.
    drivers.run(TIMEOUT_MS + 3_000)
    assert b("c", socket.AF_INET) is None


def test_a_bootstrap_name_that_moves_is_resolved_again(drivers):
    drivers.known_hosts.clear()
    b = drivers.add("b", "10.0.0.2", "a:8050")
    drivers.run(1_000)
    assert b.bootstrap[0].address is None
    drivers.known_hosts["a:8050"] = address("10.0.0.9")
    drivers.add("a", "10.0.0.9")
    drivers.run(BOOTSTRAP_MS + 2_000)
    assert b("a", socket.AF_INET) == address("10.0.0.9")
    assert b.bootstrap[0].is_connected


def test_without_neighbours_nothing_is_sent(drivers):
    drivers.add("a", "10.0.0.1")
    drivers.run(5_000)
    assert drivers.network.sent == []


def test_the_own_name_heard_from_others_is_not_learnt(drivers):
    a = drivers.add("a", "10.0.0.1")
    drivers.add("b", "10.0.0.2", "a:8050")
    drivers.run(5_000)
    assert "a" not in a.names


@pytest.mark.parametrize("host", ["10.1.2.3", "fe80::1"])
@pytest.mark.parametrize("is_self", [True, False])
def test_entries_survive_the_wire(host, is_self):
    entry = ResolutionEntry(b"some-name", address(host, 4711), 123, is_self)
    (frame,) = encode_frames([entry], 1408)
    assert decode_frame(frame) == [entry]
    assert len(frame) % 8 == 0


def test_an_entry_has_the_official_layout():
    entry = ResolutionEntry(b"abc", address("1.2.3.4", 0x1234), 7, is_self=True)
    (frame,) = encode_frames([entry], 1408)
    assert frame == (
        struct.pack("<iBBH", 32, 0, 0, 7)
        + struct.pack("<bBHi", 1, 0x80, 0x1234, 7)
        + bytes([1, 2, 3, 4])
        + struct.pack("<h", 3)
        + b"abc"
        + bytes(7)
    )


def test_many_entries_go_into_several_frames():
    entries = [ResolutionEntry(b"n" * 100 + b"%d" % i, address("1.2.3.4")) for i in range(50)]
    frames = list(encode_frames(entries, 1408))
    assert len(frames) > 1
    assert all(len(frame) <= 1408 for frame in frames)
    assert [e for frame in frames for e in decode_frame(frame)] == entries


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\0\0\0\0\0\x07",
        struct.pack("<iBBH", 8, 1, 0, 7),
        struct.pack("<iBBH", 8, 0, 0, 1),
        struct.pack("<iBBH", 12, 0, 0, 7) + b"\x01\0\0\0",
        struct.pack("<iBBH", 24, 0, 0, 7) + struct.pack("<bBHi", 3, 0, 1, 0) + bytes(8),
        struct.pack("<iBBH", 24, 0, 0, 7)
        + struct.pack("<bBHi", 1, 0, 1, 0)
        + b"\1\2\3\4\xff\xff\0\0",
        struct.pack("<iBBH", 24, 0, 0, 7)
        + struct.pack("<bBHi", 1, 0, 1, 0)
        + b"\1\2\3\4\x09\0\0\0",
    ],
)
def test_bad_datagrams_are_counted_and_change_nothing(drivers, data):
    with pytest.raises(FrameError):
        decode_frame(data)
    a = drivers.add("a", "10.0.0.1")
    at = address("10.0.0.1").sockaddr_bytes()
    drivers.network.waiting[at].append((data, address("10.0.0.7").sockaddr_bytes()))
    drivers.run(20)
    assert drivers.invalid_count == 1
    assert a.names == {}
    assert a.neighbors == []


def test_strangers_cannot_fill_the_memory(drivers):
    a = drivers.add("a", "10.0.0.1")
    at = address("10.0.0.1").sockaddr_bytes()
    entries = [
        ResolutionEntry(b"%d" % i, address(f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"))
        for i in range(20_000)
    ]
    for frame in encode_frames(entries, 60_000):
        drivers.network.waiting[at].append((frame, address("10.9.9.9").sockaddr_bytes()))
    a.do_work(0, drivers.now_ms + 10)
    assert len(a.names) == 2_048
    assert len(a.neighbors) == 256
