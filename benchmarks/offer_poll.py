"""The price of a call from Python: offer, poll, offer_batch and poll_batch, 32-byte messages.

One process and one thread a side, an embedded driver, IPC: a burst is offered, then polled with
the cheapest handler. The loop around the call is in the figure, the same for both sides.
"""

from __future__ import annotations

import contextlib

import peer

from benchmarks import harness

TITLE = "Python calls, ns per 32 B message (IPC, one thread, best burst of each round)"
MESSAGE_BYTES = 32
BURST_COUNT = 2000
BURSTS_A_ROUND = 20
BATCH = 1000
CHANNEL = "aeron:ipc?term-length=1m"


def run(options: harness.Options, report: harness.Report) -> None:
    with contextlib.ExitStack() as stack:
        contenders: dict[str, harness.Contender] = {}
        for side in harness.available_sides(options, ("volans", "official")):
            worker, directory = stack.enter_context(harness.embedded_worker(side, options))
            worker.call(command="connect", directory=directory)
            worker.call(command="subscribe_to", channel=CHANNEL, stream_id=10)
            worker.call(command="publish_on", channel=CHANNEL, stream_id=10)
            worker.call(command="await_connected")
            contenders[side] = _bursts(worker, options, batches=side == "volans")
        samples = harness.interleave(contenders, options.rounds)
    report.figures(TITLE, "ns", samples)
    for metric, limit in (("offer", 0.85), ("poll limit 10", 0.8), ("poll limit 256", 0.8)):
        ours, theirs = ("volans", metric), ("official", metric)
        report.ratio(samples, ours, theirs, harness.at_most(limit))
    for metric, single in (("offer_batch", "offer"), ("poll_batch", "poll limit 256")):
        ours, theirs = ("volans", metric), ("official", single)
        report.ratio(samples, ours, theirs, harness.at_most(0.3))


def _bursts(worker: peer.Worker, options: harness.Options, batches: bool) -> harness.Contender:
    bursts = max(3, int(BURSTS_A_ROUND * options.scale))

    def best(command: str, **arguments: int) -> dict:
        # The best burst of a round: what the call costs when nobody else wants the processor.
        runs = [
            worker.call(command=command, count=BURST_COUNT, size=MESSAGE_BYTES, **arguments)
            for _ in range(bursts)
        ]
        return {part: min(run[part] for run in runs) for part in ("offer_ns", "poll_ns")}

    def measure() -> dict[str, float]:
        small, large = best("burst", limit=10), best("burst", limit=256)
        figures = {
            "offer": min(small["offer_ns"], large["offer_ns"]),
            "poll limit 10": small["poll_ns"],
            "poll limit 256": large["poll_ns"],
        }
        if batches:
            batch = best("batch_burst", batch=BATCH)
            figures |= {"offer_batch": batch["offer_ns"], "poll_batch": batch["poll_ns"]}
        return figures

    return harness.Contender(measure, (worker.process,))
