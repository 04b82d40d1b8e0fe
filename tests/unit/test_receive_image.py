"""An image: packets in any order, what it asks for, what it refuses."""

from __future__ import annotations

import struct

import pytest
from receive_frames import (
    PAD,
    STREAM,
    TERM_ID,
    error,
    frame,
    heartbeat,
    nak,
    padding,
    rttm,
    setup,
    status_message,
)

from volans.memory import LossReportReader
from volans.protocol.system_counters import SystemCounter
from volans.testing.receive_kit import PEER_HOST, PEER_PORT, ReceiveKit, ipv4

MILLISECOND_NS = 1_000_000
SM_TIMEOUT_NS = 200 * MILLISECOND_NS
WINDOW = 32768  # half a term of 64 KiB


@pytest.fixture
def kit():
    kit = ReceiveKit()
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    kit.cycle()
    return kit


@pytest.fixture
def image(kit, tmp_path):
    image = kit.make_image(directory=tmp_path)
    kit.sent()
    return image


def packets(count, length=1024, begin=0):
    return [
        frame(begin + i * length, bytes([i + 1]) * (length - 32), term_id=TERM_ID)
        for i in range(count)
    ]


# --- inserting --------------------------------------------------------------------------------
def test_packets_in_order_become_the_term_and_move_both_positions(kit, image):
    image.add_subscriber()
    for number, packet in enumerate(packets(4)):
        kit.send(packet)
        kit.cycle()
        assert image.hwm == (number + 1) * 1024
        assert image.track() == 1
        assert image.position == image.hwm
    assert image.term(0)[:4096] == b"".join(packets(4))


def test_packets_out_of_order_and_twice_become_the_same_term(kit, image):
    image.add_subscriber()
    sent = packets(4)
    for number in (2, 0, 0, 3, 2):
        kit.feed(sent[number])
    assert image.hwm == 4096
    image.track()
    assert image.position == 1024
    kit.feed(sent[1])
    image.track()
    assert image.position == 4096
    assert image.term(0)[:4096] == b"".join(sent)


def test_what_is_there_is_not_written_again(kit, image):
    kit.feed(frame(0, b"first"))
    kit.feed(frame(0, b"other"))
    assert image.term(0)[32:37] == b"first"


def test_a_datagram_of_several_frames_goes_in_as_one(kit, image):
    image.add_subscriber()
    packet = frame(0, b"a" * 40) + frame(96, b"") + frame(128, b"b" * 64)
    kit.feed(packet)
    image.track()
    assert image.position == 224
    assert image.term(0)[:224] == packet


def test_padding_travels_as_a_header_and_covers_its_length(kit, image):
    image.add_subscriber()
    kit.feed(frame(0, b"") + padding(32, 1024))
    image.track()
    assert image.position == image.hwm == 1056


def test_a_stream_that_starts_late_starts_there(kit, tmp_path):
    image = kit.make_image(directory=tmp_path, initial_position=65536 * 5 + 96)
    assert kit.sent() == [status_message(TERM_ID + 5, 96, WINDOW)]
    counter_id = image.add_subscriber()
    assert kit.counters.value(counter_id) == 65536 * 5 + 96
    kit.feed(frame(96, b"x", term_id=TERM_ID + 5))
    image.track()
    assert image.position == 65536 * 5 + 160
    assert image.term(2)[96:160] == frame(96, b"x", term_id=TERM_ID + 5)


def test_term_ids_wrap(kit, tmp_path):
    last = 0x7FFFFFFF
    image = kit.make_image(directory=tmp_path, initial_term_id=last, initial_position=65536 - 32)
    image.add_subscriber()
    kit.feed(frame(65536 - 32, b"", term_id=last))
    image.track()
    kit.feed(frame(0, b"", term_id=-0x80000000))
    image.track()
    assert image.position == 65536 + 32


# --- refusing ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "bad",
    [
        frame(0, b"x" * 32) + frame(0, b""),  # not behind the first
        frame(0, b"") + struct.pack("<ibBhiiiiq", 32, 0, 0, 2, 32, 11, STREAM, TERM_ID, 0),
        frame(0, b"") + b"\0" * 32,  # trailing bytes
        frame(0, b"") + frame(32, b"x" * 64)[:64],  # cut short
        frame(65504, b"x"),  # past the end of the term
        frame(33, b""),
        frame(-32, b""),
        frame(65536, b""),
        padding(0, 65568),
        padding(0, 0x7FFFFFFF),
        struct.pack("<ibBhiiiiq", 8, 0, 0xC0, PAD, 0, 11, STREAM, TERM_ID, 0),
        struct.pack("<ibBhiiiiq", 31, 0, 0xC0, 1, 0, 11, STREAM, TERM_ID, 0),
    ],
)
def test_packets_with_a_wrong_frame_are_refused_whole(kit, image, bad):
    kit.feed(bad)
    assert kit.system_counter(SystemCounter.INVALID_PACKETS) == 1
    assert image.hwm == 0
    assert image.term(0) == bytes(65536)


def test_what_was_never_allowed_is_an_over_run(kit, image):
    kit.feed(frame(WINDOW, b""))
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_OVER_RUNS) == 1
    assert image.hwm == 0
    kit.feed(frame(WINDOW - 32, b""))
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_OVER_RUNS) == 1
    assert image.hwm == WINDOW


def test_a_term_before_the_first_is_nothing(kit, image):
    kit.feed(frame(0, b"", term_id=TERM_ID - 1))
    assert image.hwm == 0
    assert image.term(0) == bytes(65536)


def test_what_was_consumed_is_an_under_run(kit, image):
    counter_id = image.add_subscriber()
    for packet in packets(16):
        kit.feed(packet)
    image.track()
    image.consume(counter_id, 16384)
    image.track()
    kit.cycle()
    before = image.term(0)
    kit.feed(packets(1)[0])
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_UNDER_RUNS) == 1
    assert image.term(0) == before


# --- heartbeats and the end -------------------------------------------------------------------
def test_heartbeats_say_how_far_the_publication_is(kit, image):
    image.add_subscriber()
    kit.feed(heartbeat(96))
    assert image.hwm == 96
    assert kit.system_counter(SystemCounter.HEARTBEATS_RECEIVED) == 1
    image.track()
    assert image.position == 0
    assert image.end_of_stream_position is None


def test_a_heartbeat_behind_padding_beyond_the_window_says_that_all_the_window_was_sent(kit, image):
    kit.feed(heartbeat(WINDOW + 32))
    assert image.hwm == WINDOW
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_OVER_RUNS) == 0
    assert kit.system_counter(SystemCounter.HEARTBEATS_RECEIVED) == 1


def test_a_sender_further_ahead_than_padding_reaches_keeps_no_image_alive(kit, image):
    longest_message = 65536 // 8
    kit.feed(heartbeat(WINDOW + longest_message))
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_OVER_RUNS) == 0
    kit.feed(heartbeat(WINDOW + longest_message + 32))
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_OVER_RUNS) == 1
    assert kit.system_counter(SystemCounter.HEARTBEATS_RECEIVED) == 1


def test_a_heartbeat_too_far_ahead_is_an_over_run(kit, image):
    kit.feed(heartbeat(32, term_id=TERM_ID + 1))  # more than half a term beyond
    assert image.hwm == 0
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_OVER_RUNS) == 1


def test_a_heartbeat_far_behind_is_an_under_run(kit, tmp_path):
    image = kit.make_image(directory=tmp_path, initial_position=65536 * 2)
    kit.feed(heartbeat(0, term_id=TERM_ID + 1))
    assert kit.system_counter(SystemCounter.HEARTBEATS_RECEIVED) == 1
    kit.feed(heartbeat(65504, term_id=TERM_ID))
    assert kit.system_counter(SystemCounter.FLOW_CONTROL_UNDER_RUNS) == 1
    assert image.hwm == 65536 * 2


def test_the_end_of_the_stream_is_written_into_the_log_once(kit, image):
    kit.feed(frame(0, b"x"))
    kit.feed(heartbeat(64, flags=0xE0))
    assert image.end_of_stream_position == 64
    assert not image.is_revoked
    kit.feed(heartbeat(128, flags=0xE0))
    assert image.end_of_stream_position == 64


def test_a_revoked_stream_ends_and_says_so(kit, image):
    kit.feed(heartbeat(64, flags=0xF0))
    assert image.end_of_stream_position == 64
    assert image.is_revoked
    assert kit.system_counter(SystemCounter.PUBLICATION_IMAGES_REVOKED) == 1


# --- status messages --------------------------------------------------------------------------
def test_the_first_duty_cycle_says_what_may_come_and_silence_repeats_it(kit, tmp_path):
    kit.make_image(directory=tmp_path)
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]
    kit.advance(SM_TIMEOUT_NS)
    kit.cycle()
    assert kit.sent() == []
    kit.advance(1)
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]
    assert kit.system_counter(SystemCounter.STATUS_MESSAGES_SENT) == 2


def test_the_window_is_never_more_than_half_a_term(kit, tmp_path):
    kit.make_image(directory=tmp_path, window_length=4096)
    assert kit.sent() == [status_message(TERM_ID, 0, 4096)]


def test_more_than_a_quarter_window_consumed_is_told_at_once(kit, image):
    counter_id = image.add_subscriber()
    for packet in packets(9):
        kit.feed(packet)
    image.track()
    image.consume(counter_id, 8192)
    image.track()
    kit.cycle()
    assert kit.sent() == []
    image.consume(counter_id, 8224)
    image.track()
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 8224, WINDOW)]
    # The limit of what may come moved with it.
    kit.feed(frame(8224 + WINDOW - 32, b""))
    assert image.hwm == 8224 + WINDOW


def test_the_slowest_subscriber_decides(kit, image):
    fast, slow = image.add_subscriber(1), image.add_subscriber(2)
    for packet in packets(16):
        kit.feed(packet)
    image.track()
    image.consume(fast, 16384)
    image.consume(slow, 9216)
    image.track()
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 9216, WINDOW)]
    assert image.join_position == 9216
    assert image.remove_subscriber(2) == slow
    assert image.remove_subscriber(2) == -1
    image.track()
    kit.cycle()
    assert kit.sent() == []  # 7168 more: not a quarter window


def test_the_group_tag_rides_on_status_messages(tmp_path):
    kit = ReceiveKit(group_tag=-5)
    kit.make_image(directory=tmp_path)
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW, group_tag=-5)]


def test_without_a_known_sender_nothing_is_said(kit, tmp_path):
    kit.make_image(directory=tmp_path, control=b"")
    assert kit.sent() == []
    kit.feed(setup())
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]


def test_a_sender_silent_for_five_seconds_is_told_nothing(kit, image):
    kit.advance(5000 * MILLISECOND_NS)
    kit.cycle()
    assert kit.sent() == []
    kit.feed(heartbeat(0))
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]


def test_active_transports_are_counted_in_the_log(kit, image):
    assert image.active_transport_count == 0
    kit.feed(heartbeat(0))
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert image.active_transport_count == 1
    kit.advance(10_000 * MILLISECOND_NS)
    kit.cycle()
    assert image.active_transport_count == 0


def test_consumed_terms_are_zeroed_before_they_are_needed_again(kit, image):
    counter_id = image.add_subscriber()
    image.dirty(0)
    image.consume(counter_id, 65536)
    image.track()
    assert image.clean_position == 0
    image.consume(counter_id, 65536 + 16384)
    image.track()
    assert image.clean_position == 16384
    assert image.term(0) == bytes(16384) + b"\xff" * (65536 - 16384)


# --- loss -------------------------------------------------------------------------------------
def loss_records(kit):
    return [
        (r.observation_count, r.total_bytes_lost, r.session_id, r.stream_id)
        for r in LossReportReader(kit.loss_report).read()
    ]


def test_a_gap_is_asked_for_after_its_delay_and_again_after_the_retry_delay(kit, image):
    image.add_subscriber()
    kit.feed(frame(0, b""))
    kit.feed(frame(1024, b""))
    image.track()  # sees the gap
    kit.cycle()
    assert kit.sent() == []
    assert image.position == 32
    kit.advance(1000)
    image.track()
    kit.cycle()
    assert kit.sent() == [nak(TERM_ID, 32, 992)]
    kit.advance(99_999)
    image.track()
    kit.cycle()
    assert kit.sent() == []
    kit.advance(1)
    image.track()
    kit.cycle()
    assert kit.sent() == [nak(TERM_ID, 32, 992)]
    assert image.naks_sent == kit.system_counter(SystemCounter.NAK_MESSAGES_SENT) == 2
    # Lost once, however often it was asked for.
    assert loss_records(kit) == [(1, 992, 11, STREAM)]
    kit.feed(frame(32, b"x" * 960))
    kit.advance(100_000)
    image.track()
    kit.cycle()
    assert kit.sent() == []
    assert image.position == 1056


def test_a_second_gap_is_added_to_the_loss_report(kit, image):
    image.add_subscriber()
    kit.feed(frame(64, b""))
    image.track()
    kit.advance(1000)
    image.track()
    kit.feed(frame(0, b"") + frame(32, b""))
    kit.feed(frame(128, b""))
    image.track()
    kit.advance(1000)
    image.track()
    kit.cycle()
    assert kit.sent() == [nak(TERM_ID, 96, 32)]
    assert loss_records(kit) == [(2, 96, 11, STREAM)]


def test_a_loss_at_the_end_is_seen_by_the_heartbeat(kit, image):
    image.add_subscriber()
    kit.feed(heartbeat(2048))
    image.track()
    kit.advance(1000)
    image.track()
    kit.cycle()
    assert kit.sent() == [nak(TERM_ID, 0, 2048)]


def test_an_unreliable_stream_fills_its_gaps_at_once(kit, tmp_path):
    image = kit.make_image(directory=tmp_path, is_reliable=False)
    image.add_subscriber()
    kit.sent()
    kit.feed(frame(0, b""))
    kit.feed(frame(1024, b""))
    image.track()
    kit.cycle()
    assert kit.sent() == []
    assert kit.system_counter(SystemCounter.LOSS_GAP_FILLS) == 1
    assert image.term(0)[32:64] == padding(32, 992)
    image.track()
    assert image.position == 1056
    assert image.naks_sent == 0


def test_members_of_a_group_wait_differently_but_never_longer_than_the_backoff(tmp_path):
    delays = set()
    for seed in range(12):
        kit = ReceiveKit(seed=seed)
        kit.receiver.add_subscription(kit.endpoint, STREAM)
        kit.cycle()
        image = kit.make_image(directory=tmp_path, is_multicast_backoff=True)
        image.add_subscriber()
        kit.feed(heartbeat(32))
        image.track()
        kit.sent()
        for step in range(101):
            image.track()
            kit.cycle()
            if kit.sent():
                delays.add(step)
                break
            kit.advance(100_000)
        else:
            raise AssertionError("no NAK within 10 ms")
        (tmp_path / f"{image.registration_id}.logbuffer").unlink()
    assert len(delays) > 4


# --- rejection and measurement ----------------------------------------------------------------
@pytest.mark.parametrize("group_tag", [None, 9])
def test_a_rejected_image_sends_errors_in_place_of_status_messages(tmp_path, group_tag):
    kit = ReceiveKit(group_tag=group_tag)
    kit.receiver.add_subscription(kit.endpoint, STREAM)
    image = kit.make_image(directory=tmp_path)
    kit.sent()
    image.reject(b"too fast")
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    kit.cycle()
    assert kit.sent() == [error(13, b"too fast", group_tag=group_tag)]
    assert kit.system_counter(SystemCounter.ERROR_FRAMES_SENT) == 1
    kit.feed(frame(0, b""))
    assert image.hwm == 0
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert len(kit.sent()) == 1


def test_a_reason_of_any_length_fits_its_frame(kit, image):
    image.reject(b"x" * 5000)
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert kit.sent() == [error(13, b"x" * 1023)]


def test_the_static_window_measures_nothing_and_survives_an_answer(kit, image):
    kit.feed(rttm(1, flags=0))
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]


def test_an_unknown_congestion_control_is_refused(kit, tmp_path):
    with pytest.raises(ValueError, match="'quick' is not known"):
        kit.make_image(directory=tmp_path, congestion_control="quick")


def test_a_later_source_does_not_turn_the_answers_away(kit, image):
    kit.feed(heartbeat(0), ipv4(PEER_HOST, PEER_PORT + 1))
    kit.advance(SM_TIMEOUT_NS + 1)
    kit.cycle()
    assert kit.sent() == [status_message(TERM_ID, 0, WINDOW)]
