"""The steps of the demonstration, each by two processes."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from volans.cli.children import Child, Listener, rate_of_two_processes, results
from volans.cli.demo_stage import Stage
from volans.cli.failures import CommandFailedError

_TIMEOUT_S: Final = 20.0
_END_TIMEOUT_S: Final = 30.0
_STREAMS_A_RUN: Final = 8


class Transport(NamedTuple):
    """A name for people and the channels of the steps."""

    name: str
    channel: str
    back_channel: str
    first_stream_id: int


def transports() -> tuple[Transport, ...]:
    """IPC, and UDP on free ports of the loopback interface."""
    there, back = _free_ports(2)
    # Not the streams of another demonstration on the same driver.
    stream_id = 10_000 + os.getpid() * _STREAMS_A_RUN % 1_000_000
    return (
        Transport("IPC", "aeron:ipc", "aeron:ipc", stream_id),
        Transport(
            "UDP",
            f"aeron:udp?endpoint=127.0.0.1:{there}",
            f"aeron:udp?endpoint=127.0.0.1:{back}",
            stream_id,
        ),
    )


def run_rate(stage: Stage, transport: Transport, on_progress: Listener) -> dict[str, Any]:
    """Messages of 32 bytes a second."""
    result = rate_of_two_processes(
        stage.directory,
        transport.channel,
        transport.first_stream_id,
        _TIMEOUT_S,
        [f"--duration={stage.step_s}"],
        ["--length=32"],
        on_progress,
    )
    return {name: result[name] for name in ("messages", "messages_per_second", "bytes_per_second")}


def run_round_trips(stage: Stage, transport: Transport, on_progress: Listener) -> dict[str, Any]:
    """Round trips of 32 bytes, one at a time."""
    common = [
        f"--directory={stage.directory}",
        f"--timeout={_TIMEOUT_S}",
        f"--ping-channel={transport.channel}",
        f"--pong-channel={transport.back_channel}",
        f"--ping-stream-id={transport.first_stream_id + 1}",
        f"--pong-stream-id={transport.first_stream_id + 2}",
    ]
    with (
        Child(["pong", *common, "--once", "--json"]) as pong,
        Child(["ping", *common, f"--duration={stage.step_s}", "--warm-up=2000", "--json"]) as ping,
    ):
        result, _ = results([ping, pong], stage.step_s + _TIMEOUT_S + _END_TIMEOUT_S)
    times = {name: result[name] for name in ("p50_ns", "p99_ns", "p99_9_ns")}
    return {"round_trips": result["count"], **times}


def carry_file(stage: Stage, transport: Transport, on_progress: Listener) -> dict[str, Any]:
    """A file across; raises CommandFailedError unless it is the same at both ends."""
    target = stage.scratch / f"{transport.name}-{stage.file.name}"
    common = [
        f"--directory={stage.directory}",
        f"--timeout={_TIMEOUT_S}",
        f"--channel={transport.channel}",
        f"--stream-id={transport.first_stream_id + 3}",
        "--json",
    ]
    start_ns = time.monotonic_ns()
    with (
        Child(["sub", *common, f"--file={target}"]) as sub,
        Child(["pub", *common, f"--file={stage.file}"]) as pub,
    ):
        results([pub, sub], _TIMEOUT_S + _END_TIMEOUT_S)
    seconds = (time.monotonic_ns() - start_ns) / 1e9
    sent, received = _sha256(stage.file), _sha256(target)
    if sent != received:
        raise CommandFailedError(f"{stage.file} arrived changed: sha256 {sent}, then {received}")
    size_bytes = target.stat().st_size
    target.unlink()
    return {
        "file_name": stage.file.name,
        "file_bytes": size_bytes,
        "file_seconds": seconds,
        "file_sha256": received,
    }


STEPS: Final[tuple[tuple[str, Callable[[Stage, Transport, Listener], dict[str, Any]]], ...]] = (
    ("message rate", run_rate),
    ("round trips", run_round_trips),
    ("file", carry_file),
)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
