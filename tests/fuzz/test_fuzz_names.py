"""What strangers tell a driver's name resolver, and what the event log makes of any record."""

from __future__ import annotations

import random
import socket

import amount
import hostile
import pytest

from volans.driver.event_log_names import EVENTS
from volans.driver.event_log_text import describe_frame, format_record
from volans.driver.naming.address import SocketAddress
from volans.driver.naming.gossip import MAX_NAMES, Gossip, GossipListener, GossipSettings
from volans.driver.naming.resolution_entries import (
    FLAG_SELF,
    ResolutionEntry,
    decode_frame,
    encode_frames,
)
from volans.protocol.frames import FrameError

SEEDS = 2
HERE = SocketAddress(socket.AF_INET, "10.0.0.1", 8050)
SOURCE = SocketAddress(socket.AF_INET, "10.0.0.2", 8050).sockaddr_bytes()


def some_entry(rng: random.Random) -> ResolutionEntry:
    family = rng.choice((socket.AF_INET, socket.AF_INET6))
    packed = rng.choice((bytes(16), rng.randbytes(16)))[: 4 if family == socket.AF_INET else 16]
    return ResolutionEntry(
        rng.randbytes(rng.choice((0, 1, 5, 40, 512))),
        SocketAddress(family, socket.inet_ntop(family, packed), rng.randrange(65536)),
        rng.choice((0, 1, 10_000, 0x7FFFFFFF)),
        rng.random() < 0.5,
    )


def some_datagram(rng: random.Random) -> bytes:
    """Sound frames with a few bytes changed, cut, or longer than they should be."""
    data = bytearray(
        next(encode_frames([some_entry(rng) for _ in range(rng.randrange(1, 4))], 2000))
    )
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 0x7F, FLAG_SELF, 0xFF))
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    return bytes(data) + rng.randbytes(rng.choice((0, 0, 0, 1, 9)))


class Told:
    """A socket to which everything was told already."""

    def __init__(self) -> None:
        self.waiting: list[tuple[bytes, bytes]] = []

    def send(self, destination: bytes, data: bytes, now_ns: int) -> bool:
        return len(data) <= 1408

    def receive(self, now_ns: int) -> list[tuple[bytes, bytes]]:
        found, self.waiting = self.waiting, []
        return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_gossip_survives_what_strangers_say(seed):
    rng = random.Random(seed)
    port = Told()
    refused = [0]

    def count() -> None:
        refused[0] += 1

    gossip = Gossip(
        GossipSettings("here", HERE, 1408, 10_000, 1_000, 2_000, 10_000),
        port,
        [],
        lambda _name, done: done(None),
        lambda _host, _family: None,
        GossipListener(on_invalid=count),
        0,
    )
    now_ms = expected = 0
    for _ in range(amount.inputs(SEEDS) // 200):
        now_ms += rng.choice((0, 10, 10, 3_000))
        for _ in range(200):
            datagram = some_datagram(rng)
            port.waiting.append((datagram, SOURCE))
            try:
                decode_frame(datagram)
            except FrameError:
                expected += 1
        now_ms += 10
        gossip.do_work(now_ms * 1_000_000, now_ms)
        assert refused[0] == expected
        assert len(gossip.names) <= MAX_NAMES
    # It still works for those who mean well, and forgets the others.
    now_ms += 20_000
    gossip.do_work(now_ms * 1_000_000, now_ms)
    (frame,) = encode_frames([ResolutionEntry(b"there", HERE.with_port(1), is_self=True)], 1408)
    port.waiting.append((frame, SOURCE))
    now_ms += 10
    gossip.do_work(now_ms * 1_000_000, now_ms)
    assert gossip.names == {"there": HERE.with_port(1)}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_frame_has_one_line(seed):
    rng = random.Random(seed)
    for _ in range(amount.inputs(SEEDS)):
        frame = bytearray(rng.randbytes(rng.choice((0, 4, 8, 24, 32, 44, 64, 256))))
        if len(frame) >= 8:
            frame[4] = rng.choice((0, 0, 0, 1))
            kind = rng.choice(hostile.FRAME_TYPES)
            frame[6:8] = (kind & 0xFFFF).to_bytes(2, "little")
            if rng.random() < 0.7:
                frame[0:4] = len(frame).to_bytes(4, "little")
        line = describe_frame(bytes(frame))
        assert line.isprintable()


@pytest.mark.parametrize("event_id", sorted(EVENTS))
def test_records_are_told_or_refused(event_id):
    rng = random.Random(event_id)
    for _ in range(amount.inputs(len(EVENTS))):
        record = rng.randbytes(rng.choice((0, 7, 8, 16, 48, 60, 100)))
        try:
            line = format_record(event_id, record)
        except Exception as error:  # the log tells it in a line of its own
            assert not isinstance(error, MemoryError | RecursionError)  # noqa: PT017
        else:
            assert "\n" not in line
