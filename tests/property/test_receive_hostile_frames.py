"""Whatever comes from the network, the receiver lives, counts it and keeps its log whole."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.protocol.system_counters import SystemCounter
from volans.testing.receive_kit import ReceiveKit

SESSION, STREAM, TERM_ID, TERM_LENGTH = 11, 1001, 7, 65536
WINDOW = 32768
DATAGRAMS = 200
FIXED_LENGTHS = {2: 28, 3: 36, 4: 40, 5: 40, 6: 40, 7: 8, 11: 20}
ODD_NUMBERS = (0, 1, -1, 7, 8, 31, 32, 33, 64, 1408, 65504, 65535, 65536, 1 << 30, -(1 << 31))
IMMUTABLE_METADATA = slice(3 * TERM_LENGTH + 256, 3 * TERM_LENGTH + 4096)


def odd(rng):
    return rng.choice(ODD_NUMBERS) if rng.random() < 0.8 else rng.randint(-(1 << 31), (1 << 31) - 1)


def likely(rng, value):
    return value if rng.random() < 0.85 else odd(rng)


def data_frame(rng, offset):
    payload = rng.randbytes(rng.choice((0, 1, 32, 100, 512)))
    length = 32 + len(payload)
    header = struct.pack(
        "<ibBhiiiiq",
        likely(rng, length),
        likely(rng, 0) & 0x7F,
        rng.choice((0xC0, 0x80, 0x40, 0xE0, 0xC0, 0xC0)),
        rng.choice((1, 1, 1, 1, 0, 2, 300)),
        likely(rng, offset),
        likely(rng, SESSION),
        likely(rng, STREAM),
        likely(rng, TERM_ID),
        0,
    )
    return (header + payload).ljust((length + 31) // 32 * 32, b"\0")


def datagram(rng):
    kind = rng.randrange(8)
    if kind == 0:
        made = rng.randbytes(rng.randrange(0, 100))
    elif kind == 1:
        made = struct.pack(
            "<ibBhiiiiiiii",
            likely(rng, 40),
            0,
            0,
            5,
            likely(rng, 0),
            rng.randrange(20),
            STREAM,
            likely(rng, TERM_ID),
            likely(rng, TERM_ID),
            likely(rng, TERM_LENGTH),
            likely(rng, 1408),
            0,
        )
    elif kind == 2:
        frame_type = rng.choice((*FIXED_LENGTHS, 8, 9, -1))
        made = struct.pack("<ibBh", likely(rng, 40), likely(rng, 0) & 0x7F, 0x80, frame_type)
        made += rng.randbytes(rng.randrange(0, 60))
    else:
        # Mostly near the beginning, where packets meet.
        offset, made = rng.randrange(0, rng.choice((8, 64, WINDOW // 32))) * 32, b""
        for _ in range(rng.randint(1, 3)):
            frame = data_frame(rng, offset + len(made))
            made += frame
    if rng.random() < 0.05:  # a heartbeat
        made = struct.pack(
            "<ibBhiiiiq", 0, 0, 0xC0, 1, likely(rng, 64), SESSION, STREAM, likely(rng, TERM_ID), 0
        )
    if rng.random() < 0.1:
        made = made[: rng.randrange(len(made) + 1)]
    return made


def is_setup_good(packet):
    offset, _, _, initial, active, term_length, mtu, _ = struct.unpack_from("<8i", packet, 8)
    return (
        65536 <= term_length <= 1 << 30
        and term_length.bit_count() == 1
        and 0 <= offset < term_length
        and offset % 32 == 0
        and 32 <= mtu <= 65504
        and mtu % 32 == 0
        and (active - initial) % (1 << 32) < 1 << 31
    )


def is_packet_good(packet):
    """Heartbeat, or a chain of frames (section 10.1)."""
    first_length, _, _, _, begin = struct.unpack_from("<ibBhi", packet)
    if not 0 <= begin < TERM_LENGTH or begin % 32:
        return False
    if len(packet) == 32 and first_length == 0:
        return True
    at, frame_type = 0, None
    while at < len(packet):
        length, _, _, frame_type, offset = struct.unpack_from("<ibBhi", packet, at)
        end = at + (length + 31) // 32 * 32
        if length < 32 or frame_type not in (0, 1) or offset != begin + at:
            return False
        if begin + end > TERM_LENGTH:
            return False
        at = end
    return at == len(packet) or frame_type == 0


def is_valid(packet):
    if len(packet) < 8:
        return False
    frame_length, version, _, frame_type = struct.unpack_from("<ibBh", packet)
    if frame_length < 0 or version != 0:
        return False
    if frame_type in (0, 1):
        if len(packet) < 32 or len(packet) % 32:
            return False
        session, stream, term_id = struct.unpack_from("<iii", packet, 12)
        to_the_image = (session, stream) == (SESSION, STREAM)
        is_before = (term_id - TERM_ID) % (1 << 32) >= 1 << 31
        return not to_the_image or is_before or is_packet_good(packet)
    least = FIXED_LENGTHS.get(frame_type)
    if least is None or len(packet) < least or frame_length > len(packet):
        return False
    return frame_type != 5 or is_setup_good(packet)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_hostile_datagrams_are_counted_and_harm_nothing(tmp_path_factory, seed):
    rng = random.Random(seed)
    with ReceiveKit() as kit:
        feed_hostile_datagrams(kit, rng, tmp_path_factory.mktemp("hostile"))


def feed_hostile_datagrams(kit, rng, directory):
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    image = kit.make_image(directory=directory)
    image.add_subscriber()
    metadata = bytes(image.log_view[IMMUTABLE_METADATA])
    expected = 0
    for number in range(DATAGRAMS):
        packet = datagram(rng)
        expected += not is_valid(packet)
        kit.feed(packet)
        assert kit.system_counter(SystemCounter.INVALID_PACKETS) == expected, packet
        if number % 20 == 0:
            kit.advance(50_000_000)
            image.track()
            image.time_event()
            kit.cycle()
            kit.sent()
    image.track()
    assert 0 <= image.position <= image.hwm <= WINDOW
    assert bytes(image.log_view[IMMUTABLE_METADATA]) == metadata
    assert image.term(1) == image.term(2) == bytes(TERM_LENGTH)
    assert image.position % 32 == 0


@pytest.fixture(scope="module")
def kit():
    with ReceiveKit() as kit:
        yield kit


@settings(max_examples=300, deadline=None)
@given(packet=st.binary(max_size=200), segment_length=st.integers(0, 64))
def test_random_bytes_never_make_an_image(kit, packet, segment_length):
    before = kit.system_counter(SystemCounter.INVALID_PACKETS)
    kit.feed(packet, segment_length=segment_length)
    after = kit.system_counter(SystemCounter.INVALID_PACKETS)
    segments = (
        [packet[i : i + segment_length] for i in range(0, len(packet), segment_length)]
        if segment_length
        else [packet]
    )
    assert after - before == sum(not is_valid(segment) for segment in segments)
