"""Sending to several destinations: manual ones by command, dynamic ones by status messages."""

import struct

import pytest
import send_frames as frames
from send_frames import MS, SECOND, STREAM_ID, TERM_LENGTH

from volans.testing.send_kit import PublicationKit, SenderKit

TO_CONTROL_PUBLICATION_ERROR = 8
NETWORK_IS_UNREACHABLE = 101


@pytest.fixture
def manual():
    return SenderKit(has_group_semantics=True, control_mode="manual")


@pytest.fixture
def dynamic():
    return SenderKit(has_group_semantics=True, control_mode="dynamic")


def hear(sender, now_ns, *, port=41000, host="127.0.0.1", receiver_id=5, flags=0, session_id=1001):
    message = frames.status_message(receiver_id=receiver_id, flags=flags, session_id=session_id)
    sender.receive(message, now_ns, source_host=host, source_port=port)


def ports_of_next_setup(sender, publication, now_ns):
    sender.take()
    publication.send(now_ns)
    ports = sender.take_destination_ports()
    assert frames.frame_types(sender.take()) == [5] * len(ports)
    return sorted(ports)


def add(sender, registration_id, port, now_ns=0):
    sender.add_destination(registration_id, port)
    sender.cycle(now_ns)


def test_manual_destinations_come_and_go_by_command(manual):
    publication = PublicationKit(manual)
    assert ports_of_next_setup(manual, publication, 0) == []
    add(manual, 7, 41001)
    add(manual, 8, 41002)
    assert manual.destination_count == 2
    assert ports_of_next_setup(manual, publication, SECOND) == [41001, 41002]
    manual.remove_destination(7)
    manual.cycle(SECOND)
    assert manual.destination_count == 1
    assert ports_of_next_setup(manual, publication, 2 * SECOND) == [41002]
    manual.remove_destination(7)
    manual.cycle(SECOND)
    assert manual.destination_count == 1


def test_unresolved_destination_is_sent_to_once_its_name_has_an_address(manual):
    publication = PublicationKit(manual)
    add(manual, 7, 0)
    assert manual.destination_count == 1
    assert ports_of_next_setup(manual, publication, 0) == []
    manual.change_destination(7, 41001)
    manual.cycle(0)
    assert ports_of_next_setup(manual, publication, SECOND) == [41001]


def test_manual_destinations_are_neither_learnt_nor_forgotten(manual):
    publication = PublicationKit(manual)
    add(manual, 7, 41001)
    hear(manual, 0, port=41999, flags=0x80)
    assert manual.destination_count == 1
    assert ports_of_next_setup(manual, publication, 100 * SECOND) == [41001]


@pytest.mark.parametrize("control_mode", ["manual", "dynamic"])
def test_the_plain_destination_of_the_channel_is_not_sent_to(control_mode):
    sender = SenderKit(has_group_semantics=True, control_mode=control_mode)
    publication = PublicationKit(sender)
    assert publication.send(0) == 0
    assert sender.take() == []
    assert sender.system(frames.SHORT_SENDS) == 0


def test_dynamic_destination_is_learnt_from_a_stream_that_is_not_here(dynamic):
    """The first SM of a subscription with a control address has session and stream 0."""
    publication = PublicationKit(dynamic)
    hear(dynamic, 0, port=41001, flags=0x80, session_id=0)
    assert dynamic.destination_count == 1
    assert ports_of_next_setup(dynamic, publication, 0) == [41001]


def test_dynamic_destination_is_forgotten_after_five_silent_seconds(dynamic):
    publication = PublicationKit(dynamic)
    hear(dynamic, 0, port=41001, flags=0x80)
    hear(dynamic, 0, port=41002, receiver_id=6, flags=0x80)
    hear(dynamic, SECOND, port=41002, receiver_id=6, flags=0x80)
    assert ports_of_next_setup(dynamic, publication, 5 * SECOND) == [41001, 41002]
    assert ports_of_next_setup(dynamic, publication, 5 * SECOND + 200 * MS) == [41002]
    assert dynamic.destination_count == 1
    assert ports_of_next_setup(dynamic, publication, 6 * SECOND + 300 * MS) == []
    assert dynamic.destination_count == 0


def test_same_address_with_another_receiver_id_is_the_same_destination(dynamic):
    """A subscriber that was started anew on its port must not get everything twice."""
    hear(dynamic, 0, receiver_id=5)
    hear(dynamic, 0, receiver_id=6)
    assert dynamic.destination_count == 1


def test_receiver_that_moved_to_another_host_is_followed(dynamic):
    hear(dynamic, 0, host="127.0.0.1")
    hear(dynamic, 2 * SECOND, host="127.0.0.2")
    assert dynamic.destination_count == 1


def test_receiver_that_listens_on_two_ways_gets_both(dynamic):
    for now_ns in (0, 200 * MS, 400 * MS):
        hear(dynamic, now_ns, host="127.0.0.1")
        hear(dynamic, now_ns + MS, host="127.0.0.2")
    assert dynamic.destination_count == 2


def test_rejected_status_message_teaches_nothing(dynamic):
    PublicationKit(dynamic)
    dynamic.receive(frames.status_message(TERM_LENGTH // 2 + 32), 0)
    assert dynamic.system(frames.STATUS_MESSAGES_REJECTED) == 1
    dynamic.receive(frames.status_message(0, -1), 0)
    assert dynamic.system(frames.INVALID_PACKETS) == 1
    assert dynamic.destination_count == 0


def test_strangers_cannot_make_the_table_grow_without_end(dynamic):
    for number in range(5000):
        hear(dynamic, 0, port=1000 + number, receiver_id=number, session_id=0)
    assert dynamic.destination_count == 4096


def connected(sender, **settings):
    publication = PublicationKit(sender, flow_control="max", **settings)
    add(sender, 7, 41001)
    add(sender, 8, 41002)
    hear(sender, 0, port=41001)
    sender.take()
    return publication


def test_every_destination_gets_the_data_as_runs(manual):
    publication = connected(manual)
    for _ in range(3):
        publication.log.append(b"x" * 1376)
    assert publication.send(MS) == 3 * 1408
    ports = manual.take_destination_ports()
    runs = manual.take_runs()
    assert sorted(ports) == [41001] * 3 + [41002] * 3
    assert [len(run) for run in runs] == [3, 3]
    assert runs[0] == runs[1]
    assert publication.counter("sender_position") == 3 * 1408


def test_destinations_take_turns_in_being_first(manual):
    publication = connected(manual)
    firsts = set()
    for number in range(4):
        publication.log.append(b"x" * 32)
        publication.send(number * MS)
        firsts.add(manual.take_destination_ports()[0])
        manual.take()
    assert firsts == {41001, 41002}


def test_a_destination_that_fails_does_not_stop_the_others(manual):
    publication = connected(manual)
    manual.fail_with(NETWORK_IS_UNREACHABLE, port=41001)
    for number in range(4):
        publication.log.append(b"x" * 32)
        assert publication.send(number * MS) == 64
    assert manual.take_destination_ports() == [41002] * 4
    assert publication.counter("sender_position") == 4 * 64


def test_when_all_destinations_fail_the_stream_waits(manual):
    publication = connected(manual)
    manual.fail_with(NETWORK_IS_UNREACHABLE)
    publication.log.append(b"x" * 32)
    assert publication.send(MS) == -NETWORK_IS_UNREACHABLE
    assert publication.counter("sender_position") == 0


def test_a_failure_of_one_destination_is_logged(manual):
    publication = connected(manual)
    manual.add_publication(publication)
    manual.cycle(MS)
    manual.fail_with(NETWORK_IS_UNREACHABLE, port=41001)
    publication.log.append(b"x" * 32)
    manual.cycle(2 * MS)
    assert manual.has_errors
    assert publication.counter("sender_position") == 64


def test_full_queue_gives_all_destinations_the_same_beginning(manual):
    publication = connected(manual)
    for _ in range(4):
        publication.log.append(b"x" * 1376)
    manual.set_room(1, 2)
    publication.send(MS)
    ports = manual.take_destination_ports()
    datagrams = manual.take()
    # 1 + 2 after the flush to the first; the second one gets those in two flushes at most.
    assert publication.counter("sender_position") == 3 * 1408
    first = ports[0]
    assert ports.count(first) == 3
    assert set(frames.term_offsets(datagrams)) == {0, 1408, 2816}


def test_nothing_goes_when_the_queue_stays_full(manual):
    publication = connected(manual)
    publication.log.append(b"x" * 32)
    manual.set_room(0, 0)
    assert publication.send(MS) == 0
    assert publication.counter("sender_position") == 0


def test_heartbeats_go_to_all_destinations(manual):
    publication = connected(manual)
    publication.send(SECOND)
    assert sorted(manual.take_destination_ports()) == [41001, 41002]
    assert manual.take() == [frames.heartbeat(0)] * 2
    assert manual.system(frames.HEARTBEATS_SENT) == 1


def test_retransmits_go_to_all_destinations(manual):
    publication = connected(manual)
    publication.log.append(b"x" * 32)
    publication.send(MS)
    manual.take()
    manual.receive(frames.nak(0, 64), 2 * MS)
    publication.send(2 * MS)
    assert sorted(manual.take_destination_ports()) == [41001, 41002]


def error_report(sender):
    ((kind, payload),) = sender.events()
    assert kind == TO_CONTROL_PUBLICATION_ERROR
    return struct.unpack_from("<qqii", payload)


@pytest.mark.parametrize(("port", "destination"), [(41001, 7), (41002, 8), (41003, -1)])
def test_error_frame_names_the_destination_it_came_from(manual, port, destination):
    connected(manual)
    hear(manual, MS, port=port, receiver_id=9)
    manual.events()
    manual.receive(frames.error_frame(b"no", receiver_id=9), 2 * MS, source_port=port)
    assert error_report(manual) == (77, destination, 1001, STREAM_ID)
