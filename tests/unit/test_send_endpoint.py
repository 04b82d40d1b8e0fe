"""Which control frames a send endpoint accepts, and what it counts."""

import pytest
import send_frames as frames
from hypothesis import given
from hypothesis import strategies as st
from send_frames import TERM_LENGTH

from volans.testing.send_kit import PublicationKit, SenderKit


@pytest.fixture
def sender():
    return SenderKit()


@pytest.fixture
def publication(sender):
    return PublicationKit(sender)


def test_status_message_is_counted(sender, publication):
    sender.receive(frames.status_message(), 0)
    assert sender.system(frames.STATUS_MESSAGES_RECEIVED) == 1
    assert sender.system(frames.INVALID_PACKETS) == 0


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0" * 7,
        frames.status_message()[:35],
        frames.nak(0, 32)[:27],
        frames.rttm(1)[:39],
        frames.error_frame(b"text", error_length=5),
        frames.error_frame(b"text", error_length=-1),
        frames.error_frame(b"x" * 1024),
        b"\x24\0\0\0\x01\0\x03\0" + bytes(28),
        b"\xff\xff\xff\xff\0\0\x03\0" + bytes(28),
        b"\x25\0\0\0\0\0\x03\0" + bytes(28),
        b"\x08\0\0\0\0\0\x09\0",
        b"\x20\0\0\0\0\0\x01\0" + bytes(25),
        frames.status_message(0, -1),
        frames.status_message(0, TERM_LENGTH // 2 + 32),
        frames.status_message(16, 0),
        frames.status_message(-32, 0, term_length=1 << 30)[:24] + b"\xe0\xff\xff\xff" + bytes(8),
    ],
)
def test_malformed_frames_are_counted_and_do_nothing(sender, publication, datagram):
    sender.receive(datagram, 0)
    assert sender.system(frames.INVALID_PACKETS) == 1
    assert not publication.has_receivers
    assert sender.take() == []


@pytest.mark.parametrize("frame_type", [0, 1, 5, 7, 0x0B])
def test_well_formed_frames_for_others_are_ignored(sender, publication, frame_type):
    sender.receive(b"\x40\0\0\0\0\0" + frame_type.to_bytes(2, "little") + bytes(56), 0)
    assert sender.system(frames.INVALID_PACKETS) == 0
    assert sender.take() == []


@pytest.mark.parametrize(("position", "is_accepted"), [(0, True), (32, False)])
def test_status_message_half_a_term_behind_is_the_last_accepted(
    sender, publication, position, is_accepted
):
    publication.set_counter("sender_position", TERM_LENGTH // 2 + 2 * position)
    sender.receive(frames.status_message(position), 0)
    assert publication.has_receivers is is_accepted
    assert sender.system(frames.STATUS_MESSAGES_REJECTED) == (0 if is_accepted else 1)


def test_status_message_beyond_half_a_term_ahead_is_rejected(sender, publication):
    sender.receive(frames.status_message(TERM_LENGTH // 2 + 32), 0)
    assert not publication.has_receivers
    assert sender.system(frames.STATUS_MESSAGES_REJECTED) == 1
    sender.receive(frames.status_message(TERM_LENGTH // 2), 0)
    assert publication.has_receivers


def test_setup_request_is_exempt_from_the_bounds(sender, publication):
    publication.set_counter("sender_position", 10 * TERM_LENGTH)
    sender.receive(frames.status_message(0, 0, flags=0x80), 0)
    assert publication.is_setup_elicited
    assert sender.system(frames.STATUS_MESSAGES_REJECTED) == 0


def test_frames_of_other_streams_are_counted_and_dropped(sender, publication):
    sender.receive(frames.status_message(session_id=2), 0)
    sender.receive(frames.status_message(stream_id=2), 0)
    sender.receive(frames.nak(0, 32, session_id=2), 0)
    sender.receive(frames.rttm(1, session_id=2), 0)
    assert sender.system(frames.STATUS_MESSAGES_RECEIVED) == 2
    assert sender.system(frames.NAKS_RECEIVED) == 0
    assert not publication.has_receivers
    assert sender.take() == []


def test_two_streams_of_one_endpoint_get_their_own_frames(sender, publication):
    other = PublicationKit(sender, session_id=-1002, registration_id=78)
    sender.receive(frames.status_message(0, 128, session_id=-1002), 0)
    assert not publication.has_receivers
    assert other.has_receivers
    assert other.counter("sender_limit") == 128


def test_coalesced_datagram_is_taken_apart(sender, publication):
    together = frames.status_message(0, 32) + frames.status_message(0, 64)
    sender.receive(together, 0, segment_length=36)
    assert sender.system(frames.STATUS_MESSAGES_RECEIVED) == 2
    assert publication.counter("sender_limit") == 64


@given(st.lists(st.binary(max_size=80), max_size=20), st.sampled_from([2, 3, 4, 6, 11]))
def test_garbage_never_moves_the_sender_out_of_bounds(datagrams, frame_type):
    sender = SenderKit()
    publication = PublicationKit(sender)
    publication.log.append(bytes(1000))
    for number, body in enumerate(datagrams):
        head = len(body).to_bytes(4, "little") + bytes(2) + frame_type.to_bytes(2, "little")
        addressed = head + (1001).to_bytes(4, "little") + (10).to_bytes(4, "little") + body
        sender.receive(body, number)
        sender.receive(addressed, number)
        publication.send(number)
    assert 0 <= publication.counter("sender_position") <= 1056
    assert 0 <= publication.counter("sender_limit") <= TERM_LENGTH
