"""A receiver under hostile datagrams: it lives, counts them, and its good streams go on."""

from __future__ import annotations

import struct
import tempfile

import amount
import drawn
import hostile
import pytest
from hypothesis import HealthCheck, given, settings

from volans.protocol.counter_types import SystemCounter
from volans.testing.receive_kit import ReceiveKit

DATAGRAMS_A_SEED = 14_000
SEEDS = -(-amount.inputs() // DATAGRAMS_A_SEED)
EXAMPLES = amount.scaled(500)  # of 100 datagrams each
STREAM, OTHER_STREAM, UNKNOWN_STREAM = 1001, 1002, 9
GOOD_SESSION, HOSTILE_SESSION = 11, 12
TERM_ID = 7
TERM_LENGTH = 65536


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_receiver_survives_and_the_good_stream_goes_on(directory, seed):
    kit = ReceiveKit(seed=seed + 1, stream_session_limit=40)
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.receiver.add_subscription_by_session(kit.endpoint, OTHER_STREAM, HOSTILE_SESSION)
    kit.cycle()
    good = kit.make_image(
        directory=directory,
        session_id=GOOD_SESSION,
        stream_id=STREAM,
        initial_term_id=TERM_ID,
        term_length=TERM_LENGTH,
    )
    bad = kit.make_image(
        directory=directory,
        session_id=HOSTILE_SESSION,
        stream_id=STREAM,
        initial_term_id=TERM_ID,
        term_length=TERM_LENGTH,
    )
    sender = hostile.HostileSender(
        seed,
        sessions=(HOSTILE_SESSION, HOSTILE_SESSION, 13, 0, -1),
        streams=(STREAM, STREAM, STREAM, OTHER_STREAM, UNKNOWN_STREAM),
        term_ids=(TERM_ID, TERM_ID, TERM_ID + 1, TERM_ID - 1),
        flood_sessions=100,
    )
    for image in (good, bad):
        image.add_subscriber()
    position = 0
    invalid_before = kit.system_counter(SystemCounter.INVALID_PACKETS)
    for count in range(DATAGRAMS_A_SEED):
        datagram = sender.datagram()
        segment = sender.random.choice((0, 0, 0, 32, 64, len(datagram), -1, 7))
        kit.feed(datagram, segment_length=segment)
        if count % 100 == 0:
            payload = struct.pack("<q", position) * 8
            kit.feed(hostile.data(GOOD_SESSION, STREAM, TERM_ID, position % TERM_LENGTH, payload))
            position += 96
            kit.advance(1_000_000)
            kit.cycle()
            for image in (good, bad):
                image.track()
                image.time_event()
            kit.sent()
            kit.requests()
    assert (
        kit.system_counter(SystemCounter.INVALID_PACKETS) - invalid_before > DATAGRAMS_A_SEED // 20
    )
    assert kit.counters.value(good.hwm_id) == position, "the good stream was held up"
    log = bytes(good.log_view[:position])
    for at in range(0, position, 96):
        assert struct.unpack_from("<i", log, at) == (96,)
        assert log[at + 32 : at + 96] == struct.pack("<q", at) * 8


def test_session_flood_stops_at_the_limit(directory):
    kit = ReceiveKit(stream_session_limit=8)
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    for session_id in range(8):
        kit.make_image(directory=directory, session_id=session_id, stream_id=STREAM)
    kit.requests()
    for session_id in range(1000, 4000):
        kit.feed(hostile.setup(session_id, STREAM, TERM_ID))
    assert kit.requests() == []
    logged = bytes(kit.error_log)
    assert b"stream.session.limit" in logged
    # One distinct error with a count, however many sessions there were.
    assert struct.unpack_from("<i", logged, 4) == (3000,)


def test_drawn_datagrams(tmp_path):
    fed = invalid = written = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        drawn.datagrams(
            kinds=(*(hostile.DATA,) * 4, hostile.PAD, hostile.SETUP, hostile.RTTM),
            sessions=(HOSTILE_SESSION, HOSTILE_SESSION, 13, 0, -1),
            streams=(STREAM, STREAM, OTHER_STREAM, UNKNOWN_STREAM),
            term_ids=(TERM_ID,) * 40,
        )
    )
    def feed(datagrams):
        nonlocal fed, invalid, written
        kit = ReceiveKit(stream_session_limit=40)
        kit.receiver.add_subscription(kit.endpoint, STREAM)
        kit.receiver.add_subscription_by_session(kit.endpoint, OTHER_STREAM, HOSTILE_SESSION)
        kit.cycle()
        with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
            good, bad = images = [
                kit.make_image(directory=directory, session_id=session, stream_id=STREAM)
                for session in (GOOD_SESSION, HOSTILE_SESSION)
            ]
            for image in images:
                image.add_subscriber()
            position = 0
            for count, datagram in enumerate(datagrams):
                kit.feed(datagram.data, segment_length=datagram.segment_length)
                fed += 1
                if count % 25 == 0:
                    payload = struct.pack("<q", position) * 8
                    kit.feed(hostile.data(GOOD_SESSION, STREAM, TERM_ID, position, payload))
                    position += 96
                    kit.advance(1_000_000)
                    kit.cycle()
                    for image in images:
                        image.track()
                        image.time_event()
                    kit.sent()
                    kit.requests()
            assert kit.counters.value(good.hwm_id) == position, "the good stream was held up"
            for at in range(0, position, 96):
                assert bytes(good.log_view[at + 32 : at + 96]) == struct.pack("<q", at) * 8
            invalid += kit.system_counter(SystemCounter.INVALID_PACKETS)
            written += bad.hwm > 0

    feed()
    assert fed >= EXAMPLES * drawn.DATAGRAMS_AN_EXAMPLE
    # Both kinds in plenty: what is refused, and what is taken for frames.
    assert invalid > fed // 20
    assert written > EXAMPLES // 50


def test_absurd_positions_of_a_live_session_change_nothing(directory):
    kit = ReceiveKit()
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    image = kit.make_image(directory=directory, session_id=GOOD_SESSION, stream_id=STREAM)
    kit.feed(hostile.data(GOOD_SESSION, STREAM, TERM_ID, 0, b"x" * 64))
    for term_id in (TERM_ID - 1, TERM_ID + 5, TERM_ID + (1 << 30), -(1 << 31), (1 << 31) - 1):
        for flags in hostile.FLAGS:
            kit.feed(hostile.heartbeat(GOOD_SESSION, STREAM, term_id, 65504, flags))
            kit.feed(hostile.data(GOOD_SESSION, STREAM, term_id, 0, b"y" * 64, flags=flags))
    assert kit.counters.value(image.hwm_id) == 96
    assert bytes(image.log_view[32:96]) == b"x" * 64
    kit.feed(hostile.data(GOOD_SESSION, STREAM, TERM_ID, 96, b"z" * 64))
    assert kit.counters.value(image.hwm_id) == 192


def test_spoofed_end_of_stream_reaches_one_session_only(directory):
    """UDP has no sender's proof: who guesses session and position can end that one stream."""
    kit = ReceiveKit()
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    images = [
        kit.make_image(directory=directory, session_id=session, stream_id=STREAM)
        for session in (GOOD_SESSION, HOSTILE_SESSION)
    ]
    kit.feed(hostile.heartbeat(HOSTILE_SESSION, STREAM, TERM_ID, 0, 0xE0))
    kit.feed(hostile.heartbeat(GOOD_SESSION + 100, STREAM, TERM_ID, 0, 0xE0))
    kit.feed(hostile.heartbeat(GOOD_SESSION, STREAM, TERM_ID + 4, 0, 0xE0))
    ends = [struct.unpack_from("<q", image.log_view, 3 * TERM_LENGTH + 128)[0] for image in images]
    assert ends == [(1 << 63) - 1, 0]


def test_payload_where_a_length_should_be_stops_nobody(directory):
    """Two datagrams that overlap leave payload of the one at a frame's place of the other."""
    kit = ReceiveKit()
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    image = kit.make_image(directory=directory, session_id=GOOD_SESSION, stream_id=STREAM)
    image.add_subscriber()
    for length in (0x7FFFFFFF, 0x7FFFFFE0, 0x70000000, 100_000, 1, 31):
        payload = struct.pack("<i", length) * 8
        for offset in (64, 0, 160, 128):
            kit.feed(hostile.data(GOOD_SESSION, STREAM, TERM_ID, offset, payload * 3))
        image.track()
        kit.advance(10_000_000)
        kit.cycle()
        assert 0 <= image.position <= image.hwm
        for index in range(3):
            image.dirty(index, 0)


def test_no_frame_reaches_past_its_term(directory):
    kit = ReceiveKit()
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    # Joined near the end of the term, so that flow control would let it through.
    image = kit.make_image(
        directory=directory, session_id=GOOD_SESSION, stream_id=STREAM, initial_position=65440
    )
    kit.cycle()
    before = kit.system_counter(SystemCounter.INVALID_PACKETS)
    kit.feed(hostile.data(GOOD_SESSION, STREAM, TERM_ID, 65504, b"x" * 64))
    two_frames = hostile.data(GOOD_SESSION, STREAM, TERM_ID, 65472, b"y" * 32) + hostile.data(
        GOOD_SESSION, STREAM, TERM_ID, 65536, b"y" * 32
    )
    kit.feed(two_frames)
    for length in (96, 1 << 20, 0x7FFFFFFF):
        kit.feed(
            hostile.data(
                GOOD_SESSION, STREAM, TERM_ID, 65504, frame_type=hostile.PAD, frame_length=length
            )
        )
    assert kit.system_counter(SystemCounter.INVALID_PACKETS) - before == 5
    assert not any(image.log_view[65440 : 2 * TERM_LENGTH])
    kit.feed(hostile.data(GOOD_SESSION, STREAM, TERM_ID, 65440, b"z" * 64))
    assert image.hwm == 65536
