"""NAKs of a group: one answer for all who lost the same, slots for who lost something else."""

import pytest
import send_frames as frames
from send_frames import MS

from volans.testing.send_kit import PublicationKit, SenderKit

LINGER = 10 * MS


def sent_stream(max_resend, message_count=12, **settings):
    """A group's publication that has sent so many datagrams of 1408 bytes."""
    sender = SenderKit(has_group_semantics=True, **settings)
    publication = PublicationKit(sender, max_resend=max_resend, flow_control="min")
    publication.send(0)
    sender.receive(frames.status_message(), 0)
    for number in range(message_count):
        publication.log.append(bytes([number]) * 1376)
        publication.send(0)
    sender.take()
    return sender, publication


@pytest.mark.parametrize("max_resend", [1, 16, 256])
def test_there_are_max_resend_slots(max_resend):
    sender, publication = sent_stream(max_resend, message_count=0)
    for _ in range(max_resend + 1):
        publication.log.append(bytes(32))
        publication.send(0)
    sender.take()
    for number in range(max_resend + 1):
        sender.receive(frames.nak(number * 64, 64), MS)
    assert frames.term_offsets(sender.take()) == [number * 64 for number in range(max_resend)]
    assert publication.active_retransmit_count == max_resend
    assert sender.system(frames.RETRANSMIT_OVERFLOW) == 1


def test_loss_inside_of_what_is_being_answered_needs_no_slot():
    sender, publication = sent_stream(2)
    sender.receive(frames.nak(1408, 3 * 1408), MS)
    sender.take()
    for position in (1408, 2 * 1408, 3 * 1408):
        sender.receive(frames.nak(position, 1408), 2 * MS)
    assert sender.take() == []
    assert publication.active_retransmit_count == 1
    sender.receive(frames.nak(4 * 1408, 1408), 2 * MS)
    assert frames.term_offsets(sender.take()) == [4 * 1408]


def test_loss_that_begins_before_what_is_being_answered_takes_another_slot():
    sender, publication = sent_stream(2)
    sender.receive(frames.nak(1408, 1408), MS)
    sender.take()
    sender.receive(frames.nak(0, 2 * 1408), 2 * MS)
    assert frames.term_offsets(sender.take()) == [0, 1408]
    assert publication.active_retransmit_count == 2


def test_slots_come_back_one_by_one_as_their_linger_ends():
    sender, publication = sent_stream(2)
    sender.receive(frames.nak(0, 1408), MS)
    sender.receive(frames.nak(1408, 1408), 5 * MS)
    sender.receive(frames.nak(2 * 1408, 1408), 6 * MS)
    assert frames.term_offsets(sender.take()) == [0, 1408]
    publication.send(MS + LINGER + 1)
    assert publication.active_retransmit_count == 1
    sender.receive(frames.nak(2 * 1408, 1408), MS + LINGER + 1)
    assert frames.term_offsets(sender.take()) == [2 * 1408]
    sender.receive(frames.nak(3 * 1408, 1408), MS + LINGER + 1)
    assert sender.take() == []
    assert sender.system(frames.RETRANSMIT_OVERFLOW) == 2


def test_delayed_answer_holds_its_slot_from_the_first_nak_on():
    sender, publication = sent_stream(1, retransmit_delay_ns=2 * MS)
    sender.receive(frames.nak(0, 1408), MS)
    sender.receive(frames.nak(1408, 1408), MS)
    assert sender.system(frames.RETRANSMIT_OVERFLOW) == 1
    publication.send(3 * MS + 1)
    assert frames.term_offsets(sender.take()) == [0]
    publication.send(3 * MS + 1 + LINGER)
    assert publication.active_retransmit_count == 1
    publication.send(3 * MS + 2 + LINGER)
    assert publication.active_retransmit_count == 0
