"""From the first datagram of a session to its image, and back: what is asked for and when."""

from __future__ import annotations

import struct

import pytest
from receive_frames import (
    DATA,
    SESSION,
    STREAM,
    TERM_ID,
    frame,
    heartbeat,
    rttm,
    setup,
    setup_request,
    status_message,
)

from volans.driver.agent_messages import ImageRequest
from volans.protocol.system_counters import SystemCounter
from volans.testing.receive_kit import PEER_HOST, PEER_PORT, ReceiveKit, ipv4

SECOND_NS = 1_000_000_000
PENDING_SETUP, INIT_IN_PROGRESS, COOL_DOWN, NO_INTEREST, ACTIVE = 2, 3, 4, 5, 1
WINDOW = 32768  # half a term


@pytest.fixture
def kit():
    return ReceiveKit()


def subscribe(kit, stream=STREAM):
    assert kit.receiver.add_subscription(kit.endpoint, stream)
    kit.cycle()


def test_data_of_an_unknown_session_asks_its_source_for_a_setup_once_a_second(kit):
    subscribe(kit)
    kit.send(frame(0, b"x" * 100))
    kit.cycle()
    assert kit.sent() == [setup_request()]
    assert kit.session_state(STREAM, SESSION) == PENDING_SETUP
    kit.advance(SECOND_NS)
    kit.send(frame(0, b"x" * 100))
    kit.cycle()
    assert kit.sent() == []
    kit.advance(1)
    kit.cycle()  # nobody answered: forgotten
    assert kit.session_state(STREAM, SESSION) == 0
    kit.send(frame(0, b"x" * 100))
    kit.cycle()
    assert kit.sent() == [setup_request()]


def test_data_of_streams_and_sessions_nobody_wants_is_ignored(kit):
    kit.receiver.add_subscription_by_session(kit.endpoint, STREAM, SESSION)
    kit.cycle()
    kit.feed(frame(0, b"", stream=STREAM + 1))
    kit.feed(frame(0, b"", session=SESSION + 1))
    kit.feed(setup(session=SESSION + 2))
    kit.cycle()
    assert kit.sent() == []
    assert kit.requests() == []
    assert kit.session_state(STREAM, SESSION + 1) == NO_INTEREST
    assert kit.session_state(STREAM, SESSION + 2) == NO_INTEREST
    # A subscription to all sessions takes the refusals back.
    subscribe(kit)
    assert kit.session_state(STREAM, SESSION + 1) == 0
    kit.feed(frame(0, b"", session=SESSION + 1))
    kit.cycle()
    assert kit.sent() == [setup_request(session=SESSION + 1)]


def test_the_end_of_an_unknown_stream_asks_for_nothing(kit):
    subscribe(kit)
    kit.feed(heartbeat(0, flags=0xE0))
    kit.cycle()
    assert kit.sent() == []
    assert kit.session_state(STREAM, SESSION) == 0


def test_setup_requests_an_image_once(kit):
    subscribe(kit)
    kit.send(setup(term_offset=64, active_term_id=TERM_ID + 2, flags=0x40))
    kit.send(setup(term_offset=64, active_term_id=TERM_ID + 2, flags=0x40))
    kit.cycle()
    source = ipv4(PEER_HOST, PEER_PORT)
    assert kit.requests() == [
        ImageRequest(
            5, 500, SESSION, STREAM, TERM_ID, TERM_ID + 2, 64, 65536, 1408, 0x40, source, source
        )
    ]
    assert kit.session_state(STREAM, SESSION) == INIT_IN_PROGRESS
    assert kit.receiver.remove_init_in_progress(kit.endpoint, STREAM, SESSION)
    kit.cycle()
    assert kit.session_state(STREAM, SESSION) == 0
    kit.feed(setup())
    assert len(kit.requests()) == 1


def test_setup_after_data_makes_the_image_and_the_request_for_it_expires_unseen(kit):
    subscribe(kit)
    kit.feed(frame(0, b""))
    kit.feed(setup())
    assert kit.session_state(STREAM, SESSION) == INIT_IN_PROGRESS
    kit.advance(2 * SECOND_NS)
    kit.cycle()
    assert kit.session_state(STREAM, SESSION) == INIT_IN_PROGRESS


def test_a_full_control_ring_leaves_the_session_to_the_next_setup(kit):
    subscribe(kit)
    kit.fill_control_ring()
    kit.feed(setup())
    assert kit.session_state(STREAM, SESSION) == 0
    assert kit.system_counter(SystemCounter.CONDUCTOR_PROXY_FAILS) == 1
    assert kit.requests() == []
    kit.feed(setup())
    assert len(kit.requests()) == 1


@pytest.mark.parametrize(
    "bad",
    [
        setup(term_length=65536 * 3),
        setup(term_length=32768),
        setup(term_length=-65536),
        setup(term_offset=65536),
        setup(term_offset=-32),
        setup(term_offset=33),
        setup(mtu=0),
        setup(mtu=65536),
        setup(mtu=1409),
        setup(active_term_id=TERM_ID - 1),
        setup()[:39],
        setup()[:8],
        struct.pack("<ibBh", 41, 0, 0, 5) + setup()[8:],
    ],
)
def test_impossible_setups_are_counted_and_make_no_image(kit, bad):
    subscribe(kit)
    kit.feed(bad)
    assert kit.requests() == []
    assert kit.session_state(STREAM, SESSION) == 0
    assert kit.system_counter(SystemCounter.INVALID_PACKETS) == 1


@pytest.mark.parametrize("setting", ["stream_session_limit", "session_count_limit"])
def test_the_session_limit_refuses_further_images(setting):
    kit = ReceiveKit(**{setting: 2})
    subscribe(kit)
    for session in (1, 2, 3):
        kit.feed(setup(session=session))
    assert [request.session_id for request in kit.requests()] == [1, 2]
    assert kit.session_state(STREAM, 3) == 0
    assert b"stream.session.limit" in kit.error_log
    assert kit.system_counter(SystemCounter.ERRORS) == 1
    # One that comes to nothing makes room.
    kit.receiver.remove_init_in_progress(kit.endpoint, STREAM, 1)
    kit.cycle()
    kit.feed(setup(session=3))
    assert [request.session_id for request in kit.requests()] == [3]


def test_an_image_that_fell_silent_cools_down_until_told_otherwise(kit, tmp_path):
    subscribe(kit)
    image = kit.make_image(directory=tmp_path)
    assert kit.session_state(STREAM, SESSION) == ACTIVE
    assert kit.receiver.image_count == 1
    kit.receiver.remove_image(kit.endpoint, image.owner)
    assert not image.owner.released
    kit.cycle()
    assert image.owner.released
    assert kit.receiver.image_count == 0
    assert kit.session_state(STREAM, SESSION) == COOL_DOWN
    kit.sent()
    kit.feed(setup())
    kit.feed(frame(0, b""))
    kit.cycle()
    assert kit.requests() == []
    assert kit.sent() == []
    kit.receiver.remove_cool_down(kit.endpoint, STREAM, SESSION)
    kit.cycle()
    kit.feed(setup())
    assert len(kit.requests()) == 1


def test_an_image_that_ended_may_come_again_at_once(kit, tmp_path):
    subscribe(kit)
    image = kit.make_image(directory=tmp_path)
    kit.feed(heartbeat(0, flags=0xE0))
    kit.receiver.remove_image(kit.endpoint, image.owner)
    kit.cycle()
    assert image.owner.released
    assert kit.session_state(STREAM, SESSION) == 0


def test_an_image_removed_twice_is_looked_at_once(kit, tmp_path):
    subscribe(kit)
    image = kit.make_image(directory=tmp_path)
    kit.receiver.remove_image(kit.endpoint, image.owner)
    kit.receiver.remove_image(kit.endpoint, image.owner)
    kit.cycle()
    assert image.owner.released
    assert kit.receiver.image_count == 0


def test_a_removed_endpoint_takes_its_images_and_requests_along(kit, tmp_path):
    subscribe(kit)
    image = kit.make_image(directory=tmp_path)
    kit.feed(frame(0, b"", session=99))
    kit.receiver.remove_endpoint(kit.endpoint)
    assert not kit.endpoint.released
    kit.cycle()
    assert kit.endpoint.released
    assert image.owner.released
    kit.sent()
    kit.send(frame(0, b"", session=98))
    kit.advance(2 * SECOND_NS)
    kit.cycle()
    assert kit.sent() == []
    kit.destination.close()


def test_explicit_control_is_asked_for_setups_for_ever():
    kit = ReceiveKit(control=(PEER_HOST, PEER_PORT))
    request = setup_request(session=0, stream=0)
    assert kit.sent() == [request]
    kit.advance(2 * SECOND_NS)
    kit.cycle()
    assert kit.sent() == []  # nobody has subscribed
    subscribe(kit)
    assert kit.sent() == [request]
    kit.advance(SECOND_NS)
    kit.cycle()
    assert kit.sent() == []
    kit.advance(1)
    kit.cycle()
    assert kit.sent() == [request]


def test_explicit_control_is_asked_for_a_session_that_is_subscribed_to_by_name():
    kit = ReceiveKit(control=(PEER_HOST, PEER_PORT))
    kit.sent()
    kit.receiver.add_subscription_by_session(kit.endpoint, STREAM, SESSION)
    kit.cycle()
    assert kit.sent() == [setup_request()]


def test_explicit_control_gets_the_status_messages(tmp_path):
    kit = ReceiveKit(control=(PEER_HOST, PEER_PORT))
    subscribe(kit)
    kit.sent()
    kit.make_image(directory=tmp_path, control=ipv4("10.0.0.9", 9))
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]


def test_a_group_is_answered_at_its_control_address():
    kit = ReceiveKit(control=(PEER_HOST, PEER_PORT), is_multicast=True, multicast_ttl=1)
    subscribe(kit)
    elsewhere = ipv4("10.0.0.9", 9)
    kit.feed(frame(0, b""), elsewhere)
    kit.cycle()
    assert kit.sent() == [setup_request()]
    kit.feed(setup(ttl=2), elsewhere)
    (request,) = kit.requests()
    assert request.control == ipv4(PEER_HOST, PEER_PORT)
    assert request.source == elsewhere
    assert kit.system_counter(SystemCounter.POSSIBLE_TTL_ASYMMETRY) == 1


def test_unsubscribing_ends_the_flow_but_not_of_sessions_wanted_by_name(kit, tmp_path):
    subscribe(kit)
    kit.receiver.add_subscription_by_session(kit.endpoint, STREAM, 12)
    one = kit.make_image(directory=tmp_path)
    two = kit.make_image(directory=tmp_path, session_id=12)
    kit.receiver.remove_subscription(kit.endpoint, STREAM)
    kit.cycle()
    kit.feed(frame(0, b""))
    kit.feed(frame(0, b"", session=12))
    assert (one.hwm, two.hwm) == (0, 32)
    kit.receiver.remove_subscription_by_session(kit.endpoint, STREAM, 12)
    kit.cycle()
    kit.feed(frame(32, b"", session=12))
    assert two.hwm == 32
    assert kit.session_state(STREAM, 12) == 0


def test_many_sessions_are_kept_apart_and_forgotten_together(kit):
    subscribe(kit)
    for session in range(-300, 300):
        kit.feed(setup(session=session))
    assert len({request.session_id for request in kit.requests()}) == 600
    kit.receiver.add_subscription_by_session(kit.endpoint, STREAM, 250)
    kit.receiver.remove_subscription(kit.endpoint, STREAM)
    kit.cycle()
    left = [s for s in range(-300, 300) if kit.session_state(STREAM, s)]
    assert left == [250]


def test_a_measurement_that_asks_for_a_reply_gets_it(kit, tmp_path):
    subscribe(kit)
    kit.feed(rttm(123, flags=0x80))
    kit.cycle()
    assert kit.sent() == []  # no image, no reply
    kit.make_image(directory=tmp_path)
    kit.sent()
    kit.feed(rttm(123, flags=0x80))
    kit.feed(rttm(124, flags=0x80, receiver_id=0))
    kit.feed(rttm(125, flags=0x80, receiver_id=78))
    kit.feed(rttm(126, flags=0))
    kit.cycle()
    assert kit.sent() == [rttm(123, flags=0), rttm(124, flags=0)]


def test_segments_of_one_received_run_are_datagrams_of_their_own(kit, tmp_path):
    subscribe(kit)
    image = kit.make_image(directory=tmp_path)
    run = frame(0, b"a" * 32) + frame(64, b"b" * 32) + frame(128, b"")
    kit.feed(run, segment_length=64)
    assert image.hwm == 160
    assert image.term(0)[:160] == run


def test_received_bytes_are_counted(kit):
    kit.send(frame(0, b"x" * 100, stream=5))
    kit.send(b"abc")
    kit.cycle()
    assert kit.system_counter(SystemCounter.BYTES_RECEIVED) == 160 + 3
    assert kit.system_counter(SystemCounter.INVALID_PACKETS) == 1


def test_commands_fail_and_are_counted_while_the_ring_is_full(kit):
    kit.fill_receiver_ring()
    assert not kit.receiver.add_subscription(kit.endpoint, STREAM)
    assert kit.system_counter(SystemCounter.RECEIVER_PROXY_FAILS) == 1


def test_frames_of_unknown_type_or_version_are_invalid(kit):
    subscribe(kit)
    for bad in (
        b"",
        b"\0" * 7,
        struct.pack("<ibBh", 8, 0, 0, 99),
        struct.pack("<ibBh", 8, 0, 0, -1),
        struct.pack("<ibBh24x", 32, 1, 0, DATA),
        struct.pack("<ibBh24x", -1, 0, 0, DATA),
        struct.pack("<ibBh24x", 32, 0, 0, DATA) + b"\0",
        struct.pack("<ibBh", 8, 0, 0, 3),
    ):
        before = kit.system_counter(SystemCounter.INVALID_PACKETS)
        kit.feed(bad)
        assert kit.system_counter(SystemCounter.INVALID_PACKETS) == before + 1, bad
    # Known, well formed and not for a receiver: ignored.
    before = kit.system_counter(SystemCounter.INVALID_PACKETS)
    kit.feed(status_message(1, 0, 0))
    assert kit.system_counter(SystemCounter.INVALID_PACKETS) == before
