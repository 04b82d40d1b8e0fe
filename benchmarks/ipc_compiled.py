"""IPC with compiled loops at both ends: exclusive publication, 32-byte messages.

Each side has an embedded driver of its own. ``one way`` runs a publishing and a subscribing
thread; ``offer`` and ``poll`` are one thread's price of a call without Python in between.
"""

from __future__ import annotations

import contextlib

import peer

from benchmarks import harness

TITLE = "Compiled both ends, IPC, 32 B, exclusive publication"
MESSAGE_BYTES = 32
ONE_WAY_COUNT = 1_000_000
BURST_COUNT = 4000
BURSTS_A_ROUND = 20
CHANNEL = "aeron:ipc?term-length=16m"


def run(options: harness.Options, report: harness.Report) -> None:
    with contextlib.ExitStack() as stack:
        rates: dict[str, harness.Contender] = {}
        calls: dict[str, harness.Contender] = {}
        for side in harness.available_sides(options, ("volans", "official")):
            worker, directory = stack.enter_context(harness.embedded_worker(side, options))
            worker.call(
                command="open_loops",
                directory=directory,
                channel=CHANNEL,
                answers="",
                stream_id=20,
            )
            rates[side] = _rate(worker, options)
            calls[side] = _calls(worker, options)
        rate_samples = harness.interleave(rates, options.rounds)
        call_samples = harness.interleave(calls, options.rounds)
    report.figures(TITLE, "msg/s", rate_samples)
    report.ratio(
        rate_samples, ("volans", "one way"), ("official", "one way"), harness.at_least(1.0)
    )
    report.figures(f"{TITLE}, one thread, best burst of each round", "ns", call_samples)
    for metric in ("offer", "poll"):
        report.ratio(call_samples, ("volans", metric), ("official", metric))


def _rate(worker: peer.Worker, options: harness.Options) -> harness.Contender:
    def measure() -> dict[str, float]:
        count = options.count(ONE_WAY_COUNT)
        done = worker.call(command="loops_one_way", count=count, size=MESSAGE_BYTES)
        return {"one way": count * 1e9 / done["elapsed_ns"]}

    return harness.Contender(measure, (worker.process,))


def _calls(worker: peer.Worker, options: harness.Options) -> harness.Contender:
    bursts = max(3, int(BURSTS_A_ROUND * options.scale))

    def measure() -> dict[str, float]:
        runs = [
            worker.call(command="loops_burst", count=BURST_COUNT, size=MESSAGE_BYTES)
            for _ in range(bursts)
        ]
        return {
            "offer": min(run["offer_ns"] for run in runs),
            "poll": min(run["poll_ns"] for run in runs),
        }

    return harness.Contender(measure, (worker.process,))
