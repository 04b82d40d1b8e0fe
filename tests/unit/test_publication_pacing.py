"""The conductor's side of a network publication: limits, cleaning, unblocking, states."""

import struct

import send_frames as frames
from send_frames import MS, SECOND, TERM_LENGTH

from volans.testing.send_kit import PublicationKit, SenderKit

LINGER = 4
DONE = 5
WINDOW = TERM_LENGTH // 2


def connected(**options):
    sender = SenderKit()
    publication = PublicationKit(sender, **options)
    publication.send(0)
    sender.receive(frames.status_message(), 0)
    sender.take()
    return sender, publication


def kinds(sender):
    return [kind for kind, _payload in sender.events()]


def stream_along(sender, publication, position):
    """Let the publisher fill and the sender send up to at least that position."""
    while publication.counter("sender_position") < position:
        publication.update_limit()
        if publication.counter("publisher_limit") > publication.log.position():
            publication.log.append(bytes(1000))
        publication.send(0)
        at = publication.counter("sender_position")
        sender.receive(frames.status_message(at), 0)
    sender.take()


def test_limit_is_a_window_ahead_of_the_sender_once_connected():
    sender = SenderKit()
    publication = PublicationKit(sender)
    assert publication.update_limit() == 0
    assert publication.counter("publisher_limit") == 0
    sender.receive(frames.status_message(), 0)
    assert publication.update_limit() == 1
    assert publication.counter("publisher_limit") == WINDOW
    assert publication.update_limit() == 0


def test_publisher_position_follows_the_log():
    _sender, publication = connected()
    publication.log.append(bytes(96))
    publication.update_limit()
    assert publication.counter("publisher_position") == 128


def test_slowest_spy_holds_the_limit():
    _sender, publication = connected()
    publication.add_spy(0)
    publication.add_spy(1)
    publication.set_counter("sender_position", 4096)
    publication.move_spy(0, 1024)
    publication.move_spy(1, 2048)
    publication.update_limit()
    assert publication.counter("publisher_limit") == 1024 + WINDOW
    assert publication.remove_spy(0) == 900
    publication.update_limit()
    assert publication.counter("publisher_limit") == 2048 + WINDOW


def test_spy_ahead_of_the_sender_does_not_raise_the_limit():
    _sender, publication = connected()
    publication.add_spy(0)
    publication.move_spy(0, 4096)
    publication.update_limit()
    assert publication.counter("publisher_limit") == WINDOW


def test_limit_falls_back_to_the_sender_when_all_are_gone():
    _sender, publication = connected()
    publication.update_limit()
    publication.send(6 * SECOND)
    assert publication.update_limit() == 1
    assert publication.counter("publisher_limit") == 0
    assert not publication.log.is_connected


def test_spy_joins_at_the_sender_position():
    sender, publication = connected()
    stream_along(sender, publication, 5000)
    assert publication.add_spy(0) == publication.counter("sender_position")
    assert publication.has_spies
    publication.remove_spy(0)
    assert not publication.has_spies
    assert publication.remove_spy(0) == -1


def test_cleaning_follows_a_term_behind_the_slowest_consumer():
    sender, publication = connected()
    stream_along(sender, publication, TERM_LENGTH + 20000)
    publication.update_limit()
    clean = publication.clean_position
    assert clean == publication.counter("sender_position") - TERM_LENGTH
    assert not any(publication.log.term(0)[:clean])
    assert any(publication.log.term(0)[clean : clean + 64])


def test_slow_spy_holds_the_cleaning():
    sender, publication = connected()
    publication.add_spy(0)
    for _ in range(200):
        publication.update_limit()
        if publication.counter("publisher_limit") > publication.log.position():
            publication.log.append(bytes(1000))
        publication.send(0)
        sender.receive(frames.status_message(publication.counter("sender_position")), 0)
        sender.take()
    assert publication.clean_position == 0
    assert publication.counter("publisher_limit") == WINDOW


def test_a_stream_runs_through_many_terms_with_cleaned_memory_ahead():
    sender, publication = connected()
    stream_along(sender, publication, 7 * TERM_LENGTH)
    assert publication.counter("sender_position") >= 7 * TERM_LENGTH
    assert publication.log.active_term_count >= 7


def test_blocked_publisher_is_unblocked_after_the_timeout():
    sender, publication = connected()
    publication.update_limit()
    _position, claim = publication.log.claim(96)
    publication.time_event(SECOND)
    publication.time_event(15 * SECOND)
    assert sender.system(frames.UNBLOCKED_PUBLICATIONS) == 0
    publication.time_event(16 * SECOND)
    assert sender.system(frames.UNBLOCKED_PUBLICATIONS) == 1
    del claim


def test_progress_of_the_sender_puts_the_unblocking_off():
    sender, publication = connected()
    publication.update_limit()
    publication.log.append(bytes(96))
    publication.log.claim(96)
    publication.time_event(SECOND)
    sender.receive(frames.status_message(), 14 * SECOND)
    publication.send(14 * SECOND)
    publication.time_event(16 * SECOND)
    assert sender.system(frames.UNBLOCKED_PUBLICATIONS) == 0
    publication.time_event(31 * SECOND + 1)
    assert sender.system(frames.UNBLOCKED_PUBLICATIONS) == 1


def test_exclusive_publisher_is_not_unblocked_while_it_lives():
    sender, publication = connected(is_exclusive=True)
    publication.update_limit()
    publication.log.claim(96, exclusive=True)
    publication.time_event(SECOND)
    publication.time_event(60 * SECOND)
    assert sender.system(frames.UNBLOCKED_PUBLICATIONS) == 0


def test_life_ends_by_draining_and_lingering():
    sender, publication = connected()
    publication.update_limit()
    publication.log.append(bytes(96))
    publication.close_last_client(SECOND)
    assert publication.state_name == "DRAINING"
    assert publication.counter("publisher_limit") == 128
    assert publication.end_of_stream_position == 128
    assert not publication.is_end_of_stream
    publication.time_event(2 * SECOND)
    assert publication.state_name == "DRAINING"
    publication.send(2 * SECOND)
    publication.time_event(3 * SECOND)
    assert publication.is_end_of_stream
    assert publication.state_name == "LINGER"
    [(kind, payload)] = sender.events()
    assert (kind, struct.unpack("<q", payload)) == (LINGER, (77,))
    publication.time_event(8 * SECOND)
    assert publication.state_name == "LINGER"
    publication.time_event(8 * SECOND + 1)
    assert publication.state_name == "DONE"
    assert kinds(sender) == [DONE]
    publication.time_event(60 * SECOND)
    assert kinds(sender) == []


def test_life_waits_for_a_control_plane_that_does_not_listen():
    sender, publication = connected()
    publication.close_last_client(SECOND)
    assert sender.fill_events() > 0
    publication.time_event(2 * SECOND)
    assert publication.state_name == "DRAINING"
    while kinds(sender):
        pass
    publication.time_event(3 * SECOND)
    assert publication.state_name == "LINGER"
    assert kinds(sender) == [LINGER]


def test_draining_without_receivers_gives_up_what_was_not_sent():
    sender = SenderKit()
    publication = PublicationKit(sender)
    publication.log.append(bytes(96))
    publication.close_last_client(0)
    publication.time_event(SECOND)
    assert publication.state_name == "LINGER"


def test_draining_waits_for_spies():
    sender, publication = connected()
    publication.add_spy(0)
    publication.log.append(bytes(96))
    publication.send(MS)
    publication.close_last_client(MS)
    publication.time_event(SECOND)
    assert publication.state_name == "DRAINING"
    publication.move_spy(0, 128)
    publication.time_event(2 * SECOND)
    assert publication.state_name == "LINGER"
    assert not publication.has_spies
    assert kinds(sender) == [LINGER]


def test_draining_unblocks_what_a_dead_client_left_claimed():
    sender, publication = connected()
    publication.update_limit()
    publication.log.claim(96)
    publication.close_last_client(SECOND)
    publication.time_event(2 * SECOND)
    assert sender.system(frames.UNBLOCKED_PUBLICATIONS) == 1
    publication.send(2 * SECOND)
    publication.time_event(3 * SECOND)
    assert publication.state_name == "LINGER"


def test_unicast_receivers_end_of_stream_cuts_the_linger_short():
    sender, publication = connected()
    publication.close_last_client(SECOND)
    publication.time_event(SECOND)
    assert publication.state_name == "LINGER"
    sender.receive(frames.status_message(flags=0x40), SECOND)
    publication.time_event(2 * SECOND)
    assert publication.state_name == "DONE"


def test_revoked_stream_ends_at_once():
    sender, publication = connected()
    publication.update_limit()
    publication.add_spy(0)
    publication.log.append(bytes(96))
    publication.revoke()
    publication.time_event(SECOND)
    assert publication.state_name == "LINGER"
    assert publication.is_end_of_stream
    assert not publication.log.is_connected
    assert publication.end_of_stream_position == 128
    assert publication.counter("publisher_limit") == 128
    assert sender.system(frames.PUBLICATIONS_REVOKED) == 1
    assert kinds(sender) == [LINGER]


def test_lingering_waits_for_the_last_client():
    _sender, publication = connected()
    publication.revoke()
    publication.time_event(SECOND)
    publication.time_event(60 * SECOND)
    assert publication.state_name == "LINGER"
    publication.close_last_client(61 * SECOND)
    publication.time_event(67 * SECOND)
    assert publication.state_name == "DONE"
