"""What loss costs: one stream through a lossy link under virtual time, for each window and term.

`python -m volans.testing.loss_grid --write FILE` writes the grid; without `--write` it is printed.
Every cell is a simulation of its own, so the same code gives the same text on any machine.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from volans.client.connect import Client, connect
from volans.driver.config import DriverConfig
from volans.driver.media_driver import MediaDriver
from volans.driver.naming.resolve import DefaultResolver
from volans.memory.clocks import ManualClock
from volans.protocol.counter_types import SystemCounter
from volans.transport.simulated import SimulatedNetwork

KIB = 1024
US = 1_000
MS = 1_000_000
LOSS_PERCENTS = (0, 1, 2, 3, 5, 10, 15, 20, 30)
WINDOWS_AND_TERMS = tuple(
    (window * KIB, term * KIB)
    for window, term in (
        *((8, 64), (16, 64), (32, 64)),
        *((16, 256), (64, 256), (128, 256)),
        *((128, 1024), (512, 1024)),
    )
)
SOURCE, SINK = "10.0.0.1", "10.0.0.2"
CHANNEL = f"aeron:udp?endpoint={SINK}:40100"
STREAM = 1001
MESSAGE = bytes(range(256)) * 4 + bytes(320)  # with its header: a frame of 1376, one a datagram
ONE_WAY_NS = 100 * US
STEP_NS = 50 * US
PUBLISHING_NS = 60 * MS
DRAINING_LIMIT_NS = 20_000 * MS
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Cell:
    """Outcome of one cell. Bytes are of frames in the log."""

    loss_percent: int
    window_bytes: int
    term_bytes: int
    delivered_bytes: int  # until publishing ended
    stream_bytes: int
    datagrams_lost: int  # of both directions, whatever they carried
    naks: int
    retransmits: int
    retransmitted_bytes: int

    @property
    def naks_per_loss(self) -> float:
        """NAK amplification: NAKs for each datagram that was lost."""
        return self.naks / max(1, self.datagrams_lost)

    @property
    def retransmit_share(self) -> float:
        """Retransmit amplification: bytes sent again for each byte of the stream."""
        return self.retransmitted_bytes / max(1, self.stream_bytes)


class _Pair:
    """Two drivers, a client of each, one clock."""

    def __init__(self, directory: Path, loss_percent: int, window_bytes: int, term_bytes: int):
        self.clock = ManualClock(1_000 * MS, 1_700_000_000_000)
        self.network = SimulatedNetwork(SEED)
        self.network.configure(
            loss=loss_percent / 100, delay_min_ns=ONE_WAY_NS, delay_max_ns=ONE_WAY_NS
        )
        self.drivers = [
            self._driver(directory / host, host, window_bytes, term_bytes)
            for host in (SOURCE, SINK)
        ]
        self.clients = [self._client(driver) for driver in self.drivers]
        self.delivered_bytes = 0

    def _driver(self, directory: Path, host: str, window: int, term: int) -> MediaDriver:
        config = DriverConfig(
            directory=str(directory),
            threading_mode="INVOKER",
            perform_storage_checks=False,
            term_buffer_length=term,
            initial_window_length=window,
            socket_rcvbuf=1 << 20,
            counters_values_buffer_length=1 << 20,
            loss_report_length=1 << 16,
            timer_interval_ns=20 * MS,
            status_message_timeout_ns=20 * MS,
        )
        return MediaDriver(
            config,
            engines=(
                self.network.engine(host, role="sender"),
                self.network.engine(host, role="receiver"),
            ),
            resolver=DefaultResolver(lookup=lambda *_: None, interfaces=list),
            clock_ns=self.clock,
            clock_ms=self.clock.epoch_ms,
            random_seed=SEED,
        )

    def _client(self, driver: MediaDriver) -> Client:
        return connect(
            driver.directory,
            use_conductor_invoker=True,
            nano_clock=self.clock,
            epoch_clock_ms=self.clock.epoch_ms,
            sleep=lambda _: None,
        )

    def step(self) -> None:
        """Everybody once, then a little later."""
        now_ns, now_ms = self.clock(), self.clock.epoch_ms()
        for driver in self.drivers:
            driver.do_work(now_ns, now_ms)
        for client in self.clients:
            client.do_work(now_ns, now_ms)
        self.clock.advance_to(now_ns + STEP_NS)

    def run(self) -> int:
        """Publish for a while, then wait for the rest; the stream's length in bytes."""
        source, sink = self.clients
        ids = (
            source.async_add_exclusive_publication(CHANNEL, STREAM),
            sink.async_add_subscription(CHANNEL, STREAM, fragments=True),
        )
        publication = subscription = None
        while publication is None or subscription is None:
            self.step()
            publication = publication or source.get_exclusive_publication(ids[0])
            subscription = subscription or sink.get_subscription(ids[1])
        while not (publication.is_connected and subscription.images):
            self.step()
        count = 0

        def poll() -> None:
            nonlocal count
            while subscription.poll(_ignore, 1000):
                pass
            count = sum(image.position for image in subscription.images)

        end_ns = self.clock() + PUBLISHING_NS
        while self.clock() < end_ns:
            while publication.offer(MESSAGE):
                pass
            self.step()
            poll()
        self.delivered_bytes = count
        end_ns = self.clock() + DRAINING_LIMIT_NS
        while count < publication.position:
            if self.clock() > end_ns:
                raise AssertionError(f"only {count} of {publication.position} bytes arrive")
            self.step()
            poll()
        return int(publication.position)

    def counter(self, number: SystemCounter) -> int:
        """A system counter, summed over both drivers."""
        return sum(driver.counters.value(number) for driver in self.drivers)

    def close(self) -> None:
        """Let go of everything."""
        for client in self.clients:
            client._conductor.abandon()
            client.close()
        for driver in self.drivers:
            driver.close()


def _ignore(_buffer: object, _header: object) -> None:
    pass


def measure(loss_percent: int, window_bytes: int, term_bytes: int) -> Cell:
    """Simulate one cell."""
    shared = Path("/dev/shm")
    directory = Path(
        tempfile.mkdtemp(prefix="volans-grid-", dir=shared if shared.is_dir() else None)
    )
    try:
        pair = _Pair(directory, loss_percent, window_bytes, term_bytes)
        try:
            stream_bytes = pair.run()
            return Cell(
                loss_percent,
                window_bytes,
                term_bytes,
                pair.delivered_bytes,
                stream_bytes,
                pair.network.stats["lost"],
                pair.counter(SystemCounter.NAK_MESSAGES_SENT),
                pair.counter(SystemCounter.RETRANSMITS_SENT),
                pair.counter(SystemCounter.RETRANSMITTED_BYTES),
            )
        finally:
            pair.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def line(cell: Cell) -> str:
    """A cell as a line of the grid."""
    return (
        f"{cell.loss_percent:4}% {cell.window_bytes // KIB:6}k {cell.term_bytes // KIB:6}k "
        f"{cell.delivered_bytes:10} {cell.stream_bytes:10} {cell.datagrams_lost:6} "
        f"{cell.naks:6} {cell.retransmits:7} {cell.retransmitted_bytes:9} "
        f"{cell.naks_per_loss:6.2f} {cell.retransmit_share:6.2f}"
    )


def heading() -> str:
    """What the columns are."""
    return (
        f"# One stream, {PUBLISHING_NS // MS} ms of publishing as fast as it goes, "
        f"round trip {2 * ONE_WAY_NS // US} us, loss in both directions.\n"
        "# delivered: bytes until publishing ended; stream: bytes in all; lost: datagrams.\n"
        "# naks/lost: NAKs for a lost datagram; again: bytes sent again for a byte of the stream.\n"
        "# Written by: python -m volans.testing.loss_grid --write tests/simulation/loss_grid.txt\n"
        " loss  window    term  delivered     stream   lost   naks resends     bytes "
        "n/lost  again"
    )


def cells(loss_percents: Sequence[int] = LOSS_PERCENTS) -> list[Cell]:
    """The grid's cells."""
    return [
        measure(loss, window, term) for loss in loss_percents for window, term in WINDOWS_AND_TERMS
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="loss_grid", description=__doc__)
    parser.add_argument("--write", type=Path, help="write the grid to this file")
    options = parser.parse_args(arguments)
    text = "\n".join([heading(), *map(line, cells())]) + "\n"
    if options.write is None:
        print(text, end="")
    else:
        options.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
