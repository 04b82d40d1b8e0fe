"""Churn for a long time: clients and streams come and go under load and loss, and nothing grows.

A volansmd that loses some of what it receives serves one client that stays, with a steady stream,
and clients that come, add streams of every kind (IPC, UDP unicast, several destinations given and
learnt), use them, and leave: in order, in disorder, or killed in the middle. At intervals all goes
quiet, and what the driver and this process hold is compared with what they held the first time.

    python tests/system/soak.py --minutes 10
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "interop"), str(ROOT)]

import peer  # noqa: E402

import volans  # noqa: E402
from benchmarks import processes  # noqa: E402
from benchmarks.udp import free_ports  # noqa: E402

SETTINGS = {
    "AERON_THREADING_MODE": "SHARED",
    "AERON_SHARED_IDLE_STRATEGY": "backoff",
    "AERON_TERM_BUFFER_LENGTH": "64k",
    "AERON_IPC_TERM_BUFFER_LENGTH": "64k",
    "AERON_TIMER_INTERVAL": "50ms",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "100ms",
    "AERON_IMAGE_LIVENESS_TIMEOUT": "1s",
    "AERON_CLIENT_LIVENESS_TIMEOUT": "3s",
    "AERON_PUBLICATION_UNBLOCK_TIMEOUT": "4s",
    "AERON_RCV_STATUS_MESSAGE_TIMEOUT": "20ms",
    "AERON_COUNTERS_FREE_TO_REUSE_TIMEOUT": "100ms",
    "VOLANS_LOSS_RATE": "0.02",
}
QUIET_TIMEOUT_S = 60.0
PATIENCE_S = 30.0
MAX_GROWTH_BYTES = 6 << 20  # of memory of its own; free lists and arenas breathe
STEADY_INTERVAL_S = 0.002
VISITORS = 4
ALLOCATOR_SETTING = "MALLOC_MMAP_THRESHOLD_"

VICTIM = """
import sys, volans
client = volans.connect(sys.argv[1])
held = []
for number, channel in enumerate(sys.argv[2:]):
    held.append(client.add_subscription(channel, 900 + number))
    publication = client.add_publication(channel, 900 + number)
    held.append(publication)
    publication.offer(b"x" * 100)
    held.append(publication.try_claim(64))
print("ready", flush=True)
sys.stdin.readline()
"""


class Failed(Exception):
    """What went wrong."""


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.001)


class Steady(threading.Thread):
    """One client with one stream that goes on all the time, in order."""

    def __init__(self, directory: Path, channel: str) -> None:
        super().__init__(name="steady", daemon=True)
        self.client = volans.connect(directory)
        self.subscription = self.client.add_subscription(channel, 10)
        self.publication = self.client.add_exclusive_publication(channel, 10)
        self.stopping = threading.Event()
        self.received_count = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        sent = 0
        try:
            while not self.stopping.wait(STEADY_INTERVAL_S):
                if self.publication.offer(sent.to_bytes(8, "little")):
                    sent += 1
                self.subscription.poll(self._on_message)
        except BaseException as error:
            self.failure = error

    def _on_message(self, buffer: memoryview, _header: object) -> None:
        number = int.from_bytes(bytes(buffer), "little")
        if number != self.received_count:
            self.failure = Failed(f"steady stream: {number} in place of {self.received_count}")
        self.received_count += 1

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.stopping.set()
        self.join()
        self.client.close()


def visit(directory: Path, rng: random.Random, ports: Sequence[int]) -> int:
    """A client comes, uses streams of every kind and leaves; messages received."""
    base = rng.randrange(1000, 1_000_000) * 10
    host = "127.0.0.1"
    streams = [
        ("aeron:ipc", "aeron:ipc"),
        (f"aeron:udp?endpoint={host}:{ports[0]}",) * 2,
        (
            f"aeron:udp?control={host}:{ports[1]}|control-mode=dynamic",
            f"aeron:udp?endpoint={host}:{ports[2]}|control={host}:{ports[1]}|control-mode=dynamic",
        ),
        ("aeron:udp?control-mode=manual", f"aeron:udp?endpoint={host}:{ports[3]}"),
    ]
    received = 0
    with volans.connect(directory) as client:
        for number, (source, sink) in enumerate(rng.sample(streams, rng.randrange(1, 5))):
            stream = base + number
            subscription = client.add_subscription(sink, stream)
            add = rng.choice((client.add_publication, client.add_exclusive_publication))
            publication = add(source, stream)
            if "manual" in source:
                publication.add_destination(sink)
            wait_for(lambda p=publication: p.is_connected, f"{source} connected")
            messages = [
                rng.randbytes(rng.choice((1, 32, 1000, 5000))) for _ in range(rng.randrange(1, 80))
            ]
            got: list[bytes] = []
            left = list(reversed(messages))

            def work(
                publication: Any = publication,
                subscription: Any = subscription,
                got: list[bytes] = got,
                left: list[bytes] = left,
            ) -> bool:
                while left and publication.offer(left[-1]):
                    left.pop()
                subscription.poll(lambda buffer, _: got.append(bytes(buffer)))
                return len(got) == len(messages)  # noqa: B023

            wait_for(work, f"{len(messages)} messages on {source}")
            if got != messages:
                raise Failed(f"{source}: other messages came than were sent")
            received += len(got)
            if rng.random() < 0.5:
                for each in rng.sample([publication, subscription], 2):
                    each.close()
    return received


def keep_visiting(directory: Path, rng: random.Random, end: float) -> tuple[int, int]:
    """Visit after visit; how many, and the messages received."""
    ports = free_ports(4)
    visits = messages = 0
    while time.monotonic() < end:
        messages += visit(directory, rng, ports)
        visits += 1
    return visits, messages


def kill_one(directory: Path, port: int) -> None:
    """A client process dies with everything open, claims among it."""
    command = [
        *(sys.executable, "-c", VICTIM, str(directory)),
        *("aeron:ipc", f"aeron:udp?endpoint=127.0.0.1:{port}"),
    ]
    with subprocess.Popen(
        command,
        env=peer.volans_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as victim:
        assert victim.stdout is not None
        said = victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
        if said.strip() != "ready":
            raise Failed(f"the client to be killed said {said!r}")


def holdings(driver: peer.Driver, steady: Steady) -> dict[str, int]:
    gc.collect()
    own = processes.holdings(os.getpid(), driver.directory)
    theirs = processes.holdings(driver.process.pid, driver.directory)
    return {
        **{f"driver {name}": count for name, count in theirs.items()},
        "client descriptors": own["descriptors"],
        "client mappings": own["mappings"],
        "counters": len(steady.client.counters),
    }


def settle(driver: peer.Driver, steady: Steady, base: dict[str, int] | None) -> dict[str, int]:
    """What is held when all is quiet: as the first time, or Failed says what is not."""
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    before: dict[str, int] = {}
    since = time.monotonic()
    while True:
        now = holdings(driver, steady)
        if now != before:
            before, since = now, time.monotonic()
        if now == base or (base is None and time.monotonic() - since > 5.0):
            return now
        if time.monotonic() > deadline:
            grown = {k: (base or {}).get(k, 0) for k in now if now[k] != (base or {}).get(k)}
            raise Failed(f"not as before: {grown} became { {k: now[k] for k in grown} }")
        time.sleep(0.05)


def soak(minutes: float, seed: int, say: Callable[[str], None]) -> None:
    """Run; raises Failed."""
    rng = random.Random(seed)
    end = time.monotonic() + 60 * minutes
    period_s = min(30.0, 60 * minutes / 4)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(peer.scratch_directory("volans-soak-"))
        driver = stack.enter_context(peer.Driver("volans", directory / "d", SETTINGS))
        ports = free_ports(2)
        steady = Steady(driver.directory, f"aeron:udp?endpoint=127.0.0.1:{ports[1]}")
        stack.callback(steady.close)
        steady.start()
        base: dict[str, int] | None = None
        memory: list[tuple[int, int]] = []
        visits = messages = deaths = 0
        while time.monotonic() < end or len(memory) < 3:
            period_end = time.monotonic() + period_s
            with ThreadPoolExecutor(VISITORS) as pool:
                each = [
                    pool.submit(
                        keep_visiting, driver.directory, random.Random(rng.random()), period_end
                    )
                    for _ in range(VISITORS)
                ]
                while time.monotonic() < period_end and not any(one.done() for one in each):
                    steady.check()
                    if driver.process.poll() is not None:
                        raise Failed(f"the driver died: {driver.stderr_text()}")
                    if rng.random() < 0.3:
                        kill_one(driver.directory, ports[0])
                        deaths += 1
                    time.sleep(1.0)
                for one in each:
                    visits += one.result()[0]
                    messages += one.result()[1]
            # What is made once and kept is there after the first period.
            base = settle(driver, steady, base if len(memory) > 1 else None)
            memory.append(
                (
                    processes.resident_bytes(driver.process.pid),
                    processes.resident_bytes(os.getpid()),
                )
            )
            say(
                f"{visits} visits, {deaths} deaths, {messages} messages, steady "
                f"{steady.received_count}; driver {memory[-1][0] >> 10} KiB, client "
                f"{memory[-1][1] >> 10} KiB; {base}"
            )
        for name, first, last in zip(("driver", "client"), memory[1], memory[-1], strict=True):
            if last > first + MAX_GROWTH_BYTES:
                raise Failed(f"memory of the {name} grew from {first} to {last} bytes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when nothing grew."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--seed", type=int, default=1, help="of the churn (1)")
    options = parser.parse_args(arguments)
    if ALLOCATOR_SETTING not in os.environ:
        # Else the allocator keeps freed blocks of some megabytes, as many as chance will have it.
        os.environ[ALLOCATOR_SETTING] = str(1 << 20)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    try:
        soak(options.minutes, options.seed, lambda text: print(text, flush=True))
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    print("soak: nothing grew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
