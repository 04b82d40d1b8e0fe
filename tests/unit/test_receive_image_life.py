"""The life of an image on the conductor's side: active, draining, lingering, done."""

from __future__ import annotations

import pytest
from receive_frames import STREAM, TERM_ID, frame, heartbeat, status_message

from volans.driver.agent_messages import StreamChange
from volans.testing.receive_kit import ReceiveKit

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
SM_EOS = 0x40
WINDOW = 32768


@pytest.fixture
def kit():
    kit = ReceiveKit()
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    return kit


@pytest.fixture
def image(kit, tmp_path):
    image = kit.make_image(directory=tmp_path)
    image.subscriber = image.add_subscriber()
    kit.sent()
    return image


def changes(kit):
    return [(m.change, m.registration_id) for m in kit.requests() if isinstance(m, StreamChange)]


def test_silence_of_ten_seconds_ends_an_image(kit, image):
    kit.advance(10 * SECOND_NS)
    image.time_event()
    assert image.state == "ACTIVE"
    kit.advance(1)
    image.time_event()
    assert image.state == "DRAINING"


def test_packets_and_heartbeats_keep_an_image(kit, image):
    for packet in (frame(0, b""), heartbeat(32)):
        kit.advance(9 * SECOND_NS)
        kit.feed(packet)
        image.time_event()
        assert image.state == "ACTIVE"


def test_without_subscribers_an_image_ends(kit, image):
    image.remove_subscriber()
    image.time_event()
    assert image.state == "DRAINING"


def test_the_end_of_the_stream_ends_an_image_only_when_all_has_come(kit, image):
    kit.feed(frame(0, b""))
    kit.feed(heartbeat(64, flags=0xE0))
    image.track()
    image.time_event()
    assert image.state == "ACTIVE"
    kit.feed(frame(32, b""))
    image.track()
    image.time_event()
    assert image.state == "DRAINING"


def test_draining_tells_the_publication_and_waits_for_the_subscribers(kit, image):
    kit.feed(frame(0, b""))
    kit.feed(heartbeat(32, flags=0xE0))
    image.track()
    image.time_event()
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW, flags=SM_EOS)]
    kit.advance(1001 * MILLISECOND_NS)
    image.time_event()
    assert image.state == "DRAINING"  # something is unread
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW, flags=SM_EOS)]
    image.consume(image.subscriber, 32)
    image.time_event()
    assert image.state == "LINGER"


def drain(kit, image):
    kit.feed(heartbeat(0, flags=0xE0))
    image.time_event()
    assert image.state == "DRAINING"
    kit.advance(1000 * MILLISECOND_NS)
    image.time_event()
    assert image.state == "DRAINING"
    kit.advance(1)
    image.time_event()


def test_lingering_tells_receiver_and_control_plane_and_ends_with_the_last_subscriber(kit, image):
    drain(kit, image)
    assert image.state == "LINGER"
    assert changes(kit) == [("image_linger", image.registration_id)]
    assert not image.owner.released
    kit.cycle()
    assert image.owner.released
    image.time_event()
    assert image.state == "LINGER"
    image.remove_subscriber()
    image.time_event()
    assert image.state == "DONE"
    assert changes(kit) == [("image_done", image.registration_id)]
    image.time_event()
    assert changes(kit) == []


def test_lingering_ends_after_the_liveness_timeout(kit, image):
    drain(kit, image)
    kit.advance(10 * SECOND_NS)
    image.time_event()
    assert image.state == "LINGER"
    kit.advance(1)
    image.time_event()
    assert image.state == "DONE"


def test_full_rings_hold_the_end_up_until_both_can_be_told(kit, image):
    kit.fill_control_ring()
    drain(kit, image)
    assert image.state == "DRAINING"
    kit.requests()
    kit.fill_receiver_ring()
    image.time_event()
    assert image.state == "DRAINING"
    assert changes(kit) == []
    while kit.cycle() > 0:
        pass
    assert not image.owner.released
    image.time_event()
    assert image.state == "LINGER"
    assert changes(kit) == [("image_linger", image.registration_id)]
    kit.cycle()
    assert image.owner.released
    image.remove_subscriber()
    kit.fill_control_ring()
    image.time_event()
    assert image.state == "LINGER"
    kit.requests()
    image.time_event()
    assert image.state == "DONE"


def test_a_revoked_image_goes_at_once_and_stops_tracking(kit, image):
    kit.feed(frame(0, b""))
    kit.feed(heartbeat(32, flags=0xF0))
    assert image.track() == 0
    image.time_event()
    assert image.state == "DRAINING"
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW, flags=SM_EOS)]
    image.time_event()
    assert image.state == "LINGER"
    assert image.position == 0


def test_an_older_image_of_the_session_falls_silent_when_a_new_one_comes(kit, image, tmp_path):
    image.remove_subscriber()
    image.time_event()
    kit.cycle()
    kit.sent()
    kit.make_image(directory=tmp_path)
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]
    kit.advance(SECOND_NS)
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]
