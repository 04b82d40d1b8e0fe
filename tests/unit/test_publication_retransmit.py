"""NAKs and what is sent again for them."""

import pytest
import send_frames as frames
from send_frames import MS, TERM_LENGTH

from volans.testing.send_kit import PublicationKit, SenderKit


def sent_stream(message_count=10, *, group=False, publication_options=(), **settings):
    """A publication that has sent so many datagrams of 1408 bytes."""
    sender = SenderKit(has_group_semantics=group, **settings)
    publication = PublicationKit(sender, **dict(publication_options))
    publication.send(0)
    sender.receive(frames.status_message(), 0)
    for number in range(message_count):
        publication.log.append(bytes([number]) * 1376)
        publication.send(0)
    sender.take()
    return sender, publication


def test_nak_is_answered_at_once_with_the_bytes_of_the_term():
    sender, publication = sent_stream()
    sender.receive(frames.nak(1408, 2816), MS)
    assert sender.take() == [
        bytes(publication.log.term(0)[1408:2816]),
        bytes(publication.log.term(0)[2816:4224]),
    ]
    assert sender.system(frames.NAKS_RECEIVED) == 1
    assert publication.counter("naks_received") == 1
    assert sender.system(frames.RETRANSMITS_SENT) == 1
    assert sender.system(frames.RETRANSMITTED_BYTES) == 2816
    assert publication.counter("sender_position") == 14080


def test_linger_suppresses_the_same_nak_until_it_ends():
    sender, publication = sent_stream()
    sender.receive(frames.nak(1408, 1408), MS)
    sender.take()
    sender.receive(frames.nak(1408, 1408), 5 * MS)
    assert sender.take() == []
    publication.send(11 * MS)
    sender.receive(frames.nak(1408, 1408), 11 * MS)
    assert sender.take() == []
    publication.send(11 * MS + 1)
    assert publication.active_retransmit_count == 0
    sender.receive(frames.nak(1408, 1408), 11 * MS + 1)
    assert len(sender.take()) == 1


def test_unicast_reuses_its_one_slot_for_another_gap():
    sender, publication = sent_stream()
    sender.receive(frames.nak(0, 1408), MS)
    sender.receive(frames.nak(4224, 1408), MS)
    assert frames.term_offsets(sender.take()) == [0, 4224]
    assert publication.active_retransmit_count == 1
    assert sender.system(frames.RETRANSMIT_OVERFLOW) == 0


def test_group_has_max_resend_slots_and_counts_the_overflow():
    sender, publication = sent_stream(group=True, publication_options={"max_resend": 3})
    for number in range(4):
        sender.receive(frames.nak(number * 1408, 1408), MS)
    assert frames.term_offsets(sender.take()) == [0, 1408, 2816]
    assert publication.active_retransmit_count == 3
    assert sender.system(frames.RETRANSMIT_OVERFLOW) == 1
    publication.send(20 * MS)
    assert publication.active_retransmit_count == 0


def test_delay_waits_and_sends_once_for_all_who_ask():
    sender, publication = sent_stream(group=True, retransmit_delay_ns=2 * MS)
    sender.receive(frames.nak(1408, 1408), MS)
    sender.receive(frames.nak(1408, 1408), MS)
    publication.send(3 * MS)
    assert sender.take() == []
    publication.send(3 * MS + 1)
    assert frames.term_offsets(sender.take()) == [1408]


def test_nak_for_what_was_not_sent_is_not_answered():
    sender, _publication = sent_stream(message_count=2)
    sender.receive(frames.nak(2816, 1408), MS)
    assert sender.take() == []
    assert sender.system(frames.RETRANSMITS_SENT) == 0


def test_nak_behind_the_resend_window_is_not_answered():
    sender, publication = sent_stream()
    # Half a term and the greatest message behind the sender is the last that is answered.
    reach = TERM_LENGTH // 2 + TERM_LENGTH // 8
    publication.set_counter("sender_position", 1408 + reach)
    sender.receive(frames.nak(0, 1408), MS)
    assert sender.take() == []
    sender.receive(frames.nak(1408, 1408), 2 * MS)
    assert frames.term_offsets(sender.take()) == [1408]


def test_retransmit_is_cut_to_the_flow_controls_multiple_of_the_window():
    # Max flow control answers with 4 windows at most.
    sender, _publication = sent_stream(
        message_count=12,
        initial_window_length=1408,
        publication_options={"flow_control": "max"},
    )
    sender.receive(frames.nak(0, 12 * 1408), MS)
    assert len(sender.take()) == 4


def test_retransmit_of_padding_sends_its_header_and_counts_its_length():
    sender = SenderKit()
    publication = PublicationKit(sender, is_exclusive=True)
    publication.send(0)
    sender.receive(frames.status_message(), 0)
    publication.log.append(bytes(96), exclusive=True)
    publication.log.append_padding(3000)
    publication.log.append(bytes(96), exclusive=True)
    publication.send(0)
    sender.take()
    sender.receive(frames.nak(128, 3040 + 128), MS)
    assert [len(datagram) for datagram in sender.take()] == [32, 128]
    assert sender.system(frames.RETRANSMITTED_BYTES) == 3040 + 128


@pytest.mark.parametrize(
    ("position", "length"),
    [(-32, 64), (TERM_LENGTH * 3 + 16, 64), (TERM_LENGTH - 64, 128), (0, -1), (32, TERM_LENGTH)],
)
def test_nak_outside_the_term_is_an_invalid_packet(position, length):
    sender, publication = sent_stream()
    frame = bytearray(frames.nak(0, length))
    frame[20:24] = (position % TERM_LENGTH if position >= 0 else position).to_bytes(
        4, "little", signed=True
    )
    sender.receive(bytes(frame), MS)
    assert sender.take() == []
    assert sender.system(frames.INVALID_PACKETS) == 1
    assert publication.counter("naks_received") == 0


def test_empty_nak_is_counted_and_not_answered():
    sender, publication = sent_stream()
    sender.receive(frames.nak(0, 0), MS)
    assert sender.take() == []
    assert publication.counter("naks_received") == 1
    assert publication.active_retransmit_count == 0


def test_short_engine_queue_during_a_retransmit_is_a_short_send():
    sender, _publication = sent_stream()
    sender.set_room(1, 0)
    sender.receive(frames.nak(0, 4 * 1408), MS)
    assert len(sender.take()) == 1
    assert sender.system(frames.SHORT_SENDS) == 1
    assert sender.system(frames.RETRANSMITTED_BYTES) == 1408
