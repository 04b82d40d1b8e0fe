"""Min, max and tagged flow control: who moves the limit, who counts, who is waited for."""

import struct

import pytest
import send_frames as frames
from send_frames import MS, SECOND

from volans.testing.send_kit import PublicationKit, SenderKit

WINDOW = 4096


def group_publication(flow_control, **options):
    sender = SenderKit(has_group_semantics=True)
    publication = PublicationKit(sender, flow_control=flow_control, **options)
    publication.send(0)
    sender.take()
    return sender, publication


def status(receiver_id, position=0, *, flags=0, window=WINDOW, tag=None):
    frame = frames.status_message(position, window, flags=flags, receiver_id=receiver_id)
    if tag is None:
        return frame
    return struct.pack("<i", 44) + frame[4:] + struct.pack("<q", tag)


def limit(publication):
    return publication.counter("sender_limit")


def test_max_follows_the_fastest_receiver():
    sender, publication = group_publication("max")
    sender.receive(status(1, 3200), MS)
    sender.receive(status(2, 0), MS)
    assert limit(publication) == 3200 + WINDOW
    assert publication.has_required_receivers


def test_min_follows_the_slowest_receiver_and_never_back_on_a_status_message():
    sender, publication = group_publication("min")
    sender.receive(status(1, 0), MS)
    sender.receive(status(2, 0), MS)
    assert publication.counter("receiver_count") == 2
    sender.receive(status(1, 3200), MS)
    assert limit(publication) == WINDOW
    sender.receive(status(2, 1600), MS)
    assert limit(publication) == 1600 + WINDOW
    sender.receive(status(2, 1600, window=1024), MS)
    assert limit(publication) == 1600 + WINDOW


def test_min_steps_back_when_idle_for_a_receiver_that_joined_behind():
    sender, publication = group_publication("min")
    sender.receive(status(1, 3200), MS)
    assert limit(publication) == 3200 + WINDOW
    sender.receive(status(2, 1600), MS)
    assert publication.counter("receiver_count") == 2
    publication.send(2 * MS)
    assert limit(publication) == 1600 + WINDOW


def test_min_does_not_wait_for_one_that_is_behind_everybodys_window():
    sender, publication = group_publication("min")
    sender.receive(status(1, 9600), MS)
    sender.receive(status(2, 9600 - WINDOW - 32), MS)
    assert publication.counter("receiver_count") == 1
    sender.receive(status(2, 9600 - WINDOW), MS)
    assert publication.counter("receiver_count") == 2


def test_silent_receiver_counts_no_more_after_its_time_out():
    sender, publication = group_publication("min", receiver_timeout_ns=SECOND)
    sender.receive(status(1, 0), 0)
    sender.receive(status(2, 0), 0)
    sender.receive(status(1, 3200), SECOND)
    publication.send(SECOND)
    assert limit(publication) == WINDOW
    publication.send(SECOND + 1)
    assert publication.counter("receiver_count") == 1
    assert limit(publication) == 3200 + WINDOW


def test_receiver_that_says_it_ends_leaves_at_once():
    sender, publication = group_publication("min")
    sender.receive(status(1, 3200), MS)
    sender.receive(status(2, 0), MS)
    sender.receive(status(2, 0, flags=0x40), MS)
    assert publication.counter("receiver_count") == 1
    assert limit(publication) == 3200 + WINDOW
    sender.receive(status(1, 3200, flags=0x40), MS)
    assert publication.counter("receiver_count") == 0
    assert limit(publication) == 3200 + WINDOW


def test_receiver_that_rejects_the_stream_leaves_at_once():
    sender, publication = group_publication("min")
    sender.receive(status(1, 3200), MS)
    sender.receive(status(2, 0), MS)
    sender.receive(frames.error_frame(b"no", receiver_id=2), MS)
    assert publication.counter("receiver_count") == 1
    publication.send(2 * MS)
    assert limit(publication) == 3200 + WINDOW


def test_group_size_gates_the_connection_and_the_limit():
    sender, publication = group_publication("min", group_min_size=2)
    assert not publication.has_required_receivers
    sender.receive(status(1, 0), MS)
    publication.time_event(MS)
    assert publication.has_receivers
    assert not publication.is_connected
    assert limit(publication) == 0
    sender.receive(status(2, 0), MS)
    assert publication.has_required_receivers
    assert publication.is_connected
    assert limit(publication) == WINDOW
    sender.receive(status(2, 0, flags=0x40), 2 * MS)
    assert not publication.is_connected
    sender.receive(status(1, 3200), 2 * MS)
    assert limit(publication) == WINDOW


def test_tagged_counts_only_receivers_with_its_tag():
    sender, publication = group_publication("tagged", group_tag=-77)
    sender.receive(status(1, 3200, tag=-77), MS)
    sender.receive(status(2, 0, tag=5), MS)
    sender.receive(status(3, 0), MS)
    assert publication.counter("receiver_count") == 1
    assert limit(publication) == 3200 + WINDOW


def test_tagged_without_members_is_moved_by_whoever_listens():
    sender, publication = group_publication("tagged", group_tag=7)
    sender.receive(status(2, 1600), MS)
    assert limit(publication) == 1600 + WINDOW
    assert publication.counter("receiver_count") == 0


def test_tagged_with_a_group_size_stands_still_without_its_members():
    sender, publication = group_publication("tagged", group_tag=7, group_min_size=1)
    sender.receive(status(2, 1600, tag=8), MS)
    assert limit(publication) == 0
    assert publication.has_receivers
    assert not publication.is_connected
    sender.receive(status(3, 1600, tag=7), MS)
    assert limit(publication) == 1600 + WINDOW
    assert publication.is_connected


def test_stranger_cannot_remove_a_tagged_member_by_its_end():
    sender, publication = group_publication("tagged", group_tag=7)
    sender.receive(status(1, 0, tag=7), MS)
    sender.receive(status(1, 0, flags=0x40), MS)
    assert publication.counter("receiver_count") == 1


@pytest.mark.parametrize("tag", [None, 7])
def test_stream_is_held_for_a_receiver_that_asked_for_a_setup(tag):
    strategy = "min" if tag is None else "tagged"
    sender, publication = group_publication(strategy, group_tag=7, receiver_timeout_ns=SECOND)
    sender.receive(status(1, 0, tag=tag), 0)
    sender.receive(status(9, 0, flags=0x80, window=0, tag=tag), 200 * MS)
    publication.send(200 * MS)  # the SETUP
    sender.receive(status(1, 3200, tag=tag), 300 * MS)
    assert limit(publication) == WINDOW
    sender.receive(status(9, 1600, tag=tag), 400 * MS)
    assert limit(publication) == 1600 + WINDOW


def test_stream_is_held_no_longer_than_the_receiver_time_out():
    sender, publication = group_publication("min", receiver_timeout_ns=SECOND)
    sender.receive(status(1, 0), 0)
    sender.receive(status(9, 0, flags=0x80, window=0), 200 * MS)
    publication.send(200 * MS)
    sender.receive(status(1, 3200), 1_200 * MS)
    assert limit(publication) == WINDOW
    sender.receive(status(1, 3200), 1_200 * MS + 1)
    assert limit(publication) == 3200 + WINDOW


def test_tagged_is_not_held_for_a_stranger():
    sender, publication = group_publication("tagged", group_tag=7)
    sender.receive(status(1, 0, tag=7), 0)
    sender.receive(status(9, 0, flags=0x80, window=0), 200 * MS)
    publication.send(200 * MS)
    sender.receive(status(1, 3200, tag=7), 300 * MS)
    assert limit(publication) == 3200 + WINDOW


@pytest.mark.parametrize(
    ("flow_control", "multiple", "sent"),
    [("unicast", 0, 16), ("max", 0, 4), ("min", 0, 4), ("tagged", 0, 4), ("min", 2, 2)],
)
def test_retransmit_is_cut_to_a_multiple_of_the_window(flow_control, multiple, sent):
    sender = SenderKit(has_group_semantics=flow_control != "unicast", initial_window_length=1408)
    publication = PublicationKit(
        sender, flow_control=flow_control, retransmit_window_multiple=multiple, max_resend=16
    )
    publication.send(0)
    sender.receive(frames.status_message(), 0)
    for number in range(18):
        publication.log.append(bytes([number]) * 1376)
        publication.send(0)
    sender.take()
    sender.receive(frames.nak(0, 18 * 1408), MS)
    assert len(sender.take()) == sent
