"""A receiver with several transports of one endpoint, and receive times inside messages."""

from __future__ import annotations

import struct

import pytest
from receive_frames import (
    SESSION,
    STREAM,
    TERM_ID,
    error,
    frame,
    heartbeat,
    nak,
    setup,
    setup_request,
    status_message,
)

from volans.protocol.counter_types import SystemCounter
from volans.testing.receive_kit import PEER_HOST, PEER_PORT, ReceiveKit, ipv4

SECOND_NS = 1_000_000_000
SM_TIMEOUT_NS = 200_000_000
WINDOW = 32768
OTHER_PORT = 20122
EOS = 0x20
PENDING_SETUP = 2
FEEDBACK_PORT = 30002
MEDIA_NS, CHANNEL_NS = 1_700_000_000_111_111_111, 1_700_000_000_222_222_222


@pytest.fixture
def kit():
    with ReceiveKit() as made:
        made.receiver.add_subscription(made.endpoint, STREAM)
        made.cycle()
        yield made


@pytest.fixture
def feedback(kit):
    """A second port of the peer, and what came to it since the last call."""
    endpoint = kit.peer.open(PEER_HOST, FEEDBACK_PORT)

    def received():
        kit.peer.set_now_ns(kit.now_ns)
        return [(r.endpoint, r.data) for r in kit.peer.poll(256)]

    def split():
        own, other = [], []
        for where, data in received():
            (other if where == endpoint else own).append(data)
        return own, other

    return split


def image_of_two(kit, tmp_path):
    """Two destinations, each of which has brought a frame from a port of its own."""
    other = kit.add_destination(OTHER_PORT)
    image = kit.make_image(directory=tmp_path, window_length=WINDOW)
    image.add_subscriber()
    kit.feed(frame(0, b""))
    kit.feed(frame(0, b""), source=ipv4(PEER_HOST, FEEDBACK_PORT), destination=other)
    return image, other


def test_sources_of_all_destinations_are_told(kit, tmp_path, feedback):
    image, _other = image_of_two(kit, tmp_path)
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    message = status_message(TERM_ID, 0, WINDOW)
    own, other = feedback()
    assert message in own
    assert other == [message]
    assert image.active_transport_count == 2
    kit.feed(frame(1024, b""))
    image.track()
    kit.advance(2_000)
    image.track()
    kit.cycle()
    assert feedback() == ([nak(TERM_ID, 32, 992)], [nak(TERM_ID, 32, 992)])
    image.reject(b"no")
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert feedback() == ([error(13, b"no")], [error(13, b"no")])


def test_frames_of_one_session_join_whatever_way_they_come(kit, tmp_path):
    image, other = image_of_two(kit, tmp_path)
    for i in range(1, 9):
        kit.feed(frame(32 * i, b""), destination=other if i % 2 else None)
    image.track()
    assert image.position == 32 * 9
    assert image.naks_sent == 0


def test_a_source_that_is_silent_for_five_seconds_is_told_no_more(kit, tmp_path, feedback):
    image, other = image_of_two(kit, tmp_path)
    for _ in range(5):
        kit.advance(SECOND_NS)
        kit.feed(heartbeat(32), source=ipv4(PEER_HOST, FEEDBACK_PORT), destination=other)
        kit.cycle()
    feedback()
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    own, still = feedback()
    assert own == []
    assert len(still) == 1
    kit.feed(heartbeat(32))
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert len(feedback()[0]) == 1
    assert image.active_transport_count == 2


def test_the_stream_ends_when_it_ended_on_every_connection(kit, tmp_path):
    image, other = image_of_two(kit, tmp_path)
    kit.feed(heartbeat(32, flags=0xC0 | EOS))
    assert image.end_of_stream_position is None
    kit.feed(heartbeat(64, flags=0xC0 | EOS), destination=other)
    assert image.end_of_stream_position == 64


def test_a_removed_destination_needs_no_end(kit, tmp_path):
    image, other = image_of_two(kit, tmp_path)
    kit.remove_destination(other)
    kit.feed(heartbeat(32, flags=0xC0 | EOS))
    assert image.end_of_stream_position == 32


def test_a_destination_comes_while_an_image_lives(kit, tmp_path, feedback):
    """One with explicit control is told before anything was heard of it; another is not."""
    image = kit.make_image(directory=tmp_path, window_length=WINDOW)
    image.add_subscriber()
    feedback()
    kit.add_destination(OTHER_PORT, control=(PEER_HOST, FEEDBACK_PORT))
    assert feedback() == ([], [setup_request(session=0, stream=0)])
    kit.add_destination(OTHER_PORT + 1)
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    message = status_message(TERM_ID, 0, WINDOW)
    assert feedback() == ([message], [message])
    assert image.active_transport_count == 0


def test_an_image_is_heard_over_the_destination_that_is_left(kit, tmp_path, feedback):
    image, other = image_of_two(kit, tmp_path)
    first = kit.destination
    kit.remove_destination(first)
    feedback()
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    own, still = feedback()
    assert own == []
    assert len(still) == 1
    kit.feed(frame(32, b""), destination=other)
    assert image.hwm == 64
    assert image.active_transport_count == 1


def test_an_image_whose_first_destination_went_meanwhile_waits_for_another(kit, tmp_path, feedback):
    other = kit.add_destination(OTHER_PORT)
    kit.remove_destination(kit.destination)
    image = kit.make_image(directory=tmp_path, window_length=WINDOW)
    image.add_subscriber()
    feedback()
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert feedback() == ([], [])
    kit.feed(frame(0, b""), source=ipv4(PEER_HOST, FEEDBACK_PORT), destination=other)
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert len(feedback()[1]) == 1


def test_a_removed_destination_takes_its_setup_requests_along(kit):
    other = kit.add_destination(OTHER_PORT)
    kit.feed(frame(0, b""), destination=other)
    assert kit.session_state(STREAM, SESSION) == PENDING_SETUP
    kit.remove_destination(other)
    assert kit.session_state(STREAM, SESSION) == 0
    kit.sent()
    kit.feed(frame(0, b""))
    assert kit.session_state(STREAM, SESSION) == PENDING_SETUP


def test_a_removed_destination_hears_nothing_and_is_asked_nothing(kit):
    other = kit.add_destination(OTHER_PORT, control=(PEER_HOST, PEER_PORT))
    assert kit.sent() == [setup_request(session=0, stream=0)]
    kit.advance(SECOND_NS + 1)
    kit.cycle()
    assert kit.sent() == [setup_request(session=0, stream=0)]
    kit.remove_destination(other)
    kit.send(setup(), port=OTHER_PORT)
    kit.advance(SECOND_NS + 1)
    kit.cycle()
    assert kit.sent() == []
    assert kit.requests() == []


def test_a_request_for_an_image_names_its_destination(kit):
    other = kit.add_destination(OTHER_PORT)
    kit.send(setup(), port=OTHER_PORT)
    kit.cycle()
    (request,) = kit.requests()
    assert (request.endpoint_id, request.destination_id) == (5, other.destination_id)


def test_a_session_asks_at_every_explicit_control(kit, feedback):
    kit.add_destination(OTHER_PORT, control=(PEER_HOST, FEEDBACK_PORT))
    feedback()
    kit.receiver.add_subscription_by_session(kit.endpoint, STREAM + 1, 9)
    kit.cycle()
    assert feedback() == ([], [setup_request(session=9, stream=STREAM + 1)])


def test_a_destination_the_receiver_never_had_is_released(kit):
    unknown = kit.make_destination(OTHER_PORT)
    kit.receiver.remove_destination(unknown)
    kit.cycle()
    assert unknown.released


def test_each_multicast_destination_has_its_own_ttl(kit):
    near = kit.add_destination(
        OTHER_PORT, control=(PEER_HOST, FEEDBACK_PORT), is_multicast=True, multicast_ttl=1
    )
    kit.feed(setup(ttl=16))
    assert kit.system_counter(SystemCounter.POSSIBLE_TTL_ASYMMETRY) == 0
    kit.feed(setup(session=SESSION + 1, ttl=16), destination=near)
    assert kit.system_counter(SystemCounter.POSSIBLE_TTL_ASYMMETRY) == 1


# --- receive times --------------------------------------------------------------------------------
BEGIN, END = 0x80, 0x40


def stamped(tmp_path, packets, **offsets):
    """The log after packets that came at MEDIA_NS and CHANNEL_NS."""
    with ReceiveKit(**offsets) as kit:
        kit.receiver.add_subscription(kit.endpoint, STREAM)
        kit.cycle()
        image = kit.make_image(directory=tmp_path)
        image.add_subscriber()
        for packet in packets:
            kit.feed(packet, media_timestamp_ns=MEDIA_NS, channel_timestamp_ns=CHANNEL_NS)
        return image.term(0)


def payload_times(log, at):
    return struct.unpack_from("<2q", log, at + 32)


def reserved_value(log, at):
    return struct.unpack_from("<q", log, at + 24)[0]


def test_times_go_where_the_channel_asks(tmp_path):
    log = stamped(
        tmp_path, [frame(0, bytes(16))], media_timestamp_offset=0, channel_timestamp_offset=8
    )
    assert payload_times(log, 0) == (MEDIA_NS, CHANNEL_NS)
    assert reserved_value(log, 0) == 0


def test_the_reserved_value_is_one_of_the_places(tmp_path):
    log = stamped(
        tmp_path, [frame(0, bytes(16))], media_timestamp_offset=-8, channel_timestamp_offset=8
    )
    assert reserved_value(log, 0) == MEDIA_NS
    assert payload_times(log, 0) == (0, CHANNEL_NS)


def test_without_offsets_nothing_is_written(tmp_path):
    assert stamped(tmp_path, [frame(0, bytes(16))])[:64] == frame(0, bytes(16))


def test_only_the_beginning_of_a_message_is_written_to(tmp_path):
    parts = [
        frame(0, bytes(16), flags=BEGIN),
        frame(64, bytes(16), flags=0),
        frame(128, bytes(16), flags=END),
    ]
    log = stamped(tmp_path, parts, media_timestamp_offset=0, channel_timestamp_offset=-8)
    assert payload_times(log, 0) == (MEDIA_NS, 0)
    assert reserved_value(log, 0) == CHANNEL_NS
    assert log[64:192] == parts[1] + parts[2]


def test_every_message_of_a_datagram_is_written_to(tmp_path):
    packet = frame(0, bytes(16)) + frame(64, bytes(16))
    log = stamped(tmp_path, [packet], media_timestamp_offset=0)
    assert [payload_times(log, at)[0] for at in (0, 64)] == [MEDIA_NS, MEDIA_NS]


@pytest.mark.parametrize("offset", [9, 2**31 - 1])
def test_a_message_too_short_for_a_time_is_left_as_it_is(tmp_path, offset):
    packet = frame(0, bytes(range(16)))
    assert stamped(tmp_path, [packet], media_timestamp_offset=offset)[:64] == packet
