"""The sender's duty cycle: commands, fairness, one flush, when control sockets are polled."""

import errno

import send_frames as frames
from send_frames import MS

from volans.testing.send_kit import PublicationKit, SenderKit


def running(count=1, **options):
    sender = SenderKit(**options)
    publications = []
    sender.add_endpoint()
    for number in range(count):
        publication = PublicationKit(sender, session_id=1001 + number)
        sender.add_publication(publication)
        publications.append(publication)
    sender.cycle(0)
    for publication in publications:
        publication.set_counter("sender_limit", 32768)
    sender.take()
    return sender, publications


def test_added_publication_is_sent_and_removed_one_is_not_touched_again():
    sender, [publication] = running()
    assert sender.endpoint_count == 1
    assert publication.sender_index == 0
    publication.log.append(bytes(32))
    sender.cycle(1)
    assert len(sender.take()) == 1
    sender.remove_publication(publication)
    sender.cycle(2)
    assert publication.released
    assert sender.forget_count == 3
    publication.log.append(bytes(32))
    sender.cycle(1000 * MS)
    assert sender.take() == []
    sender.put_into_inbox(frames.status_message())
    sender.cycle(1001 * MS)
    assert not publication.has_receivers


def test_removed_endpoint_is_released():
    sender, _publications = running()
    sender.remove_endpoint()
    assert not sender.endpoint_released
    sender.cycle(1)
    assert sender.endpoint_released
    assert sender.endpoint_count == 0


def test_removal_from_the_middle_keeps_the_others():
    sender, publications = running(3)
    sender.remove_publication(publications[0])
    sender.cycle(1)
    assert [publication.sender_index for publication in publications] == [-1, 1, 0]
    sender.remove_publication(publications[2])
    sender.cycle(2)
    assert [publication.sender_index for publication in publications] == [-1, 0, -1]


def test_one_flush_a_cycle_for_all_publications():
    sender, publications = running(3)
    for publication in publications:
        publication.log.append(bytes(32))
    before = sender.flush_count
    sender.cycle(1)
    assert len(sender.take()) == 3
    assert sender.flush_count == before + 1


def test_publications_take_turns_to_be_first():
    sender, publications = running(3)
    firsts = set()
    for now_ns in range(1, 4):
        for publication in publications:
            publication.log.append(bytes(32))
        sender.cycle(now_ns)
        sent = sender.take()
        assert len(sent) == 3
        firsts.add(int.from_bytes(sent[0][12:16], "little"))
    assert firsts == {1001, 1002, 1003}


def test_bytes_sent_counts_data_and_not_setups():
    sender, [publication] = running()
    assert sender.system(frames.BYTES_SENT) == 0
    publication.log.append(bytes(96))
    assert sender.cycle(1) >= 128
    assert sender.system(frames.BYTES_SENT) == 128


def test_control_is_polled_when_nothing_was_sent():
    sender, _publications = running()
    sender.put_into_inbox(frames.status_message())
    sender.cycle(1)
    assert sender.inbox_count == 0
    assert sender.system(frames.STATUS_MESSAGES_RECEIVED) == 1


def test_busy_sender_polls_control_every_sixth_cycle():
    sender, [publication] = running()
    sender.cycle(1)
    polled = []
    for cycle in range(2, 14):
        sender.put_into_inbox(frames.status_message(0, 32))
        publication.log.append(bytes(32))
        sender.cycle(cycle)
        if sender.inbox_count == 0:
            polled.append(cycle)
    assert polled == [7, 13]


def test_busy_sender_polls_control_when_status_messages_are_due():
    sender, [publication] = running()
    sender.cycle(1)
    for now_ns, is_polled in ((100 * MS + 1, False), (100 * MS + 2, True)):
        sender.put_into_inbox(frames.status_message(0, 32))
        publication.log.append(bytes(32))
        sender.cycle(now_ns)
        assert (sender.inbox_count == 0) is is_polled


def test_retransmits_go_out_in_the_cycle_the_nak_came():
    sender, [publication] = running()
    publication.log.append(bytes(32))
    sender.cycle(1)
    sender.take()
    before = sender.flush_count
    sender.put_into_inbox(frames.nak(0, 64))
    sender.cycle(2)
    assert len(sender.take()) == 1
    assert sender.flush_count == before + 2


def test_send_errors_are_counted_and_logged():
    sender, [publication] = running()
    publication.log.append(bytes(32))
    sender.fail_with(errno.ENETDOWN)
    sender.cycle(1)
    assert sender.system(frames.ERRORS) >= 1
    assert sender.has_errors
    sender.fail_with(0)
    sender.cycle(2)
    assert publication.counter("sender_position") == 64


def test_more_publications_than_the_first_array_holds():
    sender, publications = running(12)
    sender.cycle(1)
    for publication in publications:
        publication.log.append(bytes(32))
    sender.cycle(2)
    assert len(sender.take()) == 12
