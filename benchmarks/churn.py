"""Adding and removing 10,000 publications: how long it takes, and that nothing stays behind.

A Volans client does it on a driver of either kind, a batch at a time; half are IPC, half UDP.
"""

from __future__ import annotations

import time

import volans
from benchmarks import harness, processes
from benchmarks.udp import free_ports

TITLE = "Adding and removing publications, IPC and UDP in turns"
COUNT = 10_000
BATCH = 100
TIMEOUT_S = 60.0
SETTLE_SECONDS = 8.0  # longer than either driver lets a publication linger


def _await(ready: object, what: str) -> object:
    deadline = time.monotonic() + TIMEOUT_S
    while (result := ready()) is None:  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} in {TIMEOUT_S} s")
        time.sleep(0.0002)
    return result


def churn(client: volans.Client, count: int, port: int) -> float:
    """Seconds it took."""
    channels = (
        "aeron:ipc?term-length=64k",
        f"aeron:udp?endpoint=127.0.0.1:{port}|term-length=64k|linger=0",
    )
    began = time.monotonic()
    for start in range(0, count, BATCH):
        ids = [
            client.async_add_exclusive_publication(channels[n % 2], 1000 + n)
            for n in range(start, min(start + BATCH, count))
        ]
        made = [
            _await(lambda each=each: client.get_exclusive_publication(each), "publication")
            for each in ids
        ]
        for publication in made:
            publication.close()  # type: ignore[attr-defined]
    return time.monotonic() - began


def settled(pid: int, directory: object, client: volans.Client, base: dict[str, int]) -> dict:
    """What the driver holds, once that is as before or nothing more seems to go."""
    deadline = time.monotonic() + TIMEOUT_S / 2
    while True:
        now = {**processes.holdings(pid, directory), "counters": len(client.counters)}  # type: ignore[arg-type]
        if now == base or time.monotonic() > deadline:
            return now
        time.sleep(0.1)


def run(options: harness.Options, report: harness.Report) -> None:
    count = options.count(COUNT)
    samples: harness.Samples = {}
    for side in harness.available_sides(options, ("volans", "official")):
        with (
            harness.driver_process(side, options) as driver,
            volans.connect(driver.directory) as client,
        ):
            (port,) = free_ports(1)
            churn(client, BATCH, port)  # what is made once and kept
            pid = driver.process.pid
            time.sleep(SETTLE_SECONDS)
            base = {
                **processes.holdings(pid, driver.directory),
                "counters": len(client.counters),
            }
            memory = processes.resident_bytes(pid)
            seconds = churn(client, count, port)
            now = settled(pid, driver.directory, client, base)
            samples[side] = {"publication": [1e6 * seconds / count]}
            grown = (processes.resident_bytes(pid) - memory) / 1024
            left = {name: now[name] - base[name] for name in base if now[name] != base[name]}
            print(
                f"  {side}: {count} in {seconds:.1f} s; left behind: {left or 'nothing'}; "
                f"memory {grown:+.0f} KiB"
            )
    report.figures(TITLE, "us", samples)
    report.ratio(samples, ("volans", "publication"), ("official", "publication"))
