"""Interleaved rounds, medians, and ratios with their spread: what every benchmark shares.

The contenders take turns (A B C, A B C, ...), so that a busy machine is busy for all of them, and
the processes of those whose turn it is not are stopped, so that no idle driver takes a core. A
ratio is taken inside each round and its median and quartiles are printed: a figure alone means
little on a shared machine, a ratio of neighbours in time does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "interop"))

import peer  # noqa: E402

PYZMQ_REQUIREMENT = "pyzmq==27.3.0"
BUILD_REQUIREMENTS = ("cython==3.3.*", "setuptools>=77", "numpy>=1.26")
SIDES = ("volans", "official", "zmq")


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line chose."""

    rounds: int = 9
    scale: float = 1.0
    threading_mode: str = ""
    idle_strategy: str = "backoff"
    latency_idle_strategy: str = "noop"
    volans_python: str = sys.executable

    def count(self, full: int) -> int:
        """A message count, shrunk for a quick run."""
        return max(100, int(full * self.scale))

    def for_latency(self) -> Options:
        """The same with drivers that do not sleep: what one runs when round trips matter."""
        return dataclasses.replace(self, idle_strategy=self.latency_idle_strategy)

    def driver_settings(self) -> dict[str, str]:
        """Settings both drivers get, by the variables both understand."""
        mode = self.threading_mode or ("DEDICATED" if (os.cpu_count() or 1) >= 6 else "SHARED")
        agents = ("CONDUCTOR", "SENDER", "RECEIVER", "SHARED", "SHAREDNETWORK")
        return {
            "AERON_THREADING_MODE": mode,
            "AERON_TERM_BUFFER_LENGTH": "16m",
            "AERON_IPC_TERM_BUFFER_LENGTH": "16m",
            "AERON_MTU_LENGTH": "1408",
            "AERON_IPC_MTU_LENGTH": "1408",
            "AERON_SOCKET_SO_SNDBUF": "128k",
            "AERON_SOCKET_SO_RCVBUF": "128k",
            "AERON_RCV_INITIAL_WINDOW_LENGTH": "128k",
            "AERON_DIR_DELETE_ON_START": "true",
            "AERON_DIR_DELETE_ON_SHUTDOWN": "true",
            **{f"AERON_{agent}_IDLE_STRATEGY": self.idle_strategy for agent in agents},
        }


class Missing(Exception):
    """Why a side cannot take part."""


def build_for_peer() -> str:
    """Compile Volans in place for the peer's Python too, and return that Python.

    Python calls then differ by the library alone, not by the interpreter.
    """
    python = peer.peer_python((PYZMQ_REQUIREMENT, *BUILD_REQUIREMENTS))
    build = {"VOLANS_CYTHON_BUILD_DIR": str(peer.ROOT / "build" / "cython-peer")}
    subprocess.run(
        [python, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=peer.ROOT,
        env={**os.environ, **build},
        check=True,
    )
    return python


def start_worker(side: str, options: Options) -> peer.Worker:
    """A worker process of one side, ready for commands; raises Missing."""
    script = str(HERE / f"{side}_worker.py")
    if side == "official":
        try:
            python = peer.peer_python((PYZMQ_REQUIREMENT,))
        except peer.PeerUnavailable as reason:
            raise Missing(str(reason)) from reason
        worker = peer.Worker([python, script], peer.official_environment(), side)
    else:
        worker = peer.Worker([options.volans_python, script], peer.volans_environment(), side)
    try:
        worker.greeting = worker.expect("ready")
    except peer.WorkerFailed as failure:
        worker.stop()
        raise Missing(str(failure)) from failure
    return worker


def available_sides(options: Options, wanted: tuple[str, ...] = SIDES) -> dict[str, str]:
    """Those of the wanted sides that can run here, and what they are."""
    everything = _available_sides(options.volans_python)
    return {side: everything[side] for side in wanted if side in everything}


@functools.cache
def _available_sides(volans_python: str) -> dict[str, str]:
    # Says on stderr why a side cannot take part, once.
    options = Options(volans_python=volans_python)
    found = {}
    for side in SIDES:
        if side == "volans":
            script = "import volans; volans.connect; volans.MediaDriver"
            answer = subprocess.run(
                [options.volans_python, "-c", script],
                env=peer.volans_environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if answer.returncode:
                print(f"  no volans: {answer.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
        try:
            with start_worker(side, options) as worker:
                found[side] = f"{worker.greeting['library']}, Python {worker.greeting['python']}"
        except Missing as reason:
            print(f"  no {side}: {str(reason)[-300:]}", file=sys.stderr)
    return found


Round = Callable[[], Mapping[str, float]]
Samples = dict[str, dict[str, list[float]]]
SETTLE_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Contender:
    """Measures one round; ``processes`` run during its rounds only."""

    measure: Round
    processes: tuple[subprocess.Popen, ...] = ()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)


def interleave(contenders: Mapping[str, Contender], rounds: int, warm_ups: int = 1) -> Samples:
    """``samples[contender][metric]``: one figure a round, the contenders taking turns.

    A contender that fails is reported and leaves the run; the others go on.
    """
    samples: Samples = {name: {} for name in contenders}
    running = dict(contenders)
    for contender in contenders.values():
        contender.pause()
    try:
        for number in range(warm_ups + rounds):
            for name, contender in list(running.items()):
                contender.resume()
                time.sleep(SETTLE_SECONDS)
                try:
                    figures = contender.measure()
                except peer.WorkerFailed as failure:
                    print(f"  {name} leaves the run: {str(failure)[-600:]}", file=sys.stderr)
                    del running[name]
                    continue
                finally:
                    contender.pause()
                if number >= warm_ups:
                    for metric, value in figures.items():
                        samples[name].setdefault(metric, []).append(value)
    finally:
        for contender in contenders.values():
            contender.resume()
    return samples


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; with few values, min and max instead."""
    median = statistics.median(values)
    if len(values) < 4:
        return min(values), median, max(values)
    low, _, high = statistics.quantiles(values, n=4)
    return low, median, high


@dataclasses.dataclass(frozen=True)
class Target:
    """What a ratio volans/other should reach: at most (times) or at least (rates)."""

    limit: float
    at_least: bool

    def verdict(self, ratio: float) -> str:
        good = ratio >= self.limit if self.at_least else ratio <= self.limit
        return f"{'>=' if self.at_least else '<='} {self.limit:g}  {'ok' if good else 'MISSED'}"


def at_most(limit: float) -> Target:
    return Target(limit, at_least=False)


def at_least(limit: float) -> Target:
    return Target(limit, at_least=True)


class Report:
    """Collects figures and ratios, and prints them as one table a benchmark."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def figures(self, benchmark: str, unit: str, samples: Samples) -> None:
        """Medians and quartiles of every contender and metric."""
        print(f"\n{benchmark}")
        for contender, metrics in samples.items():
            for metric, values in metrics.items():
                low, median, high = quartiles(values)
                print(
                    f"  {contender:24} {metric:22} {_figure(median):>12} {unit:8}"
                    f" ({_figure(low)} .. {_figure(high)}, n={len(values)})"
                )
                self.rows.append(
                    {
                        "benchmark": benchmark,
                        "contender": contender,
                        "metric": metric,
                        "unit": unit,
                        "low": low,
                        "median": median,
                        "high": high,
                    }
                )

    def ratio(
        self,
        samples: Samples,
        ours: tuple[str, str],
        theirs: tuple[str, str],
        target: Target | None = None,
    ) -> None:
        """The ratio ours/theirs round by round; a side that did not run leaves no line."""
        mine = samples.get(ours[0], {}).get(ours[1], [])
        other = samples.get(theirs[0], {}).get(theirs[1], [])
        pairs = [a / b for a, b in zip(mine, other, strict=False) if b]
        if not pairs:
            return
        low, median, high = quartiles(pairs)
        label = f"{ours[0]} {ours[1]} / {theirs[0]} {theirs[1]}"
        verdict = target.verdict(median) if target else ""
        print(f"  ratio {label:58} {median:6.2f} ({low:.2f} .. {high:.2f})  {verdict}")
        self.rows.append(
            {"ratio": label, "low": low, "median": median, "high": high, "target": verdict}
        )


def _figure(value: float) -> str:
    if value >= 100_000:
        return f"{value / 1e6:.3f}M"
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


@contextlib.contextmanager
def driver_process(side: str, options: Options) -> Iterator[peer.Driver]:
    """A driver in a process of its own."""
    with (
        peer.scratch_directory("volans-bench-") as base,
        peer.Driver(side, base / side, options.driver_settings()) as driver,
    ):
        yield driver


@contextlib.contextmanager
def embedded_worker(
    side: str, options: Options, default_profile: bool = False
) -> Iterator[tuple[peer.Worker, str]]:
    """A worker with a driver inside, and the driver's directory."""
    with peer.scratch_directory("volans-bench-") as base, start_worker(side, options) as worker:
        directory = str(base / side)
        chosen = {} if default_profile else options.driver_settings()
        settings = {**chosen, "AERON_DIR": directory}
        worker.call(command="start_driver", settings=settings)
        yield worker, directory
        worker.call(command="close")
