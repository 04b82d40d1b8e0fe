"""Latency of a steady stream while another client adds 100 large streams on the same driver.

One client sends a message every millisecond over UDP to itself; a child process adds streams with
terms of 16 MiB in every second round. The p99 of the rounds is compared with the quiet ones
before.
"""

from __future__ import annotations

import subprocess
import sys
import time

import peer

import volans
from benchmarks import harness
from benchmarks.udp import free_ports

TITLE = "A message every millisecond over UDP, another client adding 100 streams of 16 MiB terms"
STREAMS = 100
MESSAGES = 2_000
INTERVAL_NS = 1_000_000
LATE_S = 10.0

ADDER = """
import sys, time
import volans
with volans.connect(sys.argv[1]) as client:
    print("ready", flush=True)
    for line in sys.stdin:
        count, seconds = line.split()
        pause = float(seconds) / int(count)
        made = []
        for number in range(int(count)):
            channel = sys.argv[2] if number % 2 else "aeron:ipc?term-length=16m"
            made.append(client.add_exclusive_publication(channel, 5000 + number))
            time.sleep(pause)
        for each in made:
            each.close()
        print("added", flush=True)
"""


def p99_us(publication: volans.ExclusivePublication, subscription: volans.Subscription, count: int):
    """99th percentile of the one-way times of so many messages, in microseconds."""
    times: list[int] = []
    clock = time.perf_counter_ns
    payload = bytes(32)
    arrived = False

    def on_message(_buffer: object, _header: object) -> None:
        nonlocal arrived
        arrived = True

    due_ns = clock()
    for _ in range(count):
        due_ns += INTERVAL_NS
        while clock() < due_ns:
            time.sleep(0.0001)
        arrived = False
        start_ns = clock()
        deadline_ns = start_ns + int(LATE_S * 1e9)
        while not publication.offer(payload):
            if clock() > deadline_ns:
                raise peer.WorkerFailed("no room to publish")
        while not arrived:
            subscription.poll(on_message)
            if clock() > deadline_ns:
                raise peer.WorkerFailed("a message does not arrive")
        times.append(clock() - start_ns)
    times.sort()
    return times[count * 99 // 100] / 1e3


def run(options: harness.Options, report: harness.Report) -> None:
    count = options.count(MESSAGES)
    samples: harness.Samples = {}
    for side in harness.available_sides(options, ("volans", "official")):
        with (
            harness.driver_process(side, options) as driver,
            volans.connect(driver.directory) as client,
        ):
            one, other = free_ports(2)
            adder = subprocess.Popen(
                [
                    *(sys.executable, "-c", ADDER, str(driver.directory)),
                    f"aeron:udp?endpoint=127.0.0.1:{other}|term-length=16m",
                ],
                env=peer.volans_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert adder.stdin is not None
            assert adder.stdout is not None
            try:
                adder.stdout.readline()
                channel = f"aeron:udp?endpoint=127.0.0.1:{one}"
                subscription = client.add_subscription(channel, 10)
                publication = client.add_exclusive_publication(channel, 10)
                while not publication.is_connected:
                    time.sleep(0.001)
                figures = samples[side] = {"quiet": [], "adding": []}
                p99_us(publication, subscription, count)
                for _ in range(options.rounds):
                    figures["quiet"].append(p99_us(publication, subscription, count))
                    adder.stdin.write(f"{STREAMS} {count * INTERVAL_NS / 2e9}\n")
                    adder.stdin.flush()
                    figures["adding"].append(p99_us(publication, subscription, count))
                    adder.stdout.readline()
                    time.sleep(0.5)
            finally:
                adder.stdin.close()
                adder.wait(20)
    report.figures(f"{TITLE}, p99", "us", samples)
    for side in samples:
        target = harness.at_most(1.2) if side == "volans" else None
        report.ratio(samples, (side, "adding"), (side, "quiet"), target)
