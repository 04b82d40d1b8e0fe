"""The read-only tools on directories made by hand: what they print, and how they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from volans.cli.main import COMMANDS, app
from volans.memory import CountersManager, DistinctErrorLog, LossReport, MappedFile
from volans.protocol.cnc import CncLayout, create_cnc
from volans.protocol.counter_types import (
    CounterType,
    channel_status_key,
    client_heartbeat_key,
    stream_counter_key,
    system_counter_key,
)
from volans.testing.log_kit import LogKit

NOW_MS = 1_700_000_000_000
TOOLS = ["stat", "streams", "backlog", "errors", "loss"]


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments):
    (line,) = run(*arguments, "--json").stdout.splitlines()
    return json.loads(line)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """What a driver that is gone has left: counters, errors, losses and a log."""
    home = tmp_path_factory.mktemp("driver")
    layout = CncLayout.of_lengths(
        to_driver_buffer_length=(1 << 16) + 768,
        to_clients_buffer_length=(1 << 16) + 128,
        counters_values_buffer_length=1 << 16,
        error_log_buffer_length=1 << 16,
    )
    cnc = create_cnc(
        home, layout, client_liveness_timeout_ns=10**10, start_timestamp_ms=NOW_MS, pid=4711
    )
    counters = CountersManager(
        cnc.counters_metadata_buffer, cnc.counters_values_buffer, epoch_clock_ms=lambda: NOW_MS
    )
    for type_id, key, label, value in (
        (CounterType.SYSTEM, system_counter_key(0), "Bytes sent", 12345),
        (CounterType.SYSTEM, system_counter_key(1), "Bytes \x1b[31mreceived [bold]", 0),
        (CounterType.CLIENT_HEARTBEAT, client_heartbeat_key(77), "client-heartbeat: id=77", 5),
        (CounterType.PUBLISHER_POSITION, stream_counter_key(3, -9, 10, "aeron:ipc"), "", 640),
        (CounterType.PUBLISHER_LIMIT, stream_counter_key(3, -9, 10, "aeron:ipc"), "", 1000),
        (CounterType.SUBSCRIBER_POSITION, stream_counter_key(4, -9, 10, "aeron:ipc"), "", 600),
        (CounterType.SEND_CHANNEL_STATUS, channel_status_key("aeron:udp?a=b"), "snd-channel", 1),
        (1234, b"odd", "my own", -1),
    ):
        name = label or f"{type_id.name}: …"
        counters.set_value(counters.allocate(type_id, key, name), value)
    log = DistinctErrorLog(cnc.error_log_buffer, lambda: NOW_MS)
    log.record("first error\nwith two lines")
    log.record("second \x1b[2J error")
    log.record("second \x1b[2J error")
    with (
        MappedFile.create(home / "loss-report.dat", 1 << 16) as mapped,
        mapped.view(0, mapped.length) as view,
    ):
        report = LossReport(view)
        report.create_entry(1408, NOW_MS, 8, 9, "aeron:udp?endpoint=a:1", "10.0.0.1:4000")
    (home / "publications").mkdir()
    kit = LogKit(session_id=-9, stream_id=10)
    kit.append(b"hello", 99)
    kit.append(b"\x00\x01")
    (home / "publications" / "3.logbuffer").write_bytes(kit.memory)
    cnc.signal_ready()
    cnc.close()
    return home


def test_the_overview_names_every_command_and_loads_none():
    script = (
        "import sys\nfrom volans.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(*sys.modules, sep='\\n')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    help_text, modules = answer.stdout, answer.stdout.split()
    for name, entry in COMMANDS.items():
        assert f"│ {name} " in help_text
        assert f"volans.cli.{entry.module}" not in modules
    for heavy in ("volans.client", "volans.driver", "volans.memory.counters", "numpy"):
        assert heavy not in modules


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name):
    assert "Usage" in run(name, "--help").stdout


def test_an_unknown_command_is_a_bad_argument():
    assert "No such command" in run("stats", code=2).output


@pytest.mark.parametrize("tool", TOOLS)
def test_without_a_driver_one_line_says_so(tool, tmp_path):
    result = run(tool, "--directory", tmp_path, code=1)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"volans {tool}: no media driver in {tmp_path}")
    assert "cnc.dat" in line


@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_that_is_none_of_a_driver_is_refused_in_one_line(tool, tmp_path):
    (tmp_path / "cnc.dat").write_bytes(b"\xff" * 8192)
    (line,) = run(tool, "-d", tmp_path, code=1).stderr.splitlines()
    assert "version" in line


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_only_read(tool, directory):
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    for path in before:
        path.chmod(0o444)
    options = ["--once"] if tool == "stat" else []
    run(tool, "-d", directory, *options)
    run(tool, "-d", directory, *options, "--json")
    assert {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()} == before


def test_the_environment_names_the_directory(directory, monkeypatch):
    monkeypatch.setenv("AERON_DIR", str(directory))
    assert run_json("errors")["pid"] == 4711


def test_stat_tells_all_there_is_about_a_counter(directory):
    shown = run_json("stat", "--once", "-d", directory)
    assert shown["directory"] == str(directory)
    assert (shown["pid"], shown["start_timestamp_ms"]) == (4711, NOW_MS)
    assert shown["active"] is False
    assert shown["heartbeat_age_ms"] is None
    assert len(shown["counters"]) == 8
    assert shown["counters"][3] == {
        "id": 3,
        "type_id": 12,
        "type": "pub-pos",
        "value": 640,
        "label": "PUBLISHER_POSITION: …",
        "counter_registration_id": 0,
        "owner_id": 0,
        "reference_id": 0,
        "registration_id": 3,
        "session_id": -9,
        "stream_id": 10,
        "channel": "aeron:ipc",
    }
    assert shown["counters"][7]["type"] == "1234"


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--type", "system"], [0, 1]),
        (["--type", "sub-pos", "--type", "12"], [3, 5]),
        (["--identity", "77"], [2]),
        (["--identity", "3"], [3, 4]),
        (["--session", "-9", "--type", "4"], [5]),
        (["--stream", "10"], [3, 4, 5]),
        (["--stream", "11"], []),
        (["--channel", "aeron:udp?a"], [6]),
        (["--channel", "udp", "--channel", "ipc"], [3, 4, 5, 6]),
        (["--non-zero", "--type", "0"], [0]),
    ],
)
def test_stat_filters(directory, options, ids):
    shown = run_json("stat", "--once", "-d", directory, *options)
    assert [counter["id"] for counter in shown["counters"]] == ids


@pytest.mark.parametrize(
    "options",
    [["--type", "nothing"], ["--stream", "x"], ["--session", "3000000000"], ["--interval", "-1"]],
)
def test_stat_refuses_bad_filters(directory, options):
    run("stat", "--once", "-d", directory, *options, code=2)


def test_stat_for_people_shows_no_control_characters_and_no_markup(directory):
    shown = run("stat", "--once", "-d", directory).stdout
    assert "12,345" in shown
    assert "Bytes \\x1b[31mreceived [bold]" in shown
    assert "not running" in shown


def test_stat_looks_again_as_often_as_asked(directory):
    lines = run("stat", "-d", directory, "--count", "3", "--interval", "0", "--json").stdout
    assert len({json.loads(line)["pid"] for line in lines.splitlines()}) == 1
    assert len(lines.splitlines()) == 3


def test_streams_and_backlog(directory):
    rows = run_json("streams", "-d", directory)["streams"]
    assert [(row["name"], row["value"]) for row in rows] == [
        ("PUBLISHER_POSITION", 640),
        ("PUBLISHER_LIMIT", 1000),
        ("SUBSCRIBER_POSITION", 600),
    ]
    rows = run_json("backlog", "-d", directory)["backlogs"]
    assert [(row["part"], row["backlog_bytes"], row["window_bytes"]) for row in rows] == [
        ("publisher", None, 360),
        ("subscriber", 40, None),
    ]
    assert "1 streams" in run("streams", "-d", directory).stdout
    assert "subscriber" in run("backlog", "-d", directory).stdout


def test_errors(directory):
    shown = run_json("errors", "-d", directory)
    assert [(error["observation_count"], error["text"]) for error in shown["errors"]] == [
        (1, "first error\nwith two lines"),
        (2, "second \x1b[2J error"),
    ]
    assert shown["corrupt_offset"] is None
    text = run("errors", "-d", directory).stdout
    assert "2 distinct errors" in text
    assert "\x1b" not in text
    assert "0 distinct" in run("errors", "-d", directory, "--since-ms", NOW_MS + 1).stdout


def test_loss(directory):
    (entry,) = run_json("loss", "-d", directory)["losses"]
    assert (entry["total_bytes_lost"], entry["source"]) == (1408, "10.0.0.1:4000")
    assert "1 streams with loss, 1,408 bytes" in run("loss", "-d", directory).stdout


def test_a_directory_without_a_loss_report(directory, tmp_path):
    (tmp_path / "cnc.dat").write_bytes((directory / "cnc.dat").read_bytes())
    (line,) = run("loss", "-d", tmp_path, code=1).stderr.splitlines()
    assert "loss-report.dat" in line
    (tmp_path / "loss-report.dat").write_bytes(b"")
    assert len(run("loss", "-d", tmp_path, code=1).stderr.splitlines()) == 1


@pytest.mark.parametrize("by", ["path", "registration id"])
def test_log_inspect(directory, by):
    log = directory / "publications" / "3.logbuffer" if by == "path" else "3"
    shown = run_json("log", "inspect", log, "-d", directory)
    assert shown["metadata"]["session_id"] == -9
    assert shown["metadata"]["producer_position"] == 128
    assert [(f["payload"], f["reserved_value"], f["flags"]) for f in shown["frames"]] == [
        (b"hello".hex(), 99, "BE.."),
        ("0001", 0, "BE.."),
    ]
    text = run("log", "inspect", log, "-d", directory, "--limit", "1").stdout
    assert "hello" in text
    assert "1 frames (the limit" in text
    assert "hello" not in run("log", "inspect", log, "-d", directory, "--no-frames").stdout


def test_log_inspect_refuses_what_is_no_log(directory, tmp_path):
    (line,) = run("log", "inspect", "99", "-d", directory, code=1).stderr.splitlines()
    assert "99.logbuffer" in line
    (line,) = run("log", "inspect", directory / "cnc.dat", code=1).stderr.splitlines()
    assert "cnc.dat" in line
    run("log", "inspect", tmp_path / "nothing", code=1)
    run("log", "inspect", "3", "-d", directory, "--partition", "3", code=2)


def test_version():
    shown = run_json("version")
    assert shown["cnc"] == "0.2.0"
    assert shown["volans"] in run("version").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["pub", "--channel", "nonsense"],
        ["pub", "--file", "/"],
        ["pub", "--stream-id", "3000000000"],
        ["sub", "--timeout", "soon"],
        ["sub", "--json"],
        ["ping", "--length", "7"],
        ["ping", "--idle", "lazy"],
        ["rate", "--length", "0"],
        ["rate", "--role", "spectator"],
        ["driver", "--mtu-length", "3"],
        ["driver", "--no-such-setting", "3"],
        ["demo", "--file", "/no/such/file"],
    ],
)
def test_bad_arguments_end_with_2_before_anything_is_done(arguments, tmp_path):
    result = run(*arguments, *([] if arguments[0] == "demo" else ["-d", tmp_path]), code=2)
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["pub", "ping", "pong"])
def test_clients_say_that_there_is_no_driver(command, tmp_path):
    (line,) = run(command, "-d", tmp_path, "--timeout", "10ms", code=1).stderr.splitlines()
    assert f"no media driver in {tmp_path}" in line


def test_every_setting_is_an_option_of_the_driver_command():
    from volans.cli.driver import driver_command
    from volans.driver.config_table import SETTINGS

    options = set(driver_command.__signature__.parameters)
    assert options == {setting.name for setting in SETTINGS} | {"quiet", "config"}
    shown = " ".join(run("driver", "--help").stdout.split())
    assert "default 1408" in shown
    assert "in a table [driver]" in shown  # not taken for markup


def test_the_command_of_the_package_is_the_one_tested():
    pyproject = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert 'volans = "volans.cli.main:app"' in pyproject


@pytest.mark.parametrize("module", ["volans", "volans.cli"])
def test_the_package_can_be_run_as_the_command(module):
    answer = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: volans [OPTIONS] COMMAND" in " ".join(answer.stdout.split())


@pytest.mark.parametrize("tool", ["streams", "backlog"])
@pytest.mark.parametrize(
    ("options", "is_found"),
    [
        (["--stream", "10"], True),
        (["--stream", "11"], False),
        (["--stream", "11", "--stream", "10", "--session", "-9"], True),
        (["--session", "9"], False),
        (["--channel", "ipc"], True),
        (["--channel", "udp"], False),
    ],
)
def test_streams_and_backlog_filters(directory, tool, options, is_found):
    shown = run_json(tool, "-d", directory, *options)
    assert bool(shown[{"streams": "streams", "backlog": "backlogs"}[tool]]) == is_found


def test_errors_of_a_file(directory, tmp_path):
    memory = bytearray(4096)
    DistinctErrorLog(memoryview(memory)[64:], lambda: NOW_MS).record("kept aside")
    file = tmp_path / "errors.dat"
    file.write_bytes(memory)
    shown = run_json("errors", "--file", file, "--offset", "64")
    assert [error["text"] for error in shown["errors"]] == ["kept aside"]
    assert "1 distinct errors in" in run("errors", "--file", file, "--offset", "64").stdout
    for bad in (["--file", file, "--offset", "4096"], ["--file", tmp_path], ["--file", "/no/file"]):
        assert len(run("errors", *bad, code=1).stderr.splitlines()) == 1


def test_log_inspect_looks_behind_zeroes(directory, tmp_path):
    memory = bytearray((directory / "publications" / "3.logbuffer").read_bytes())
    memory[0:64] = bytes(64)  # the first of its two frames never came
    log = tmp_path / "gap.logbuffer"
    log.write_bytes(memory)
    assert run_json("log", "inspect", log)["frames"] == []
    (frame,) = run_json("log", "inspect", log, "--scan-over-zeroes")["frames"]
    assert (frame["offset"], frame["payload"]) == (64, "0001")


@pytest.mark.parametrize(("data", "shown"), [("hex", b"hello".hex()), ("ascii", "hello")])
def test_log_inspect_shows_payloads_as_asked(directory, data, shown):
    log = directory / "publications" / "3.logbuffer"
    assert run_json("log", "inspect", log, "--data", data)["frames"][0]["payload"] == shown
    assert shown in run("log", "inspect", log, "--data", data).stdout
    run("log", "inspect", log, "--data", "rot13", code=2)
