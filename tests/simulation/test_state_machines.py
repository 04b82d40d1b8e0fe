"""Every edge of every state machine is taken by a whole driver, and no other edge is.

The drivers run step by step under a chosen clock; after each duty cycle the state of every stream
is looked at. The page of the documentation is drawn from the same tables.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import volans
from volans.driver.config import DriverConfig
from volans.driver.media_driver import MediaDriver
from volans.driver.naming.resolve import DefaultResolver
from volans.driver.state_machines import STATE_MACHINES, page
from volans.memory.clocks import ManualClock
from volans.transport.simulated import SimulatedNetwork

MS = 1_000_000
HOST, OTHER = "10.0.0.1", "10.0.0.2"
UDP = f"aeron:udp?endpoint={OTHER}:40100"
STREAM = 10
MACHINES = {machine.name: machine for machine in STATE_MACHINES}


class World:
    """Two drivers with a client each; `taken` are the edges seen so far."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock(1_000 * MS, 1_700_000_000_000)
        self.network = SimulatedNetwork(1)
        self.taken: set[tuple[str, str, str]] = set()
        self._states: dict[tuple[str, int, int], str] = {}
        self.drivers = [self._driver(directory / host, host) for host in (HOST, OTHER)]
        self.clients = [
            volans.connect(
                driver.directory,
                use_conductor_invoker=True,
                nano_clock=self.clock,
                epoch_clock_ms=self.clock.epoch_ms,
                sleep=lambda _: None,
            )
            for driver in self.drivers
        ]

    def _driver(self, directory: Path, host: str) -> MediaDriver:
        config = DriverConfig(
            directory=str(directory),
            threading_mode="INVOKER",
            perform_storage_checks=False,
            term_buffer_length=65536,
            ipc_term_buffer_length=65536,
            counters_values_buffer_length=1 << 20,
            loss_report_length=1 << 16,
            timer_interval_ns=5 * MS,
            image_liveness_timeout_ns=200 * MS,
            publication_linger_timeout_ns=50 * MS,
            status_message_timeout_ns=10 * MS,
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
            random_seed=7,
        )

    def step(self) -> None:
        """Everybody once; a millisecond passes."""
        now_ns, now_ms = self.clock(), self.clock.epoch_ms()
        for number, driver in enumerate(self.drivers):
            driver.do_work(now_ns, now_ms)
            self._look(number, driver)
        for client in self.clients:
            client.do_work(now_ns, now_ms)
        self.clock.advance_to(now_ns + MS)

    def _look(self, number: int, driver: MediaDriver) -> None:
        conductor: Any = driver._conductor
        for name, part in (
            ("Network publication", conductor._publications),
            ("IPC publication", conductor._ipc),
            ("Image", conductor._subscriptions.images),
        ):
            for registration_id, stream in list(part._streams.items()):
                if getattr(stream, "owner", None) is None:
                    continue
                key = (name, number, registration_id)
                state = stream.owner.state_name
                before = self._states.get(key, "ACTIVE")
                if state != before:
                    self.taken.add((name, before, state))
                self._states[key] = state

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        for _ in range(3000):
            result = condition()
            if result:
                return result
            self.step()
        raise AssertionError(f"not within 3 s: {what}")

    def add(self, client: int, kind: str, channel: str) -> Any:
        one = self.clients[client]
        registration_id = getattr(one, f"async_add_{kind}")(channel, STREAM)
        return self.until(lambda: getattr(one, f"get_{kind}")(registration_id), kind)

    def pair(self, channel: str, source: int, options: str = "") -> tuple[Any, Any]:
        """A subscription of client 1 and a publication, connected."""
        subscription = self.add(1, "subscription", channel)
        publication = self.add(source, "exclusive_publication", channel + options)
        self.until(lambda: publication.is_connected and subscription.images, "connected")
        return publication, subscription

    def quiet(self) -> None:
        """Until no stream is left."""

        def is_empty() -> bool:
            return not any(
                part._streams
                for driver in self.drivers
                for part in (
                    driver._conductor._publications,
                    driver._conductor._ipc,
                    driver._conductor._subscriptions.images,
                )
            )

        self.until(is_empty, "all streams end")

    def close(self) -> None:
        for client in self.clients:
            client._conductor.abandon()
            client.close()
        for driver in self.drivers:
            driver.close()


@pytest.fixture
def world() -> Iterator[World]:
    shared = Path("/dev/shm")
    directory = Path(
        tempfile.mkdtemp(prefix="volans-states-", dir=shared if shared.is_dir() else None)
    )
    made = World(directory)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)


def expected(*names: str) -> set[tuple[str, str, str]]:
    return {(name, e.state, e.next_state) for name in names for e in MACHINES[name].edges}


def test_every_edge_of_streams_and_no_other(world: World) -> None:
    for channel, source in ((UDP, 0), ("aeron:ipc", 1)):
        for end in ("close", "revoke"):
            publication, subscription = world.pair(channel, source)
            world.until(lambda p=publication: p.offer(b"m" * 5000), "room")
            getattr(publication, end)()
            world.until(
                lambda s=subscription: s.poll(lambda *_: None) is None or not s.images, "the end"
            )
            subscription.close()
            world.quiet()
    # An image whose source falls silent, and one that nobody reads any more.
    publication, subscription = world.pair(UDP, 0)
    world.network.partition(HOST, OTHER)
    world.until(lambda: not subscription.images, "the image goes")
    publication.close()
    subscription.close()
    world.network.heal(HOST, OTHER)
    world.quiet()
    publication, subscription = world.pair(UDP, 0)
    subscription.close()
    world.until(lambda: not publication.is_connected, "nobody receives")
    publication.close()
    world.quiet()

    assert world.taken == expected("Network publication", "IPC publication", "Image")


def test_every_edge_of_an_untethered_subscriber(world: World) -> None:
    """The edges themselves: an image that lags goes, rests, comes back; or goes for good."""
    times = (
        "|untethered-window-limit-timeout=100ms|untethered-linger-timeout=50ms"
        "|untethered-resting-timeout=100ms"
    )
    seen: set[tuple[str, str]] = set()
    for rejoin in ("true", "false"):
        reader = world.add(1, "subscription", "aeron:ipc")
        lagging = world.add(1, "subscription", f"aeron:ipc?tether=false|rejoin={rejoin}")
        publication = world.add(1, "exclusive_publication", "aeron:ipc?term-length=64k" + times)
        world.until(lambda r=reader, g=lagging: r.images and g.images, "both read")

        def push(publication: Any = publication, reader: Any = reader) -> None:
            publication.offer(b"m" * 1000)
            reader.poll(lambda *_: None)

        def lags(lagging: Any = lagging, push: Callable[[], None] = push) -> bool:
            push()
            return not lagging.images

        world.until(lags, "the image goes")
        seen |= {("ACTIVE", "LINGER")}
        if rejoin == "true":

            def is_back(lagging: Any = lagging, push: Callable[[], None] = push) -> bool:
                push()
                return bool(lagging.images)

            world.until(is_back, "the image comes back")
            seen |= {("LINGER", "RESTING"), ("RESTING", "ACTIVE")}
        else:
            for _ in range(400):
                push()
                world.step()
            assert not lagging.images
            seen |= {("LINGER", "CLOSED")}
        for each in (publication, reader, lagging):
            each.close()
        world.quiet()
    machine = MACHINES["Untethered subscriber"]
    assert seen == {(edge.state, edge.next_state) for edge in machine.edges}


def test_the_page_is_drawn_from_the_tables() -> None:
    path = Path(__file__).resolve().parents[2] / "docs" / "state-machines.md"
    assert path.read_text(encoding="utf-8") == page()
