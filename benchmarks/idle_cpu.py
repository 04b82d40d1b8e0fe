"""Processor time of an idle process with an embedded driver of the default profile and a client."""

from __future__ import annotations

import contextlib

from benchmarks import harness

TITLE = "Idle embedded driver and client, default profile"
SECONDS = 10.0
TARGET_PERCENT = 2.0


def run(options: harness.Options, report: harness.Report) -> None:
    seconds = max(2.0, SECONDS * options.scale)
    with contextlib.ExitStack() as stack:
        workers = {}
        for side in harness.available_sides(options, ("volans", "official")):
            worker, directory = stack.enter_context(
                harness.embedded_worker(side, options, default_profile=True)
            )
            worker.call(command="connect", directory=directory)
            workers[side] = worker
        # Together, not in turns: an idle process takes nothing worth speaking of from another.
        for worker in workers.values():
            worker.send(command="cpu_share", seconds=seconds)
        samples = {
            side: {f"{seconds:g} s": [100 * worker.expect("done")["share"]]}
            for side, worker in workers.items()
        }
    report.figures(TITLE, "% core", samples)
    if "volans" in samples:
        (percent,) = samples["volans"][f"{seconds:g} s"]
        good = "ok" if percent < TARGET_PERCENT else "MISSED"
        print(f"  target < {TARGET_PERCENT:g} %  {good}")
