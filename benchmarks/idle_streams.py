"""Processor time of a driver with 1,000 idle publications and as many idle subscriptions.

Each publication is connected to its subscription over UDP, so heartbeats and status messages flow.
A Volans client makes them on a driver of either kind; only the driver's process is measured, both
drivers in the same windows of time. Sockets have room for a burst of all streams: with less, a
driver that reads its sockets too seldom loses heartbeats and the work that goes with them, so how
many stay connected is told beside.
"""

from __future__ import annotations

import contextlib
import time

import volans
from benchmarks import harness, processes
from benchmarks.udp import free_ports

TITLE = "Driver with 1,000 idle publications and 1,000 subscriptions, connected over UDP"
COUNT = 1_000
WINDOW_SECONDS = 3.0
SETTLE_SECONDS = 3.0
TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 15.0
SOCKETS = "so-rcvbuf=2m|so-sndbuf=2m"


def connect_streams(
    client: volans.Client, count: int, port: int
) -> list[volans.ExclusivePublication]:
    """So many publications, each with its subscription."""
    channel = f"aeron:udp?endpoint=127.0.0.1:{port}|{SOCKETS}"
    for kind, text in (("subscription", channel), ("publication", f"{channel}|term-length=64k")):
        ids = [getattr(client, f"async_add_{kind}")(text, 1000 + n) for n in range(count)]
        made = []
        deadline = time.monotonic() + TIMEOUT_S
        for each in ids:
            while (one := getattr(client, f"get_{kind}")(each)) is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(made)} of {count} {kind}s in {TIMEOUT_S} s")
                time.sleep(0.001)
            made.append(one)
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while not all(publication.is_connected for publication in made):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return made


def run(options: harness.Options, report: harness.Report) -> None:
    count = options.count(COUNT)
    with contextlib.ExitStack() as stack:
        drivers, publications = {}, {}
        for side in harness.available_sides(options, ("volans", "official")):
            driver = stack.enter_context(harness.driver_process(side, options))
            client = stack.enter_context(volans.connect(driver.directory))
            publications[side] = connect_streams(client, count, free_ports(1)[0])
            drivers[side] = driver
        time.sleep(SETTLE_SECONDS)
        samples: harness.Samples = {side: {"share": []} for side in drivers}
        for _ in range(options.rounds):
            began = time.monotonic()
            before = {s: processes.cpu_seconds(d.process.pid) for s, d in drivers.items()}
            time.sleep(WINDOW_SECONDS)
            seconds = time.monotonic() - began
            for side, driver in drivers.items():
                taken = processes.cpu_seconds(driver.process.pid) - before[side]
                samples[side]["share"].append(100 * taken / seconds)
        for side, made in publications.items():
            print(f"  {side}: {sum(each.is_connected for each in made)} of {count} connected")
    report.figures(TITLE, "% core", samples)
    report.ratio(samples, ("volans", "share"), ("official", "share"), harness.at_most(1.0))
