"""The event log: what it selects, what it says of commands, answers and frames, and its file."""

from __future__ import annotations

import json

import pytest
from conductor_kit import HOST, UDP, Asker, c, invoked_driver
from typer.testing import CliRunner

from volans.cli.main import app
from volans.driver.event_log import EventLog
from volans.driver.event_log_names import EVENTS, IDS, select_events
from volans.driver.event_log_text import describe_frame, format_record
from volans.errors import ConfigError
from volans.protocol.frames import NakFrame
from volans.testing.transport_kit import EngineDriver
from volans.transport.simulated import SimulatedNetwork

FRAMES = {IDS["FRAME_IN"], IDS["FRAME_OUT"]}


@pytest.mark.parametrize(
    ("enabled", "disabled", "expected"),
    [
        (None, None, set()),
        ("", None, set()),
        ("all", None, set(EVENTS)),
        ("admin", None, set(EVENTS) - FRAMES),
        ("FRAME_IN, 2", None, FRAMES),
        ("SEND_NAK_MESSAGE", None, {IDS["NAK_SENT"]}),
        ("all", "admin", FRAMES),
        ("admin", "CMD_IN_KEEPALIVE_CLIENT", set(EVENTS) - FRAMES - {13}),
        ("0xffff", None, set(EVENTS)),
        ("0xC", None, FRAMES),
    ],
)
def test_what_is_selected(enabled, disabled, expected):
    assert select_events(enabled, disabled) == expected


@pytest.mark.parametrize("text", ["FRAME_UP", "9", "1000", "-1"])
def test_what_no_event_is_called_is_refused(text):
    with pytest.raises(ConfigError, match="AERON_EVENT_LOG="):
        select_events(text)


def test_a_driver_tells_commands_answers_and_channels(tmp_path):
    path = tmp_path / "events.log"
    with invoked_driver(event_log="admin", event_log_filename=str(path)) as driver:
        asker = Asker(driver)
        ready = asker.publication(UDP)
        asker.ask(c.RemoveSubscription, asker.subscription(UDP))
        asker.ask(c.RemovePublication, ready.registration_id, False)
        driver.pass_time(200)
        asker.refusal(c.AddPublication, 7, "aeron:udp?endpoint=nothing")
        driver.step()
    lines = path.read_text().splitlines()
    told = {line.split("DRIVER: ")[1].split(" ")[0] for line in lines}
    assert told >= {
        "CMD_IN_ADD_PUBLICATION",
        "CMD_OUT_PUBLICATION_READY",
        "CMD_OUT_ERROR",
        "SEND_CHANNEL_CREATION",
        "SEND_CHANNEL_CLOSE",
        "RECEIVE_CHANNEL_CREATION",
        "RECEIVE_CHANNEL_CLOSE",
        "REMOVE_PUBLICATION_CLEANUP",
        "REMOVE_SUBSCRIPTION_CLEANUP",
        "NAME_RESOLUTION_RESOLVE",
    }
    assert not told & {"FRAME_IN", "FRAME_OUT"}
    asked = next(line for line in lines if "CMD_IN_ADD_PUBLICATION" in line)
    assert asked.startswith("[1000.001000000] DRIVER: CMD_IN_ADD_PUBLICATION [")
    assert UDP in asked


def test_a_driver_tells_its_frames(tmp_path):
    path = tmp_path / "events.log"
    with invoked_driver(event_log="FRAME_OUT", event_log_filename=str(path)) as driver:
        Asker(driver).publication(UDP)
        driver.pass_time(300)
    lines = path.read_text().splitlines()
    assert lines
    assert all("DRIVER: FRAME_OUT [40/40]: " in line for line in lines)
    assert all("SetupFrame(" in line and f"{HOST}:40123" in line for line in lines)


def test_a_driver_without_events_has_nothing_of_the_log(tmp_path):
    with invoked_driver() as driver:
        assert driver.driver._event_log is None
        assert driver.driver._engines[0].name == "simulated"


def test_naks_are_told_without_other_frames(tmp_path):
    path = tmp_path / "events.log"
    network = SimulatedNetwork(1)
    log = EventLog(select_events("NAK_SENT,NAK_RECEIVED"), str(path))
    nak = NakFrame(0, 5, 1001, 77, 1024, 2048).encode()
    with (
        EngineDriver(log.tap(network.engine())) as one,
        EngineDriver(log.tap(network.engine())) as other,
    ):
        x, y = one.open("127.0.0.1"), other.open("127.0.0.1")
        for data in (nak, b"\0" * 32, nak):
            one.send_copy(x, other.local(y), data)
        one.flush()
        while network.in_flight_count:
            other.poll()
        log.close()
    events = [line.split("DRIVER: ")[1].split(" ")[0] for line in path.read_text().splitlines()]
    assert events == ["NAK_SENT"] * 2 + ["NAK_RECEIVED"] * 2


def test_a_full_ring_loses_events_and_says_so(tmp_path):
    path = tmp_path / "events.log"
    log = EventLog(select_events("GENERIC_MESSAGE"), str(path))
    for _ in range(2000):
        log.on_event(51, 0, "x" * 4000)
    assert log.lost_count > 0
    log.close()
    lines = path.read_text().splitlines()
    assert f"{log.lost_count} events were lost: the ring was full" in lines
    assert len(lines) == 2000 - log.lost_count + 1


def test_a_long_file_is_put_aside(tmp_path):
    path = tmp_path / "events.log"
    log = EventLog(select_events("GENERIC_MESSAGE"), str(path), file_max_length=2000)
    for number in range(100):
        log.on_event(51, number, "y" * 100)
    log.close()
    aside = tmp_path / "events.log.1"
    assert 0 < path.stat().st_size <= 2000
    assert 0 < aside.stat().st_size <= 2000
    # The newest are kept, in order.
    assert "[0.000000099]" in path.read_text().splitlines()[-1]


def test_the_writer_thread_writes_by_itself_until_closed(tmp_path):
    path = tmp_path / "events.log"
    log = EventLog(select_events("GENERIC_MESSAGE"), str(path))
    log.start()
    log.on_event(51, 1, "one")
    log.close()
    assert path.read_text() == "[0.000000001] DRIVER: GENERIC_MESSAGE [3/3]: one\n"


@pytest.mark.parametrize("record", [b"", b"\0" * 7, b"\xff" * 16, b"\xff" * 60])
@pytest.mark.parametrize("event_id", [1, 3, 34, 51, 999])
def test_odd_records_do_not_end_the_log(tmp_path, event_id, record):
    log = EventLog(frozenset({event_id}), str(tmp_path / "log"))
    log._ring.write(event_id, record)
    log.on_event(event_id, 0, "next")
    log.close()
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_control_characters_of_strangers_do_not_reach_the_log():
    line = format_record(51, b"\0" * 8 + b"a\nb\x1b[31m")
    assert "\n" not in line
    assert "\x1b" not in line


@pytest.mark.parametrize("length", [0, 7, 8, 31, 32, 300])
def test_frames_are_described_however_little_was_kept(length):
    assert "\n" not in describe_frame(b"\x20\0\0\0\0\xc0\x01\0" * 64)[:length]
    assert describe_frame((b"\x20\0\0\0\0\xc0\x01\0" * 64)[:length])


def test_the_tool_reads_and_filters(tmp_path):
    path = tmp_path / "events.log"
    with invoked_driver(event_log="all", event_log_filename=str(path)) as driver:
        Asker(driver).publication(UDP)
        driver.pass_time(300)
    run = CliRunner().invoke
    shown = run(app, ["events", str(path), "--event", "CMD_IN_ADD_PUBLICATION"])
    assert shown.exit_code == 0
    assert len([line for line in shown.stdout.splitlines() if line.startswith("[")]) == 1
    found = json.loads(run(app, ["events", str(path), "--event", "2", "--json"]).stdout)
    assert {each["event"] for each in found["events"]} == {"FRAME_OUT"}
    late = json.loads(run(app, ["events", str(path), "--since", "1000.2", "--json"]).stdout)
    assert all(each["time_ns"] >= 1_000_200_000_000 for each in late["events"])
    none = json.loads(run(app, ["events", str(path), "--match", "no such", "--json"]).stdout)
    assert none["events"] == []


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["nowhere", "--event", "X"], ["nowhere", "--match", "("]]
)
def test_the_tool_says_what_is_wrong(arguments):
    shown = CliRunner().invoke(app, ["events", *arguments])
    assert shown.exit_code != 0
    assert len(shown.output.strip().splitlines()) == 1
