"""Benchmark worker for the official client and driver; runs under the peer's Python."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pyaeron

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "interop")]

import peer_driver  # noqa: E402

import worker_commands  # noqa: E402

VERSION = f"pyaeron {pyaeron.__version__}, {pyaeron.aeron_version}"


def start_driver(settings: dict[str, str]) -> peer_driver.OfficialDriver:
    return peer_driver.OfficialDriver()


class Client:
    """pyaeron with the poll signature the loops use; a bound method costs nothing more."""

    def __init__(self, directory: str):
        self._aeron = pyaeron.Aeron(dir=directory)
        self.add_exclusive_publication = self._aeron.add_exclusive_publication
        self.add_subscription = self._aeron.add_subscription
        self.close = self._aeron.close


def connect(directory: str) -> Client:
    return Client(directory)


def build_loops() -> Path:
    """Compile ``official_loops.c`` into build/, unless it is newer than its source."""
    source = HERE / "official_loops.c"
    target = HERE.parent / "build" / "official_loops.so"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        compiler = os.environ.get("CC", "gcc").split()
        fresh = target.with_suffix(f".{os.getpid()}.so")
        subprocess.run(
            [*compiler, "-O3", "-shared", "-fPIC", "-o", str(fresh), str(source), "-lpthread"],
            check=True,
        )
        fresh.replace(target)
    return target


class Loops:
    """``official_loops.c`` through ctypes, which leaves the GIL while they run."""

    def __init__(self, directory: str, channel: str, answers: str, stream_id: int):
        peer_driver.load_library()
        self._c = ctypes.CDLL(str(build_loops()))
        self._c.bench_open.restype = ctypes.c_void_p
        self._c.bench_error.restype = ctypes.c_char_p
        self._c.bench_one_way.restype = ctypes.c_int64
        session = self._c.bench_open(
            directory.encode(), channel.encode(), answers.encode(), ctypes.c_int32(stream_id)
        )
        self._check(session is not None)
        self._session = ctypes.c_void_p(session)

    def _check(self, good: bool) -> None:
        if not good:
            message = self._c.bench_error().decode(errors="replace")
            raise RuntimeError(f"official loops: stalled, or {message or 'no message'}")

    def one_way(self, count: int, size: int) -> int:
        elapsed_ns = self._c.bench_one_way(
            self._session, ctypes.c_int64(count), ctypes.c_int64(size)
        )
        self._check(elapsed_ns >= 0)
        return elapsed_ns

    def burst(self, count: int, size: int) -> tuple[int, int]:
        offer_ns, poll_ns = ctypes.c_int64(), ctypes.c_int64()
        result = self._c.bench_burst(
            self._session,
            ctypes.c_int64(count),
            ctypes.c_int64(size),
            ctypes.byref(offer_ns),
            ctypes.byref(poll_ns),
        )
        self._check(result == 0)
        return offer_ns.value, poll_ns.value

    def round_trips(self, count: int, size: int) -> list[int]:
        times_ns = (ctypes.c_int64 * count)()
        result = self._c.bench_round_trips(
            self._session, ctypes.c_int64(count), ctypes.c_int64(size), times_ns
        )
        self._check(result == 0)
        return list(times_ns)

    def close(self) -> None:
        self._c.bench_close(self._session)


def open_loops(directory: str, channel: str, answers: str, stream_id: int) -> Loops:
    return Loops(directory, channel, answers, stream_id)


if __name__ == "__main__":
    worker_commands.serve(sys.modules[__name__])
