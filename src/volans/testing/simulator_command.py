"""``volans-sim``: simulate many seeds, or one again.

``volans-sim --seeds 2000`` runs seeds from 0 on, ``--first`` moves the beginning and ``--jobs``
shares them among processes. A failing seed is printed with what went wrong, and
``volans-sim --seed S`` repeats it exactly; ``--trace FILE`` keeps every event of it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from volans.testing.simulator import SimulationError, SimulationReport, make_plan, simulate

PROGRESS_INTERVAL_S = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when every seed holds, 1 when one fails, 2 for a wrong option."""
    options = _parser().parse_args(arguments)
    if options.seed is not None:
        return _run_one(options.seed, options.trace)
    return _run_many(range(options.first, options.first + options.seeds), options.jobs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="volans-sim",
        description="Simulate drivers and clients under virtual time over a bad network.",
    )
    parser.add_argument("--seeds", type=_positive, default=100, help="how many seeds (100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--jobs", type=_positive, default=1, help="processes (1)")
    parser.add_argument("--seed", type=int, help="run this one, twice, and show what it does")
    parser.add_argument("--trace", type=Path, help="with --seed: write every event to this file")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def _run_one(seed: int, trace_file: Path | None) -> int:
    print(make_plan(seed).describe())
    failure: SimulationError | None = None
    trace: tuple[str, ...]
    try:
        report = simulate(seed, keep_trace=True)
        trace = report.trace
    except SimulationError as error:
        failure, trace = error, error.trace
    if trace_file is not None:
        trace_file.write_text("\n".join(trace) + "\n", encoding="utf-8")
    if failure is not None:
        print(f"FAILED {failure}")
        print(f"repeat: volans-sim --seed {seed}")
        return 1
    if simulate(seed).trace_hash != report.trace_hash:
        print(f"FAILED seed {seed}: a second run gives another trace")
        return 1
    print(replace(report, trace=()))
    return 0


def _attempt(seed: int) -> tuple[int, SimulationReport | None, str]:
    try:
        return seed, simulate(seed), ""
    except SimulationError as error:
        return seed, None, str(error)


def _attempts(seeds: range, jobs: int) -> Iterator[tuple[int, SimulationReport | None, str]]:
    if jobs == 1:
        yield from map(_attempt, seeds)
        return
    signal.signal(signal.SIGTERM, _end)
    with ProcessPoolExecutor(jobs, initializer=_begin_worker) as pool:
        try:
            yield from pool.map(_attempt, seeds, chunksize=4)
        finally:
            # What runs comes to its end, so that nothing of it is left behind.
            pool.shutdown(cancel_futures=True)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(*_: object) -> None:
    # Once: a second signal must not break into the orderly end that the first began.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _begin_worker() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run_many(seeds: range, jobs: int) -> int:
    began = shown = time.monotonic()
    failing: list[int] = []
    messages = worst_bytes = 0
    worst_ratio = 0.0
    for done, (seed, report, reason) in enumerate(_attempts(seeds, jobs), 1):
        if report is None:
            failing.append(seed)
            print(f"\rFAILED {reason}\nrepeat: volans-sim --seed {seed}", flush=True)
        else:
            messages += report.delivered_count
            worst_bytes = max(worst_bytes, report.retransmitted_bytes)
            worst_ratio = max(worst_ratio, report.retransmitted_bytes / max(1, report.stream_bytes))
        if sys.stderr.isatty() and time.monotonic() - shown > PROGRESS_INTERVAL_S:
            shown = time.monotonic()
            print(f"\r{done} of {len(seeds)} seeds", end="", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    print(
        f"{len(seeds) - len(failing)} of {len(seeds)} seeds hold in {seconds:.1f} s: "
        f"{messages} messages delivered; at most {worst_bytes} bytes retransmitted by one seed, "
        f"{worst_ratio:.2f} of the length of its streams"
    )
    if failing:
        print(f"failing seeds: {' '.join(map(str, failing))}")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
