"""A sender under hostile control frames: it lives, counts them, and the good receiver is served."""

from __future__ import annotations

import amount
import drawn
import hostile
import pytest
from hypothesis import HealthCheck, given, settings

from volans.protocol.counter_types import SystemCounter
from volans.testing.send_kit import PublicationKit, SenderKit

DATAGRAMS_A_SEED = 14_000
CATCHING_UP_CYCLES = 200
LONGEST_MESSAGE_BYTES = 1000
MAX_PADDING_BYTES = 1056  # shorter than the frame that did not fit
SEEDS = -(-amount.inputs() // DATAGRAMS_A_SEED)
EXAMPLES = amount.scaled(500)  # of 100 datagrams each
SESSION, STREAM, TERM_ID, TERM_LENGTH = 1001, 10, 7, 65536
MS = 1_000_000


def started_publication(kit: SenderKit) -> PublicationKit:
    publication = PublicationKit(kit, session_id=SESSION, stream_id=STREAM, initial_term_id=TERM_ID)
    kit.add_endpoint()
    kit.add_publication(publication)
    kit.cycle(0)
    kit.receive(hostile.status_message(SESSION, STREAM, TERM_ID, 0), 0)
    publication.update_limit()
    return publication


@pytest.mark.parametrize("seed", range(SEEDS))
def test_sender_survives_and_its_limits_hold(seed):
    kit = SenderKit()
    publication = started_publication(kit)
    sender = hostile.HostileSender(
        seed,
        sessions=(SESSION, SESSION, SESSION, 0, -1),
        streams=(STREAM, STREAM, STREAM, 9),
        term_ids=(TERM_ID, TERM_ID, TERM_ID + 1, TERM_ID - 1),
    )
    now_ns = 0
    sent_bytes = 0
    for count in range(DATAGRAMS_A_SEED):
        kit.receive(sender.datagram(), now_ns, sender.random.choice((0, 0, 0, 28, 36, -1)))
        if count % 50 == 0:
            now_ns += MS
            publication.log.position_limit = publication.counter("publisher_limit")
            publication.log.append(b"m" * sender.random.randrange(0, LONGEST_MESSAGE_BYTES))
            kit.cycle(now_ns)
            publication.update_limit()
            publication.time_event(now_ns)
            for datagram in kit.take():
                sent_bytes += len(datagram)
            kit.events()
            limit, position = (publication.counter(n) for n in ("sender_limit", "sender_position"))
            # Padding takes no room: it is sent when its header fits.
            assert position <= limit + MAX_PADDING_BYTES
            # Nobody may be made to believe in more room than a window past what was sent.
            assert limit <= position + TERM_LENGTH
    assert kit.system(SystemCounter.INVALID_PACKETS) > DATAGRAMS_A_SEED // 20
    # Retransmission cannot be made to amplify: a NAK of 28 bytes is answered at most by the
    # window, once in each linger time.
    assert sent_bytes < 64 << 20
    # The good receiver is still served.
    published = 0
    for _ in range(CATCHING_UP_CYCLES):  # perhaps there is a window to send first
        before = publication.counter("sender_position")
        term, offset = TERM_ID + before // TERM_LENGTH, before % TERM_LENGTH
        kit.receive(hostile.status_message(SESSION, STREAM, term, offset), now_ns)
        now_ns += MS
        kit.cycle(now_ns)
        kit.take()
        publication.update_limit()
        publication.log.position_limit = publication.counter("publisher_limit")
        published = max(published, publication.log.append(b"good"))
    assert published > 0
    kit.cycle(now_ns + MS)
    assert publication.counter("sender_position") >= published


def test_drawn_datagrams():
    fed = invalid = heard = moved = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        drawn.datagrams(
            kinds=(*(hostile.SM,) * 4, *(hostile.NAK,) * 3, hostile.ERR, hostile.RTTM),
            sessions=(SESSION, SESSION, SESSION, 0, -1),
            streams=(STREAM, STREAM, STREAM, 9),
            term_ids=(TERM_ID,) * 40,
        )
    )
    def feed(datagrams):
        nonlocal fed, invalid, heard, moved
        kit = SenderKit()
        publication = started_publication(kit)
        first_limit = publication.counter("sender_limit")
        now_ns = sent_bytes = 0
        for count, datagram in enumerate(datagrams):
            kit.receive(datagram.data, now_ns, datagram.segment_length)
            fed += 1
            if count % 25 == 0:
                now_ns += MS
                publication.log.position_limit = publication.counter("publisher_limit")
                publication.log.append(b"m" * LONGEST_MESSAGE_BYTES)
                kit.cycle(now_ns)
                publication.update_limit()
                publication.time_event(now_ns)
                sent_bytes += sum(map(len, kit.take()))
                kit.events()
                limit = publication.counter("sender_limit")
                position = publication.counter("sender_position")
                assert position <= limit + MAX_PADDING_BYTES
                assert limit <= position + TERM_LENGTH
        assert sent_bytes < 1 << 20
        invalid += kit.system(SystemCounter.INVALID_PACKETS)
        moved += publication.counter("sender_limit") != first_limit
        heard += kit.system(SystemCounter.STATUS_MESSAGES_RECEIVED) - 1
        heard += kit.system(SystemCounter.NAK_MESSAGES_RECEIVED)
        now_ns += MS
        kit.cycle(now_ns)
        kit.take()

    feed()
    assert fed >= EXAMPLES * drawn.DATAGRAMS_AN_EXAMPLE
    # Both kinds in plenty: what is refused, and what is taken for a receiver's word.
    assert invalid > fed // 20
    assert heard > fed // 50
    assert moved > EXAMPLES // 50


def test_absurd_status_messages_move_no_limit():
    kit = SenderKit()
    publication = started_publication(kit)
    limit = publication.counter("sender_limit")
    for term_id in (TERM_ID - 1, TERM_ID + 1, TERM_ID + (1 << 30), -(1 << 31), (1 << 31) - 1):
        for offset in hostile.EXTREMES:
            for window in hostile.EXTREMES:
                if term_id == TERM_ID + 1 and offset == 0:
                    continue
                kit.receive(hostile.status_message(SESSION, STREAM, term_id, offset, window), MS)
    assert publication.counter("sender_limit") == limit


def test_absurd_naks_send_nothing():
    kit = SenderKit()
    publication = started_publication(kit)
    publication.log.append(b"x" * 200)
    kit.cycle(MS)
    kit.take()
    for term_id in (TERM_ID - 1, TERM_ID + 1, TERM_ID + (1 << 30), -(1 << 31), (1 << 31) - 1):
        for offset in hostile.EXTREMES:
            for length in hostile.EXTREMES:
                kit.receive(hostile.nak(SESSION, STREAM, term_id, offset, length), MS)
    for offset in (256, 4096, 65504, 65536, -32, 33):
        for length in hostile.EXTREMES:
            kit.receive(hostile.nak(SESSION, STREAM, TERM_ID, offset, length), MS)
    assert kit.take() == []
    # Published, and not yet sent: not theirs to ask for.
    publication.log.append(b"y" * 200)
    kit.receive(hostile.nak(SESSION, STREAM, TERM_ID, 256, 256), MS + 30_000_000)
    assert kit.take() == []
    kit.receive(hostile.nak(SESSION, STREAM, TERM_ID, 0, 256), MS + 60_000_000)
    assert [len(datagram) for datagram in kit.take()] == [256]
