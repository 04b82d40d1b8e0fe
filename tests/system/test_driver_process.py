"""volansmd in place of aeronmd: settings, directory, signals, termination, exit status."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_process import (
    await_that,
    environment,
    peer,
    run_to_its_end,
    running_driver,
    scratch,
)

from volans.memory import DistinctErrorLog
from volans.protocol.cnc import CncFile
from volans.protocol.commands import ClientKeepalive, TerminateDriver

PREFIX = "aeron_driver_termination_validator_default_"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A name nobody has; what is there at the end goes."""
    place = Path(scratch())
    yield place / "aeron"
    shutil.rmtree(place, ignore_errors=True)


def test_an_argument_is_an_error_in_one_line(directory):
    status, said = run_to_its_end(directory, "--help")
    assert status == 2
    assert said.count("\n") == 1
    assert "--help" in said
    assert "AERON_" in said
    assert not directory.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AERON_TERM_BUFFER_LENGTH", "65000"),
        ("AERON_TERM_BUFFER_LENGTH", "64q"),
        ("AERON_TIMER_INTERVAL", "soon"),
        ("AERON_THREADING_MODE", "SOME"),
        ("AERON_TERM_BUFFER_SPARSE_FILE", "perhaps"),
        ("AERON_DRIVER_TERMINATION_VALIDATOR", "sometimes"),
        ("AERON_CONGESTIONCONTROL_SUPPLIER", "hope"),
        ("AERON_MULTICAST_FLOWCONTROL_SUPPLIER", "hope"),
        ("AERON_CONDUCTOR_IDLE_STRATEGY", "siesta"),
    ],
)
def test_a_bad_value_is_one_clear_line(directory, variable, value):
    status, said = run_to_its_end(directory, **{variable: value})
    assert status == 2, said
    assert said.count("\n") == 1
    assert variable in said
    assert value in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_life_says_nothing_and_exits_0(directory, number):
    unknown = {"AERON_NO_SUCH_THING": "1", "AERON_EVENT_LOG": "", "AERON_SOCKET_SO_RCVBUF": "128k"}
    with running_driver(directory, **unknown) as driver:
        os.kill(driver.process.pid, 0)
        first = driver.heartbeat_ms()
        await_that(lambda: driver.heartbeat_ms() > first)
        assert driver.end(number) == (0, "")
        assert driver.error_texts() == []
        assert driver.heartbeat_ms() == -1
        assert (directory / "cnc.dat").exists()
        assert (directory / "loss-report.dat").exists()
        assert list((directory / "publications").iterdir()) == []


def test_the_directory_goes_at_the_end_when_told(directory):
    with running_driver(directory, AERON_DIR_DELETE_ON_SHUTDOWN="true") as driver:
        assert driver.end(signal.SIGTERM) == (0, "")
    assert not directory.exists()


def test_the_default_directory_is_the_official_one():
    user = f"volans-test-{os.getpid()}"
    settings = {"USER": user, "AERON_DIR_DELETE_ON_SHUTDOWN": "1"}
    with running_driver(None, **settings) as driver:
        assert driver.directory == Path(f"/dev/shm/aeron-{user}")
        assert driver.end(signal.SIGTERM) == (0, "")
    assert not driver.directory.exists()


def test_a_second_driver_is_refused_and_the_first_lives_on(directory):
    with running_driver(directory) as driver:
        status, said = run_to_its_end(directory)
        assert status == 1
        assert said.count("\n") == 1
        assert str(driver.process.pid) in said
        assert str(directory) in said
        first = driver.heartbeat_ms()
        await_that(lambda: driver.heartbeat_ms() > first)
        assert driver.end(signal.SIGTERM) == (0, "")


def test_a_dead_drivers_directory_is_taken_over_and_its_errors_are_kept(directory):
    with running_driver(directory) as dead:
        with CncFile.attach(directory, timeout_s=5) as cnc:
            DistinctErrorLog(cnc.error_log_buffer, lambda: 1_700_000_000_000).record("old trouble")
        (directory / "publications" / "left.logbuffer").write_bytes(b"x")
        dead.process.kill()
        dead.process.wait(30)

    def taken_over() -> bool:
        status, said = 1, ""
        probe = subprocess.Popen(
            [sys.executable, "-m", "volans.driver.volansmd"],
            env=environment(directory, AERON_DRIVER_TIMEOUT="200"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            await_that(lambda: probe.poll() is not None or pid_in(directory) == probe.pid)
            probe.terminate()
            said, _ = probe.communicate(timeout=30)
            status = probe.returncode
        finally:
            probe.kill()
        if status == 0:
            assert said.startswith("WARNING: Existing errors saved to: ")
            kept = Path(said.split(": ", 2)[2].strip())
            assert kept.name.startswith(f"{directory.name}-")
            assert "old trouble" in kept.read_text(encoding="utf-8")
        return status == 0

    await_that(taken_over)
    assert not (directory / "publications" / "left.logbuffer").exists()


def pid_in(directory: Path) -> int:
    try:
        with CncFile.attach(directory, timeout_s=0, read_only=True) as cnc:
            return cnc.pid
    except Exception:
        return -1


def test_deletion_on_start_asks_nobody_and_a_warning_is_printed_when_wanted(directory):
    directory.mkdir()
    (directory / "left").write_text("x", encoding="utf-8")
    with running_driver(
        directory, AERON_DIR_WARN_IF_EXISTS="true", AERON_DIR_DELETE_ON_START="true"
    ) as driver:
        assert not (directory / "left").exists()
        status, said = driver.end(signal.SIGTERM)
        assert (status, said) == (0, f"WARNING: {directory} exists\n")


@pytest.mark.parametrize("validator", ["allow", PREFIX + "allow"])
def test_termination_is_obeyed_when_allowed(directory, validator):
    with running_driver(directory, AERON_DRIVER_TERMINATION_VALIDATOR=validator) as driver:
        driver.send(TerminateDriver(1, -1, b"any token"))
        assert driver.end() == (0, "")
        assert driver.heartbeat_ms() == -1


@pytest.mark.parametrize("validator", ["", "deny", PREFIX + "deny"])
def test_termination_is_denied_by_default(directory, validator):
    with running_driver(directory, AERON_DRIVER_TERMINATION_VALIDATOR=validator) as driver:
        before = driver.consumer_position()
        driver.send(TerminateDriver(1, -1, b""))
        driver.send(ClientKeepalive(1, -1))
        await_that(lambda: driver.consumer_position() >= before + 56)
        heartbeat = driver.heartbeat_ms()
        await_that(lambda: driver.heartbeat_ms() > heartbeat)
        assert driver.process.poll() is None
        assert driver.end(signal.SIGTERM) == (0, "")


def test_the_official_client_library_ends_the_driver(directory):
    try:
        python = peer.peer_python()
    except peer.PeerUnavailable as reason:
        pytest.skip(str(reason))
    script = (
        "import ctypes, sys, pyaeron._pyaeron as m\n"
        "lib = ctypes.CDLL(m.__file__)\n"
        "lib.aeron_errmsg.restype = ctypes.c_char_p\n"
        "ok = lib.aeron_context_request_driver_termination(sys.argv[1].encode(), b'abc', 3)\n"
        "print(ok, lib.aeron_errmsg())\n"
    )
    with running_driver(directory, AERON_DRIVER_TERMINATION_VALIDATOR="allow") as driver:
        asked = subprocess.run(
            [python, "-c", script, str(directory)],
            env=peer.official_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert asked.stdout.startswith("1 "), asked.stdout
        assert driver.end() == (0, "")


def test_ready_in_under_a_second(directory):
    times = []
    for attempt in range(5):
        with running_driver(directory.with_name(f"d{attempt}")) as driver:
            times.append(driver.ready_after_s)
        if times[-1] < 1.0:
            return
    raise AssertionError(f"seconds until ready: {times}")
