"""What a sender makes of RSP_SETUP frames and of a response stream's first receiver."""

import struct

import pytest
import send_frames as frames
from send_frames import MS, SECOND

from volans.testing.send_kit import PublicationKit, SenderKit

RESPONSE_SETUP, RESPONSE_CONNECTED = 60, 61
SUBSCRIPTION, IMAGE = 55, 66


def rsp_setup(response_session_id=-5, *, session_id=frames.SESSION_ID, length=20):
    return struct.pack(
        "<ibBhiii", length, 0, 0, 11, session_id, frames.STREAM_ID, response_session_id
    )


def reports(sender):
    return [
        (kind, *struct.unpack_from("<qi", payload))
        for kind, payload in sender.events()
        if kind in (RESPONSE_SETUP, RESPONSE_CONNECTED)
    ]


def test_the_session_that_answers_is_told_with_the_subscription_it_is_for():
    sender = SenderKit()
    PublicationKit(sender, response_correlation_id=SUBSCRIPTION)
    sender.receive(rsp_setup(), MS)
    assert reports(sender) == [(RESPONSE_SETUP, SUBSCRIPTION, -5)]


@pytest.mark.parametrize(
    ("options", "frame"),
    [
        ({}, rsp_setup()),
        ({"response_correlation_id": -2}, rsp_setup()),
        ({"response_correlation_id": IMAGE, "is_response": True}, rsp_setup()),
        ({"response_correlation_id": SUBSCRIPTION}, rsp_setup(session_id=1)),
    ],
    ids=["no request", "prototype", "itself an answer", "another session"],
)
def test_who_asked_for_nothing_is_answered_nothing(options, frame):
    sender = SenderKit()
    PublicationKit(sender, **options)
    sender.receive(frame, MS)
    assert reports(sender) == []
    assert sender.system(frames.INVALID_PACKETS) == 0


@pytest.mark.parametrize("frame", [rsp_setup()[:19], rsp_setup(length=21)])
def test_a_frame_cut_short_is_invalid(frame):
    sender = SenderKit()
    PublicationKit(sender, response_correlation_id=SUBSCRIPTION)
    sender.receive(frame, MS)
    assert reports(sender) == []
    assert sender.system(frames.INVALID_PACKETS) == 1


def test_an_answer_goes_to_who_asks_for_its_setup_and_at_once():
    sender = SenderKit()
    publication = PublicationKit(sender, is_response=True, response_correlation_id=IMAGE)
    publication.send(SECOND)
    assert sender.take() == []  # nobody to send to
    request = frames.status_message(0, 0, flags=0x80)
    sender.receive(request, SECOND + MS, source_port=45678)
    publication.send(SECOND + 2 * MS)
    assert sender.take_destination_ports() == [45678]
    assert sender.take() == [frames.setup()]


def test_the_first_receiver_of_an_answer_is_told_once_until_all_have_gone():
    sender = SenderKit()
    PublicationKit(sender, is_response=True, response_correlation_id=IMAGE)
    for time_ns in (MS, 2 * MS):
        sender.receive(frames.status_message(), time_ns)
    assert reports(sender) == [(RESPONSE_CONNECTED, IMAGE, frames.SESSION_ID)]
    sender.receive(frames.status_message(flags=0x40), 3 * MS)
    sender.receive(frames.status_message(), 4 * MS)
    assert reports(sender) == [(RESPONSE_CONNECTED, IMAGE, frames.SESSION_ID)]


def test_an_ordinary_stream_tells_of_no_receiver():
    sender = SenderKit()
    PublicationKit(sender, response_correlation_id=SUBSCRIPTION)
    sender.receive(frames.status_message(), MS)
    assert reports(sender) == []
