"""A network publication's sending side: SETUP, data, windows, heartbeats, connection."""

import errno
import struct

import send_frames as frames
from send_frames import MS, SECOND, TERM_LENGTH

from volans.testing.send_kit import PublicationKit, SenderKit


def connected(**options):
    """A publication that has sent its SETUP and got a status message with half a term of window."""
    sender = SenderKit()
    publication = PublicationKit(sender, **options)
    publication.send(0)
    sender.receive(frames.status_message(), 0)
    sender.take()
    return sender, publication


def test_setup_goes_out_every_100_ms_until_the_first_status_message():
    sender = SenderKit()
    publication = PublicationKit(sender)
    publication.send(0)
    assert sender.take() == [frames.setup()]
    assert sender.take_destination_ports() == []
    publication.send(100 * MS)
    assert sender.take() == []
    publication.send(100 * MS + 1)
    assert sender.take_destination_ports() == [40123]
    assert sender.take() == [frames.setup()]
    sender.receive(frames.status_message(), 150 * MS)
    publication.send(300 * MS)
    assert frames.setup() not in sender.take()


def test_setup_says_group_ttl_response_and_where_the_stream_is():
    sender = SenderKit(has_group_semantics=True, multicast_ttl=3)
    publication = PublicationKit(
        sender, start_term_id=9, start_term_offset=4096, response_correlation_id=55
    )
    publication.send(0)
    position = 2 * TERM_LENGTH + 4096
    assert sender.take() == [frames.setup(position, flags=0xC0, ttl=3)]


def test_setup_request_elicits_one_setup():
    sender, publication = connected()
    request = frames.status_message(0, 0, flags=0x80)
    sender.receive(request, SECOND)
    assert publication.is_setup_elicited
    publication.send(SECOND)
    assert frames.setup() in sender.take()
    assert not publication.is_setup_elicited
    publication.send(SECOND + 200 * MS)
    assert frames.setup() not in sender.take()


def test_data_leaves_the_term_as_runs_of_equal_datagrams():
    sender, publication = connected()
    for number in range(4):
        publication.log.append(bytes([number]) * 1376)
    assert publication.send(MS) == 4 * 1408
    runs = sender.take_runs()
    assert [len(run) for run in runs] == [4]
    assert runs[0] == [bytes(publication.log.term(0)[i * 1408 : (i + 1) * 1408]) for i in range(4)]
    assert publication.counter("sender_position") == 4 * 1408


def test_a_shorter_datagram_ends_its_run():
    sender, publication = connected()
    # Two frames that do not fit together, so that a short datagram comes first.
    for payload_length in (1000, 1376, 1376, 500):
        publication.log.append(bytes(payload_length))
    publication.send(MS)
    assert [[len(part) for part in run] for run in sender.take_runs()] == [
        [1056],
        [1408, 1408, 544],
    ]


def test_small_messages_share_a_datagram_up_to_the_mtu():
    sender, publication = connected()
    for _ in range(100):
        publication.log.append(bytes(32))
    publication.send(MS)
    assert [len(datagram) for datagram in sender.take()] == [1408, 1408, 1408, 1408]
    assert publication.counter("sender_position") == 4 * 1408
    publication.send(2 * MS)
    assert [len(datagram) for datagram in sender.take()] == [768]


def test_no_more_than_max_messages_per_send():
    sender, publication = connected(max_messages_per_send=2)
    for _ in range(3):
        publication.log.append(bytes(1376))
    publication.send(MS)
    assert len(sender.take()) == 2
    publication.send(MS)
    assert len(sender.take()) == 1


def test_window_stops_the_stream_and_is_counted_once():
    sender = SenderKit()
    publication = PublicationKit(sender)
    publication.send(0)
    sender.receive(frames.status_message(0, 2816), 0)
    sender.take()
    for _ in range(4):
        publication.log.append(bytes(1376))
    for now_ns in (1, 2, 3, 4):
        publication.send(now_ns)
    assert publication.counter("sender_position") == 2816
    assert publication.counter("back_pressure_events") == 1
    assert sender.system(frames.FLOW_CONTROL_LIMITS) == 1
    sender.receive(frames.status_message(1408, 2816), 5)
    assert publication.counter("sender_limit") == 4224
    publication.send(6)
    assert publication.counter("sender_position") == 4224


def test_window_smaller_than_the_next_frame_stops_it():
    sender = SenderKit()
    publication = PublicationKit(sender)
    publication.send(0)
    sender.receive(frames.status_message(0, 1408 + 1024), 0)
    sender.take()
    for _ in range(2):
        publication.log.append(bytes(1376))
    publication.send(1)
    assert publication.counter("sender_position") == 1408
    assert publication.counter("back_pressure_events") == 1


def test_old_status_message_does_not_take_the_window_back():
    sender, publication = connected()
    sender.receive(frames.status_message(0, 64), 1)
    assert publication.counter("sender_limit") == TERM_LENGTH // 2


def test_padding_travels_as_its_header_and_moves_the_position_over_it():
    sender, publication = connected(is_exclusive=True, max_messages_per_send=8)
    publication.log.append(bytes(100), exclusive=True)
    publication.log.append_padding(3000)
    publication.log.append(b"after".ljust(96, b"."), exclusive=True)
    publication.send(MS)
    sent = sender.take()
    # 160 bytes of data and a padding header share a datagram; the rest of the padding is skipped.
    assert [len(datagram) for datagram in sent] == [160 + 32, 128]
    assert struct.unpack_from("<h", sent[0], 160 + 6) == (0,)
    assert frames.term_offsets(sent) == [0, 160 + 3040]
    assert publication.counter("sender_position") == 160 + 3040 + 128


def test_stream_goes_on_in_the_next_term_after_the_padding_at_the_end():
    sender, publication = connected()
    sender.receive(frames.status_message(0, TERM_LENGTH // 2), 0)
    message = bytes(8000)
    now_ns = 0
    while publication.log.active_term_count == 0:
        publication.log.append(message)
        now_ns += 1
        while publication.send(now_ns):
            position = publication.counter("sender_position")
            sender.receive(frames.status_message(position), now_ns)
    publication.log.append(message)
    sender.take()
    publication.send(now_ns + 1)
    first = sender.take()[0]
    assert struct.unpack_from("<i", first, 20) == (frames.INITIAL_TERM_ID + 1,)
    assert struct.unpack_from("<i", first, 8) == (0,)
    assert publication.counter("sender_position") > TERM_LENGTH


def test_position_moves_by_what_the_engine_took():
    sender, publication = connected()
    for _ in range(4):
        publication.log.append(bytes(1376))
    sender.set_room(2, 0)
    assert publication.send(MS) == 2 * 1408
    assert publication.counter("sender_position") == 2 * 1408
    assert sender.system(frames.SHORT_SENDS) == 1
    sender.set_room(-1, -1)
    publication.send(MS)
    assert publication.counter("sender_position") == 4 * 1408
    assert frames.term_offsets(sender.take()) == [0, 1408, 2816, 4224]


def test_full_queue_is_flushed_and_the_rest_of_the_run_follows():
    sender, publication = connected()
    for _ in range(4):
        publication.log.append(bytes(1376))
    sender.set_room(1, -1)
    publication.send(MS)
    assert publication.counter("sender_position") == 4 * 1408
    assert sender.flush_count == 1
    assert sender.system(frames.SHORT_SENDS) == 0


def test_padding_is_not_skipped_when_its_header_was_not_taken():
    sender, publication = connected(is_exclusive=True)
    publication.log.append_padding(3000)
    sender.set_room(0, 0)
    publication.send(MS)
    assert publication.counter("sender_position") == 0


def test_refused_send_returns_the_error_and_leaves_the_position():
    sender, publication = connected()
    publication.log.append(bytes(100))
    sender.fail_with(errno.EMSGSIZE)
    assert publication.send(MS) == -errno.EMSGSIZE
    assert publication.counter("sender_position") == 0


def test_heartbeat_after_100_ms_without_data():
    sender, publication = connected()
    publication.log.append(bytes(32))
    publication.send(SECOND)
    sender.take()
    assert publication.send(SECOND + 100 * MS) == 0
    assert sender.take() == []
    assert publication.send(SECOND + 100 * MS + 1) == 32
    assert sender.take() == [frames.heartbeat(64)]
    assert sender.system(frames.HEARTBEATS_SENT) == 1
    publication.send(SECOND + 150 * MS)
    assert sender.take() == []


def test_no_heartbeat_before_anyone_listened():
    sender = SenderKit()
    publication = PublicationKit(sender)
    publication.send(0)
    publication.send(SECOND)
    assert frames.frame_types(sender.take()) == [5, 5]
    assert sender.system(frames.HEARTBEATS_SENT) == 0


def test_heartbeat_says_end_of_stream_and_revoked():
    sender, publication = connected()
    publication.close_last_client(0)
    publication.send(SECOND)
    assert sender.take() == [frames.heartbeat(0, flags=0xE0)]
    publication.revoke()
    publication.send(2 * SECOND)
    assert sender.take() == [frames.heartbeat(0, flags=0xF0)]


def test_heartbeat_without_signal_eos_does_not_say_end_of_stream():
    sender, publication = connected(signal_eos=False)
    publication.close_last_client(0)
    publication.send(SECOND)
    assert sender.take() == [frames.heartbeat(0)]


def test_connected_by_a_status_message_and_not_before():
    sender = SenderKit()
    publication = PublicationKit(sender)
    assert not publication.log.is_connected
    sender.receive(frames.status_message(), 0)
    assert publication.has_receivers
    assert publication.log.is_connected


def test_silent_receiver_is_forgotten_after_the_connection_timeout():
    sender, publication = connected()
    sender.receive(frames.status_message(receiver_id=6), 2 * SECOND)
    publication.send(5 * SECOND + 1)
    assert publication.has_receivers
    publication.send(7 * SECOND)
    assert publication.has_receivers
    publication.send(7 * SECOND + 1)
    assert not publication.has_receivers
    publication.time_event(8 * SECOND)
    assert not publication.log.is_connected


def test_many_receivers_all_time_out():
    sender, publication = connected()
    for receiver_id in range(100):
        sender.receive(frames.status_message(receiver_id=receiver_id * 7919), SECOND)
    publication.send(6 * SECOND)
    assert publication.has_receivers
    publication.send(6 * SECOND + 1)
    assert not publication.has_receivers


def test_end_of_stream_status_message_lets_the_receiver_go():
    sender, publication = connected()
    sender.receive(frames.status_message(flags=0x40), MS)
    assert not publication.has_receivers
    assert not publication.log.is_connected


def test_rttm_question_is_answered_and_an_answer_is_not():
    sender, _publication = connected()
    sender.receive(frames.rttm(123456789), MS)
    reply = struct.pack(
        "<ibBhiiqqq", 40, 0, 0, 6, frames.SESSION_ID, frames.STREAM_ID, 123456789, 0, 5
    )
    assert sender.take_destination_ports() == [40123]
    assert sender.take() == [reply]
    sender.receive(frames.rttm(123456789, flags=0), MS)
    assert sender.take() == []


def test_error_frame_of_a_known_receiver_is_reported_once():
    sender, publication = connected()
    sender.receive(frames.error_frame(b"not wanted"), MS)
    sender.receive(frames.error_frame(b"not wanted"), MS)
    assert sender.system(frames.ERROR_FRAMES_RECEIVED) == 2
    [(kind, report)] = sender.events()
    assert kind == 8
    assert struct.unpack_from("<qqiiqqii", report) == (77, -1, 1001, 10, 5, -1, 13, 10)
    assert b"not wanted" in report
    publication.send(2 * MS)
    assert not publication.has_receivers


def test_spies_pull_an_unconnected_stream_when_they_simulate_a_connection():
    sender = SenderKit()
    publication = PublicationKit(sender, spies_simulate_connection=True)
    assert publication.add_spy(0) == 0
    assert publication.log.is_connected
    publication.log.append(bytes(96))
    publication.update_limit()
    publication.move_spy(0, 128)
    publication.update_limit()
    publication.send(MS)
    assert publication.counter("sender_position") == 128
    assert publication.counter("sender_limit") == 128


def test_spies_do_not_pull_a_stream_otherwise():
    sender = SenderKit()
    publication = PublicationKit(sender)
    publication.add_spy(0)
    publication.move_spy(0, 128)
    publication.update_limit()
    publication.send(MS)
    assert publication.counter("sender_position") == 0
    assert not publication.log.is_connected


def test_response_publication_sends_only_where_it_was_asked_from():
    sender = SenderKit()
    publication = PublicationKit(sender, is_response=True)
    publication.send(0)
    assert sender.take() == []
    sender.receive(frames.status_message(0, 0, flags=0x80), MS)
    publication.send(SECOND)
    assert sender.take_destination_ports() == [40999]
