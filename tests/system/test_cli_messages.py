"""The commands that send and receive, as processes, on a driver of each kind."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from client_driver import SETTINGS, await_that, scratch, udp_channel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import peer
from typer.testing import CliRunner

from volans.cli.main import app

__all__ = ["udp_channel"]

LIMIT_S = 40
streams = itertools.count(31_001, 10)


class Command:
    """A ``volans`` command in a process of its own."""

    def __init__(self, *arguments, stdin=b""):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "volans.cli", *map(str, arguments)],
            env=peer.volans_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._input = stdin

    def output(self, code=0):
        stdout, stderr = self.process.communicate(self._input, LIMIT_S)
        assert self.process.returncode == code, stderr.decode()
        return stdout

    def json(self):
        (line,) = self.output().splitlines()
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module", params=["volans", "official"])
def directory(request):
    if request.param == "official":
        try:
            peer.peer_python()
        except peer.PeerUnavailable as reason:
            pytest.skip(str(reason))
    with peer.Driver(request.param, scratch(), SETTINGS) as driver:
        yield driver.directory


@pytest.fixture(params=["ipc", "udp"])
def channel(request, udp_channel):
    return "aeron:ipc" if request.param == "ipc" else udp_channel


@pytest.fixture
def stream(directory, channel):
    stream_id = next(streams)
    return ["-d", directory, "--channel", channel, "--stream-id", stream_id]


def stat(directory, *options):
    result = CliRunner().invoke(
        app, ["stat", "--once", "--json", "-d", str(directory), *map(str, options)]
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_file_goes_across_unchanged(stream, tmp_path):
    content = random.Random(7).randbytes(3_000_001)
    (tmp_path / "sent").write_bytes(content)
    received = tmp_path / "received"
    with (
        Command("sub", *stream, "--file", received, "--json", "-t", "30") as sub,
        Command("pub", *stream, "--file", tmp_path / "sent", "--json", "-t", "30") as pub,
    ):
        sent = pub.json()
        got = sub.json()
    assert received.read_bytes() == content
    assert got["verified"]
    assert got["sha256"] == sent["sha256"]
    assert got["bytes"] == sent["bytes"] == len(content)
    assert sorted(os.listdir(tmp_path)) == ["received", "sent"]  # noqa: PTH208


def test_lines_go_across(stream):
    lines = b"one\n\nthree \xc3\xa9\r\n" + b"x" * 5000 + b"\nno more\n"
    with (
        Command("sub", *stream, "--count", 5, "-t", "30") as sub,
        Command("pub", *stream, "--json", "-t", "30", stdin=lines) as pub,
    ):
        assert pub.json() == {"messages": 5, "bytes": 3 + 8 + 5000 + 7}
        assert sub.output() == lines.replace(b"\r\n", b"\n")


def test_a_saved_stream_of_lines_ends_with_its_publisher(directory, tmp_path):
    stream = ["-d", directory, "--stream-id", next(streams)]
    received = tmp_path / "lines"
    with (
        Command("sub", *stream, "--file", received, "--json", "-t", "30") as sub,
        Command("pub", *stream, "--shared", "--count", 2, "-t", "30", stdin=b"a\nb\nc\n") as pub,
    ):
        assert pub.output() == b""
        assert sub.json()["verified"] is False
    assert received.read_bytes() == b"a\nb\n"


def test_a_file_cut_short_is_an_error_and_leaves_nothing(directory, tmp_path):
    import volans
    from volans.cli.marks import Mark, pack, reserved_value_of

    stream_id = next(streams)
    with (
        Command("sub", "-d", directory, "-s", stream_id, "--file", tmp_path / "file") as sub,
        volans.connect(directory) as client,
    ):
        with client.add_exclusive_publication("aeron:ipc", stream_id) as publication:
            begin = pack({"name": "x", "length_bytes": 10})
            publication.publish(begin, 30, reserved_value_of(Mark.FILE_BEGIN))
            publication.publish(b"half", 30, reserved_value_of(Mark.FILE_DATA))
        _, error = sub.process.communicate(timeout=LIMIT_S)
    assert sub.process.returncode == 1
    assert b"the publisher went before the end: 4 bytes came" in error
    assert list(tmp_path.iterdir()) == []


def test_nobody_there_is_said_in_one_line(directory):
    options = ["-d", directory, "--timeout", "50ms", "--stream-id"]
    with (
        Command("pub", *options, next(streams)) as pub,
        Command("sub", *options, next(streams)) as sub,
    ):
        _, error = pub.process.communicate(b"x\n", LIMIT_S)
        assert pub.process.returncode == 1
        assert b"no subscriber on aeron:ipc" in error
        _, error = sub.process.communicate(timeout=LIMIT_S)
        assert sub.process.returncode == 1
        assert error.count(b"\n") == 1


def test_ping_and_pong(directory, channel, tmp_path):
    pytest.importorskip("hdrh")
    stream_id = next(streams)
    common = ["-d", directory, "-t", "30", "--ping-stream-id", stream_id]
    common += ["--pong-stream-id", stream_id + 1, "--ping-channel", channel]
    common += ["--pong-channel", "aeron:ipc"]
    with (
        Command("pong", *common, "--once") as pong,
        Command(
            *("ping", *common, "--count", 200, "--warm-up", 10, "--length", 3000, "--json"),
            *("--rate", 5000, "--hlog", tmp_path / "ping.hlog"),
        ) as ping,
    ):
        result = ping.json()
        _, told = pong.process.communicate(timeout=LIMIT_S)
    assert pong.process.returncode == 0
    assert b"210 messages sent back" in told
    assert (result["count"], result["length_bytes"]) == (200, 3000)
    assert 0 < result["min_ns"] <= result["p50_ns"] <= result["p99_ns"] <= result["max_ns"]
    assert "HIST" in (tmp_path / "ping.hlog").read_text()


def test_rate_counts_every_message(stream):
    with Command("rate", *stream, "--count", 5000, "--length", 100, "-t", 30, "--json") as rate:
        result = rate.json()
    assert (result["role"], result["messages"], result["bytes"]) == ("subscriber", 5000, 500_000)
    assert result["messages_per_second"] > 0


def test_the_tools_see_a_live_stream_and_its_ends(directory, udp_channel):
    import volans

    stream_id = next(streams)
    with (
        volans.connect(directory, client_name="seen") as client,
        client.add_subscription(udp_channel, stream_id),
        client.add_exclusive_publication(udp_channel, stream_id) as publication,
    ):
        publication.publish(b"x" * 100, 30)
        found = await_that(
            lambda: stat(directory, "--stream", stream_id, "--type", "rcv-pos")["counters"]
        )
        assert found[0]["channel"] == udp_channel
        await_that(
            lambda: (
                stat(directory, "--stream", stream_id, "--type", "rcv-pos")["counters"][0]["value"]
                == 160
            )
        )
        assert stat(directory)["active"]
        await_that(lambda: any("name=seen" in row["label"] for row in stat(directory)["counters"]))
        session_id = str(publication.session_id)
        result = CliRunner().invoke(app, ["backlog", "--json", "-d", str(directory)])
        parts = {
            row["part"]: row
            for row in json.loads(result.stdout)["backlogs"]
            if str(row["session_id"]) == session_id
        }
        assert set(parts) == {"publisher", "sender", "receiver", "subscriber"}
        assert parts["subscriber"]["backlog_bytes"] == 160
        log = str(publication.registration_id)
        result = CliRunner().invoke(app, ["log", "inspect", log, "--json", "-d", str(directory)])
        (frame,) = json.loads(result.stdout)["frames"]
        assert frame["payload"] == "78" * 32


def test_the_driver_command_runs_and_ends_in_order(tmp_path):
    home = tmp_path / "driver"
    options = [
        *("--threading-mode", "SHARED", "--term-buffer-length", "64k"),
        *("--counters-values-buffer-length", "1m", "--dir-delete-on-shutdown", "true"),
    ]
    with Command("driver", "-d", home, *options) as driver:
        assert b"ready" in driver.process.stderr.readline()
        assert stat(home)["active"]
        assert stat(home)["pid"] == driver.process.pid
        driver.process.send_signal(signal.SIGINT)
        assert driver.process.wait(LIMIT_S) == 0
        assert driver.process.stderr.read() == b"media driver ended\n"
    assert not home.exists()


def test_the_demonstration():
    with Command("demo", "--json", "--step", "100ms") as demo:
        shown = demo.json()
    assert [row["transport"] for row in shown["results"]] == ["IPC", "UDP"]
    for row in shown["results"]:
        assert row["messages"] > 0
        assert 0 < row["p50_ns"] <= row["p99_ns"] <= row["p99_9_ns"]
        assert row["file_bytes"] > 0


def test_the_demonstration_fails_without_the_driver_it_is_told_of(tmp_path):
    with Command("demo", "-d", tmp_path) as demo:
        _, error = demo.process.communicate(timeout=LIMIT_S)
    assert demo.process.returncode == 1
    assert b"no media driver" in error


def test_a_child_that_fails_ends_the_wait_for_the_others(tmp_path):
    from volans.cli.children import Child, results
    from volans.cli.failures import CommandFailedError

    common = ["-d", str(tmp_path), "--timeout"]
    with Child(["pong", *common, "600"]) as waiting, Child(["ping", *common, "0"]) as failing:
        with pytest.raises(CommandFailedError, match=r"ping ended with 1: .*no media driver"):
            results([waiting, failing], 60.0)
        assert waiting.process.poll() is None
    assert waiting.process.poll() is not None
