"""Whole systems under virtual time: drivers, clients and a bad network, from one integer.

``simulate(seed)`` builds two to four drivers with clients, lets them publish over a network that
loses, repeats, reorders and delays, pauses and kills some of them, and checks what Aeron promises:
order, no gap, no duplicate, no corruption, everything delivered or the image declared
unavailable, and nothing left behind at the end. The same seed gives the same run, byte for byte.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volans.testing.simulator_checks import run_checks
from volans.testing.simulator_groups import make_plan
from volans.testing.simulator_ledger import SimulationError
from volans.testing.simulator_plan import Plan
from volans.testing.simulator_world import Hooks, World

__all__ = ["Hooks", "SimulationError", "SimulationReport", "make_plan", "simulate"]

SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What one seed did."""

    seed: int
    trace_hash: str
    trace: tuple[str, ...]
    step_count: int
    virtual_ns: int
    published_count: int
    delivered_count: int
    stream_bytes: int
    retransmitted_bytes: int
    datagrams: dict[str, int]
    counters: dict[str, int]


def simulate(
    seed: int, *, hooks: Hooks | None = None, keep_trace: bool = False, plan: Plan | None = None
) -> SimulationReport:
    """Run one seed to its end.

    Args:
        seed: decides everything, together with this version of the package.
        hooks: sabotage, to test the checks themselves.
        keep_trace: also return the lines of the trace (else only their hash).
        plan: run this plan instead of the seed's own.

    Raises:
        SimulationError: a promise was broken; the message names the seed, ``trace`` holds the
            lines when they were kept.
    """
    with _directory() as directory:
        return _simulate(seed, directory, hooks, keep_trace, plan)


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory for the drivers' files, which goes even when SIGTERM ends the process."""
    directory = Path(
        tempfile.mkdtemp(
            prefix="volans-simulation-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        )
    )

    def end(number: int, _frame: object) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    # Who handles the signal in a way of his own, or runs in another thread, cleans up himself.
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _simulate(
    seed: int, directory: Path, hooks: Hooks | None, keep_trace: bool, plan: Plan | None
) -> SimulationReport:
    world: World | None = None
    try:
        world = World(plan or make_plan(seed), directory, hooks, keep_trace)
        totals: dict[str, Any] = run_checks(world)
        return SimulationReport(
            seed=seed,
            trace_hash=world.trace_hash,
            trace=tuple(world.trace_lines or ()),
            step_count=world.step_count,
            virtual_ns=world.clock() - world.start_ns,
            delivered_count=world.delivered_count,
            datagrams=world.network.stats,
            **totals,
        )
    except Exception as error:
        failure = SimulationError(f"seed {seed}: {error}")
        failure.trace = tuple(world.trace_lines or ()) if world is not None else ()
        raise failure from error
    finally:
        if world is not None:
            world.close()
