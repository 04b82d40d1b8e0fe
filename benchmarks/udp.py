"""UDP over loopback with compiled loops at both ends: one-way rate and round trips.

Each side has one driver process with equal settings (threading, terms, MTU, socket buffers, idle
strategies: printed by ``python -m benchmarks``) and one worker with the loops.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping

import peer

from benchmarks import harness

TITLE = "UDP loopback, compiled both ends"
RATE_COUNTS = {32: 400_000, 1024: 60_000}
ROUND_TRIP_COUNT = 5000

Measurement = Callable[[peer.Worker, harness.Options], harness.Round]


def free_ports(count: int) -> list[int]:
    """UDP ports of the loopback that are free now and differ."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def run(options: harness.Options, report: harness.Report) -> None:
    samples = _interleaved(options, _rate)
    report.figures(f"{TITLE}, one way", "msg/s", samples)
    for size in RATE_COUNTS:
        ours, theirs = ("volans", f"{size} B"), ("official", f"{size} B")
        report.ratio(samples, ours, theirs, harness.at_least(1.0))
    latency = options.for_latency()
    samples = _interleaved(latency, _round_trips)
    report.figures(f"{TITLE}, round trip 32 B, {latency.idle_strategy} drivers", "us", samples)
    report.ratio(samples, ("volans", "p50"), ("official", "p50"), harness.at_most(1.0))
    report.ratio(samples, ("volans", "p99"), ("official", "p99"))


def _interleaved(options: harness.Options, measurement: Measurement) -> harness.Samples:
    with contextlib.ExitStack() as stack:
        contenders: dict[str, harness.Contender] = {}
        for side in harness.available_sides(options, ("volans", "official")):
            driver = stack.enter_context(harness.driver_process(side, options))
            worker = stack.enter_context(harness.start_worker(side, options))
            there, back = free_ports(2)
            worker.call(
                command="open_loops",
                directory=str(driver.directory),
                channel=f"aeron:udp?endpoint=127.0.0.1:{there}",
                answers=f"aeron:udp?endpoint=127.0.0.1:{back}",
                stream_id=30,
            )
            processes = (driver.process, worker.process)
            contenders[side] = harness.Contender(measurement(worker, options), processes)
        return harness.interleave(contenders, options.rounds)


def _rate(worker: peer.Worker, options: harness.Options) -> harness.Round:
    def measure() -> Mapping[str, float]:
        figures = {}
        for size, full in RATE_COUNTS.items():
            count = options.count(full)
            done = worker.call(command="loops_one_way", count=count, size=size)
            figures[f"{size} B"] = count * 1e9 / done["elapsed_ns"]
        return figures

    return measure


def _round_trips(worker: peer.Worker, options: harness.Options) -> harness.Round:
    def measure() -> Mapping[str, float]:
        count = options.count(ROUND_TRIP_COUNT)
        done = worker.call(command="loops_round_trips", count=count, size=32)
        return {"p50": done["p50_ns"] / 1000, "p99": done["p99_ns"] / 1000}

    return measure
