"""Which directories of drivers may go: every kind of living, dead and doubtful one."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from volans.agents.processes import process_start_epoch_ms
from volans.cli.main import app
from volans.driver.leftovers import (
    DriverState,
    find_leftovers,
    look_at,
    remove_leftover,
)
from volans.protocol.cnc import CncLayout, create_cnc

NOW_MS = 1_700_000_000_000
TIMEOUT_MS = 10_000
PID = 4711
LAYOUT = CncLayout.of_lengths(
    to_driver_buffer_length=(1 << 16) + 768,
    to_clients_buffer_length=(1 << 16) + 128,
    counters_values_buffer_length=1 << 16,
    error_log_buffer_length=1 << 16,
)


def make(home, heartbeat_ms, *, started_ms=NOW_MS - 3_600_000, ready=True, pid=PID):
    """A driver's directory."""
    (home / "publications").mkdir(parents=True)
    (home / "images").mkdir()
    (home / "publications" / "3.logbuffer").write_bytes(bytes(8192))
    (home / "loss-report.dat").write_bytes(bytes(64))
    with create_cnc(
        home, LAYOUT, client_liveness_timeout_ns=10**10, start_timestamp_ms=started_ms, pid=pid
    ) as cnc:
        with cnc.mapped.view(LAYOUT.heartbeat_offset, 8) as word:
            word[:] = heartbeat_ms.to_bytes(8, "little", signed=True)
        if ready:
            cnc.signal_ready()
    return home


def nobody(pid):
    return None


def since(began_ms):
    return lambda pid: began_ms if pid == PID else None


def secret(pid):
    raise PermissionError("hidden")


STARTED = NOW_MS - 3_600_000


@pytest.mark.parametrize(
    ("heartbeat_ms", "processes", "state"),
    [
        (NOW_MS, nobody, DriverState.ALIVE),
        (NOW_MS - TIMEOUT_MS, nobody, DriverState.ALIVE),
        (NOW_MS - TIMEOUT_MS - 1, nobody, DriverState.DEAD),
        (-1, since(STARTED), DriverState.SHUT_DOWN),
        (0, nobody, DriverState.DEAD),
        (NOW_MS - 60_000, since(STARTED), DriverState.SILENT),
        (NOW_MS - 60_000, since(STARTED - 999_999), DriverState.SILENT),
        (NOW_MS - 60_000, since(STARTED + 60_000), DriverState.DEAD),
        (NOW_MS - 60_000, secret, DriverState.SILENT),
    ],
)
def test_states(tmp_path, heartbeat_ms, processes, state):
    found = look_at(make(tmp_path / "d", heartbeat_ms), NOW_MS, TIMEOUT_MS, processes)
    assert found.state is state
    assert found.pid == PID
    assert found.size_bytes >= 8192


def test_one_that_starts_now_is_alive_before_its_first_heartbeat(tmp_path):
    home = make(tmp_path / "d", 0, started_ms=NOW_MS - 100)
    assert look_at(home, NOW_MS, TIMEOUT_MS, nobody).state is DriverState.ALIVE


def test_doubtful_ones_stay(tmp_path):
    make(tmp_path / "a-other", -1)
    (tmp_path / "a-other" / "recordings").mkdir()
    make(tmp_path / "b-unfinished", 0, ready=False)
    (tmp_path / "c-garbage").mkdir()
    (tmp_path / "c-garbage" / "cnc.dat").write_bytes(b"\xff" * 8192)
    (tmp_path / "d-empty").mkdir()
    (tmp_path / "e-file").write_bytes(b"x")
    make(tmp_path / "f-gone", -1)
    (tmp_path / "g-link").symlink_to(tmp_path / "f-gone")
    found = find_leftovers(tmp_path, NOW_MS, TIMEOUT_MS, nobody)
    assert [(item.path.name, item.state) for item in found] == [
        ("a-other", DriverState.SHARED),
        ("b-unfinished", DriverState.UNREADABLE),
        ("c-garbage", DriverState.UNREADABLE),
        ("f-gone", DriverState.SHUT_DOWN),
    ]
    assert [item.state.may_go for item in found] == [False, False, False, True]
    assert "recordings" in found[0].detail
    assert "version" in found[2].detail


def test_a_driver_that_comes_to_life_meanwhile_keeps_its_directory(tmp_path):
    dead = look_at(make(tmp_path / "d", -1), NOW_MS, TIMEOUT_MS, nobody)

    def look_again(path):
        assert path != dead.path, "under its own name a driver could still come"
        return dead._replace(path=path, state=DriverState.ALIVE)

    assert not remove_leftover(dead, look_again)
    assert (dead.path / "publications" / "3.logbuffer").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert remove_leftover(dead, lambda path: look_at(path, NOW_MS, TIMEOUT_MS, nobody))
    assert list(tmp_path.iterdir()) == []


def gc(*arguments, code=0):
    result = CliRunner().invoke(app, ["driver-tool", "gc", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_gc_lists_and_removes_only_when_told(tmp_path):
    make(tmp_path / "gone", -1)
    make(tmp_path / "other", -1)
    (tmp_path / "other" / "mine").write_bytes(b"x")
    text = gc("--parent", tmp_path).stdout
    assert "shut down" in text
    assert "holds mine too" in text
    assert "2 directories of drivers" in text
    assert "1 of dead drivers: --yes removes them" in text
    assert (tmp_path / "gone").is_dir()
    shown = json.loads(gc("--parent", tmp_path, "--yes", "--json").stdout)
    assert [(row["may_go"], row["removed"]) for row in shown["drivers"]] == [
        (True, True),
        (False, False),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert "0 removed" in gc("--parent", tmp_path, "--yes").stdout


def test_gc_says_what_it_could_not_do(tmp_path, monkeypatch):
    make(tmp_path / "gone", -1)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("volans.driver.leftovers.remove_directory", refuse)
    (line,) = gc("--parent", tmp_path, "--yes", code=1).stderr.splitlines()
    assert "Permission denied" in line
    assert "gone" in line
    (line,) = gc("--parent", tmp_path / "nowhere", code=1).stderr.splitlines()
    assert "nowhere" in line


def test_the_start_of_a_process_is_told_in_epoch_time():
    before_ms = time.time() * 1000
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        began_ms = process_start_epoch_ms(child.pid)
        assert before_ms - 2000 <= began_ms <= time.time() * 1000 + 2000
    finally:
        child.communicate()
    assert process_start_epoch_ms(child.pid) is None
