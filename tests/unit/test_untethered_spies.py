"""An untethered spy and its publication: until when it holds the publisher back."""

import send_frames as frames
from send_frames import MS, SECOND, TERM_LENGTH

from volans.testing.send_kit import PublicationKit, SenderKit

WINDOW = TERM_LENGTH // 2
TIMEOUT = 100 * MS


def lagging_publication(**options):
    """The sender has sent three quarters of a window that the spy has not read."""
    sender = SenderKit()
    publication = PublicationKit(sender, untethered_timeout_ns=TIMEOUT, **options)
    publication.add_spy(0, is_tether=False)
    sender.receive(frames.status_message(), 0)
    publication.set_counter("sender_position", WINDOW * 3 // 4)
    publication.update_limit()
    return sender, publication


def limit(publication):
    publication.update_limit()
    return publication.counter("publisher_limit")


def test_spy_holds_the_publisher_back_until_it_rests():
    _sender, publication = lagging_publication()
    publication.time_event(TIMEOUT)
    assert limit(publication) == WINDOW
    publication.time_event(TIMEOUT + 1)  # it lingers: somebody may still be reading
    assert publication.has_spies
    assert limit(publication) == WINDOW
    publication.time_event(2 * TIMEOUT + 2)
    assert not publication.has_spies
    assert limit(publication) == WINDOW * 3 // 4 + WINDOW
    publication.set_counter("sender_position", WINDOW)
    publication.time_event(3 * TIMEOUT + 3)
    assert publication.has_spies
    # It reads on from where the sender is.
    assert limit(publication) == 2 * WINDOW
    publication.move_spy(0, WINDOW)
    assert limit(publication) == 2 * WINDOW


def test_spy_that_keeps_up_stays():
    _sender, publication = lagging_publication()
    for number in range(1, 20):
        publication.move_spy(0, number * 32)
        publication.time_event(number * TIMEOUT)
        assert publication.has_spies


def test_publication_that_only_a_resting_spy_reads_is_not_connected():
    sender = SenderKit()
    publication = PublicationKit(
        sender, untethered_timeout_ns=TIMEOUT, spies_simulate_connection=True
    )
    publication.add_spy(0, is_tether=False)
    publication.set_counter("sender_position", WINDOW)
    publication.time_event(1)
    assert publication.is_connected
    publication.time_event(TIMEOUT + 2)
    assert publication.is_connected
    publication.time_event(2 * TIMEOUT + 3)
    assert not publication.is_connected
    publication.time_event(3 * TIMEOUT + 4)
    assert publication.is_connected
    publication.time_event(10 * SECOND)
    assert publication.is_connected
