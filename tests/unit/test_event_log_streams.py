"""The event log's streams: receivers of flow control, resends, revokes, and look-ups of names."""

from __future__ import annotations

import pytest
from conductor_kit import HOST, UDP, Asker, await_event, c, events, invoked_driver, one

from volans.driver.event_log import EventLog
from volans.driver.event_log_names import select_events
from volans.driver.event_sink import RECORD
from volans.protocol.frames import NakFrame
from volans.testing.transport_kit import EngineDriver

PEER = "10.0.0.2"
CONTROL_PORT = 40124
GROUP = f"aeron:udp?control={HOST}:{CONTROL_PORT}|control-mode=dynamic|fc=min"
MEMBER = f"aeron:udp?endpoint={HOST}:40125|control={HOST}:{CONTROL_PORT}|control-mode=dynamic"
PATIENT = {"client_liveness_timeout_ns": "14s"}


def lines_of(path, event):
    return [line for line in path.read_text().splitlines() if f"DRIVER: {event} [" in line]


def words_of(line):
    return line.partition("]: ")[2]


def joined(asker):
    """A publication of a group with a receiver in the same driver."""
    ready = asker.publication(GROUP)
    subscription_id = asker.subscription(MEMBER)
    await_event(asker.driver, events.AvailableImage)
    asker.driver.pass_time(50)
    return ready, subscription_id


def test_receivers_of_flow_control_are_told_when_they_come_and_go(tmp_path):
    path = tmp_path / "events.log"
    selected = "FLOW_CONTROL_RECEIVER_ADDED,FLOW_CONTROL_RECEIVER_REMOVED"
    with invoked_driver(event_log=selected, event_log_filename=str(path), **PATIENT) as driver:
        asker = Asker(driver)
        ready, subscription_id = joined(asker)
        assert not lines_of(path, "FLOW_CONTROL_RECEIVER_REMOVED")
        asker.ask(c.RemoveSubscription, subscription_id)
        driver.pass_time(6000, step_ms=20)  # silent for longer than flow control waits
    (added,) = lines_of(path, "FLOW_CONTROL_RECEIVER_ADDED")
    (removed,) = lines_of(path, "FLOW_CONTROL_RECEIVER_REMOVED")
    stream = f"sessionId={ready.session_id} streamId=7 channel={GROUP}"
    assert words_of(added).startswith("receiverCount=1 receiverId=")
    assert words_of(added).endswith(stream)
    assert words_of(removed) == words_of(added).replace("receiverCount=1", "receiverCount=0")


def test_only_the_selected_of_two_is_told(tmp_path):
    path = tmp_path / "events.log"
    selected = "FLOW_CONTROL_RECEIVER_REMOVED"
    with invoked_driver(event_log=selected, event_log_filename=str(path), **PATIENT) as driver:
        joined(Asker(driver))
    assert path.read_text() == ""


def test_a_resend_is_told_with_what_is_sent_again(tmp_path):
    path = tmp_path / "events.log"
    channel = GROUP + "|term-length=64k|init-term-id=9|term-id=9|term-offset=0"
    with invoked_driver(event_log="RESEND", event_log_filename=str(path), **PATIENT) as driver:
        asker = Asker(driver)
        _, heard = asker.ask(c.AddExclusivePublication, 7, channel)
        ready = one(heard, events.ExclusivePublicationReady)
        nak = NakFrame(0, ready.session_id, 7, 9, 64, 1024).encode()
        with EngineDriver(driver.network.engine(PEER)) as peer:
            peer.send_copy(peer.open(PEER), (HOST, CONTROL_PORT), nak)
            peer.flush()
            driver.pass_time(50)
    (line,) = lines_of(path, "RESEND")
    assert words_of(line) == (
        f"sessionId={ready.session_id} streamId=7 termId=9 termOffset=64 length=1024 "
        f"channel={channel}"
    )


@pytest.mark.parametrize("channel", ["aeron:ipc", UDP + "|linger=300ms"])
def test_a_revoke_is_told_with_its_position(tmp_path, channel):
    path = tmp_path / "events.log"
    with invoked_driver(event_log="admin", event_log_filename=str(path), **PATIENT) as driver:
        asker = Asker(driver)
        asker.subscription(channel.partition("|")[0])
        _, heard = asker.ask(c.AddExclusivePublication, 7, channel)
        ready = one(heard, events.ExclusivePublicationReady)
        if not [event for event in heard if isinstance(event, events.AvailableImage)]:
            await_event(driver, events.AvailableImage)
        asker.ask(c.RemovePublication, ready.correlation_id, True)
        await_event(driver, events.UnavailableImage)
        driver.step()
    expected = f"revokedPos=0 sessionId={ready.session_id} streamId=7 channel="
    (line,) = lines_of(path, "PUBLICATION_REVOKE")
    assert words_of(line) == expected + channel
    of_image = [words_of(line) for line in lines_of(path, "PUBLICATION_IMAGE_REVOKE")]
    assert of_image == ([] if channel == "aeron:ipc" else [expected + UDP])


def test_a_look_up_is_told_before_its_resolution(tmp_path):
    path = tmp_path / "events.log"
    selected = "NAME_RESOLUTION_LOOKUP,NAME_RESOLUTION_RESOLVE"
    with invoked_driver(event_log=selected, event_log_filename=str(path), **PATIENT) as driver:
        Asker(driver).publication(UDP)
    lines = path.read_text().splitlines()
    assert ["LOOKUP" in line for line in lines[:2]] == [True, False]
    where = f"{HOST}:40123"
    assert words_of(lines[0]) == (
        f"parameter=endpoint name={where} isReLookup=false resolvedName={where}"
    )


def test_what_the_official_driver_never_tells_is_not_told(tmp_path):
    path = tmp_path / "events.log"
    selected = "NAME_RESOLUTION_HOST_NAME,GENERIC_MESSAGE"
    with invoked_driver(event_log=selected, event_log_filename=str(path), **PATIENT) as driver:
        joined(Asker(driver))
    assert path.read_text() == ""


def test_a_stream_that_is_gone_has_an_unknown_channel(tmp_path):
    path = tmp_path / "events.log"
    log = EventLog(select_events("RESEND"), str(path))
    log._ring.write(55, RECORD.pack(5, 1, 0, 2, 3, 0, 4, 64, 128))
    log.close()
    assert path.read_text() == (
        f"[0.000000005] DRIVER: RESEND [{RECORD.size}/{RECORD.size}]: "
        "sessionId=2 streamId=3 termId=4 termOffset=64 length=128 channel=unknown\n"
    )
