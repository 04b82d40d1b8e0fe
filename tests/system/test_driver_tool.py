"""``volans driver-tool`` and ``volans driver --config`` on drivers, ours and official."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from bad_input import await_that, peer, run_driver
from client_driver import scratch
from typer.testing import CliRunner

from volans.cli.main import app
from volans.memory import CountersReader
from volans.protocol.cnc import CncFile
from volans.protocol.counter_types import SystemCounter


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["driver-tool", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(params=["volans", "official"])
def kind(request):
    if request.param == "official":
        try:
            peer.peer_python()
        except peer.PeerUnavailable as reason:
            pytest.skip(str(reason))
    return request.param


def test_pid_and_info(kind):
    with peer.Driver(kind, scratch()) as driver:
        with CncFile.attach(driver.directory, read_only=True) as cnc:
            pid = cnc.pid
        assert run("pid", "-d", driver.directory).stdout == f"{pid}\n"
        assert run("-d", driver.directory, "pid").stdout == f"{pid}\n"
        shown = json.loads(run("-d", driver.directory, "--json").stdout)
        assert (shown["pid"], shown["active"]) == (pid, True)
        text = run("-d", driver.directory).stdout
        assert f"pid: {pid}" in text
        assert "activity: " in text


def test_terminate_ends_a_driver_that_allows_it(kind):
    settings = {"AERON_DRIVER_TERMINATION_VALIDATOR": "allow"}
    with peer.Driver(kind, scratch(), settings) as driver:
        if kind == "official":  # its process waits for a signal, only the driver in it would end
            pytest.skip("the official driver ends by a hook that its own main program sets")
        result = run("terminate", "-d", driver.directory, "--timeout", "20s")
        assert "has ended" in result.stderr
        assert driver.process.wait(20) == 0
        result = run("terminate", "-d", driver.directory, code=1)
        assert "no media driver" in result.stderr


def test_terminate_says_when_the_driver_does_not_allow_it():
    with run_driver() as driver:
        (line,) = run(
            "terminate", "-d", driver.directory, "--timeout", "100ms", code=1
        ).stderr.splitlines()
        assert "AERON_DRIVER_TERMINATION_VALIDATOR=allow" in line
        assert driver.process.poll() is None
        driver.process.send_signal(signal.SIGKILL)
        driver.process.wait()


def test_gc_knows_the_living_from_the_killed(kind, tmp_path):
    with (
        peer.Driver(kind, tmp_path / "alive") as alive,
        peer.Driver(kind, tmp_path / "killed") as killed,
    ):
        await_that(
            lambda: all(
                CncFile.attach(driver.directory, read_only=True).driver_heartbeat_ms > 0
                for driver in (alive, killed)
            )
        )
        killed.process.kill()
        killed.process.wait()
        # Its heartbeat is fresh yet: nothing of it goes before the time-out.
        rows = json.loads(run("gc", "--parent", tmp_path, "--json").stdout)["drivers"]
        assert [row["state"] for row in rows] == ["alive", "alive"]
        with CncFile.attach(killed.directory, timeout_s=0, require_alive=False) as cnc:
            offset = cnc.layout.heartbeat_offset
            with cnc.mapped.view(offset, 8) as word:
                old_ms = int.from_bytes(word, "little") - 60_000
                word[:] = old_ms.to_bytes(8, "little")
            with open(killed.directory / "cnc.dat", "r+b") as file:
                file.seek(0)
                start = cnc.start_timestamp_ms
                data = file.read(128)
                place = data.index(start.to_bytes(8, "little"))
                file.seek(place)
                file.write((start - 60_000).to_bytes(8, "little"))
        rows = json.loads(run("gc", "--parent", tmp_path, "--yes", "--json").stdout)["drivers"]
        assert [(row["state"], row["removed"]) for row in rows] == [
            ("alive", False),
            ("dead", True),
        ]
        assert not killed.directory.exists()
        assert run("pid", "-d", alive.directory).stdout.strip().isdecimal()


def test_a_driver_is_run_with_a_file(tmp_path):
    file = tmp_path / "volans.toml"
    directory = tmp_path / "shared"
    file.write_text(
        f'[driver]\ndirectory = "{directory}"\nterm_buffer_length = "64k"\n'
        'termination_validator = "allow"\nprint_configuration_on_start = true\n'
    )
    command = [sys.executable, "-m", "volans.cli", "driver", "--config", str(file)]
    driver = subprocess.Popen(
        [*command, "--mtu-length", "2k"],
        env={**peer.volans_environment(), "AERON_TERM_BUFFER_LENGTH": "128k"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        lines = []
        while not lines or "ready in" not in lines[-1]:
            line = driver.stderr.readline()
            assert line, lines
            lines.append(line)
        text = "".join(lines)
        assert "AERON_TERM_BUFFER_LENGTH=64k " in text
        assert "AERON_MTU_LENGTH=2k " in text
        assert str(directory) in lines[-1]
        run("terminate", "-d", directory, "--timeout", "20s")
        assert driver.wait(20) == 0
    finally:
        driver.kill()
        driver.communicate()


def test_the_controllable_idle_strategy_is_set(kind):
    with peer.Driver(kind, scratch()) as driver:
        for mode, value in (("park", 4), ("spin", 2), ("7", 7), ("default", 0)):
            run("idle-strategy", mode, "-d", driver.directory)
            with CncFile.attach(driver.directory, read_only=True) as cnc:
                counters = CountersReader(cnc.counters_metadata_buffer, cnc.counters_values_buffer)
                assert counters.value(SystemCounter.CONTROLLABLE_IDLE_STRATEGY) == value
        run("idle-strategy", "sideways", "-d", driver.directory, code=2)
