"""What a Python application gets between two processes: one-way rate and round trip, 32 bytes.

Volans and the official client through a driver process each (IPC, and UDP loopback), pyzmq over
its ipc and tcp transports (PUSH and PULL). For Volans also with ``offer_batch`` and ``poll_batch``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import peer

from benchmarks import harness
from benchmarks.udp import free_ports

TITLE = "Two Python processes, 32 B"
MESSAGE_BYTES = 32
COUNTS = {
    "ipc": 200_000,
    "udp": 60_000,
    "tcp": 60_000,
    "ipc batch": 1_000_000,
    "udp batch": 200_000,
}
ROUND_TRIP_COUNT = 2000
BATCH = 256


class Pair:
    """A sending and a receiving worker joined by one channel, and a channel for the way back."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        side: str,
        options: harness.Options,
        directory: Path | None,
        channels: tuple[str, str],
    ):
        self.sender = stack.enter_context(harness.start_worker(side, options))
        self.receiver = stack.enter_context(harness.start_worker(side, options))
        there, back = channels
        for worker in (self.sender, self.receiver):
            worker.call(command="connect", directory=str(directory))
        self.receiver.call(command="subscribe_to", channel=there, stream_id=40)
        self.sender.call(command="subscribe_to", channel=back, stream_id=41)
        self.sender.call(command="publish_on", channel=there, stream_id=40)
        self.receiver.call(command="publish_on", channel=back, stream_id=41)
        self.sender.call(command="await_connected")
        self.receiver.call(command="await_connected")

    def rate(self, count: int, batch: int = 0) -> float:
        self.receiver.send(command="receive_messages", count=count, batch=batch)
        self.receiver.expect("receiving")
        sent = self.sender.call(
            command="send_messages", count=count, size=MESSAGE_BYTES, batch=batch
        )
        received = self.receiver.expect("done", timeout=60.0)
        return count * 1e9 / (received["end_ns"] - sent["start_ns"])

    def p50_us(self, count: int) -> float:
        self.receiver.send(command="echo", count=count)
        self.receiver.expect("receiving")
        done = self.sender.call(command="round_trips", count=count, size=MESSAGE_BYTES)
        self.receiver.expect("done")
        return done["p50_ns"] / 1000


Measurement = Callable[[Pair, str, harness.Options, bool], harness.Round]


def _channels(stack: contextlib.ExitStack, side: str) -> dict[str, tuple[str, str]]:
    there, back = free_ports(2)
    if side == "zmq":
        base = stack.enter_context(peer.scratch_directory("volans-zmq-"))
        return {
            "ipc": (f"ipc://{base}/there", f"ipc://{base}/back"),
            "tcp": (f"tcp://127.0.0.1:{there}", f"tcp://127.0.0.1:{back}"),
        }
    return {
        "ipc": ("aeron:ipc?alias=there", "aeron:ipc?alias=back"),
        "udp": (
            f"aeron:udp?endpoint=127.0.0.1:{there}",
            f"aeron:udp?endpoint=127.0.0.1:{back}",
        ),
    }


def _interleaved(options: harness.Options, measurement: Measurement) -> harness.Samples:
    with contextlib.ExitStack() as stack:
        contenders: dict[str, harness.Contender] = {}
        for side in harness.available_sides(options):
            for media, channels in _channels(stack, side).items():
                drivers, directory = [], None
                if side != "zmq":
                    drivers = [stack.enter_context(harness.driver_process(side, options))]
                    directory = drivers[0].directory
                pair = Pair(stack, side, options, directory, channels)
                contenders[f"{side} {media}"] = harness.Contender(
                    measurement(pair, media, options, side == "volans"),
                    tuple(part.process for part in (*drivers, pair.sender, pair.receiver)),
                )
        return harness.interleave(contenders, options.rounds)


def run(options: harness.Options, report: harness.Report) -> None:
    samples = _interleaved(options, _rate)
    report.figures(f"{TITLE}, one way", "msg/s", samples)
    one, many = "one way", "one way, batches"
    for ours, theirs, single, batches in (
        ("volans ipc", "zmq ipc", 5.0, 15.0),
        ("volans udp", "zmq tcp", 2.0, None),
        ("volans ipc", "official ipc", None, None),
        ("volans udp", "official udp", None, None),
    ):
        target = harness.at_least(single) if single else None
        report.ratio(samples, (ours, one), (theirs, one), target)
        target = harness.at_least(batches) if batches else None
        report.ratio(samples, (ours, many), (theirs, one), target)
    latency = options.for_latency()
    samples = _interleaved(latency, _trips)
    report.figures(f"{TITLE}, round trip, {latency.idle_strategy} drivers", "us", samples)
    for ours, theirs, limit in (
        ("volans ipc", "zmq ipc", 0.3),
        ("volans udp", "zmq ipc", 0.3),
        ("volans udp", "zmq tcp", 0.3),
        ("volans ipc", "official ipc", None),
        ("volans udp", "official udp", None),
    ):
        target = harness.at_most(limit) if limit else None
        report.ratio(samples, (ours, "p50"), (theirs, "p50"), target)


def _rate(pair: Pair, media: str, options: harness.Options, batches: bool) -> harness.Round:
    def measure() -> Mapping[str, float]:
        figures = {"one way": pair.rate(options.count(COUNTS[media]))}
        if batches:
            count = options.count(COUNTS[f"{media} batch"])
            figures["one way, batches"] = pair.rate(count, BATCH)
        return figures

    return measure


def _trips(pair: Pair, media: str, options: harness.Options, batches: bool) -> harness.Round:
    def measure() -> Mapping[str, float]:
        return {"p50": pair.p50_us(options.count(ROUND_TRIP_COUNT))}

    return measure
