"""Drivers, clients and their network under one virtual clock, on one thread."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from volans.driver.config import DriverConfig
from volans.driver.media_driver import MediaDriver
from volans.driver.naming.address import SocketAddress
from volans.driver.naming.interfaces import InterfaceAddress
from volans.driver.naming.resolve import DefaultResolver
from volans.memory import ManyToOneRingBuffer
from volans.memory.clocks import ManualClock
from volans.memory.error_log import ErrorLogReader
from volans.protocol.cnc import CncFile
from volans.protocol.counter_types import SystemCounter
from volans.testing.simulator_client import ClientActor
from volans.testing.simulator_ledger import Ledger, SimulationError, framed_length
from volans.testing.simulator_plan import (
    CLIENT_LIVENESS_NS,
    CONNECTION_NS,
    DRIVER_TIMEOUT_MS,
    IMAGE_LIVENESS_NS,
    LINGER_NS,
    MAX_MESSAGE_LENGTH,
    MS,
    RE_RESOLUTION_NS,
    RECEIVER_TIMEOUT_NS,
    TERM_LENGTH,
    UNBLOCK_NS,
    UNTETHERED_LIMIT_NS,
    UNTETHERED_LINGER_NS,
    UNTETHERED_RESTING_NS,
    US,
    Disturbance,
    Plan,
    StreamPlan,
)
from volans.testing.simulator_publisher import PublisherActor
from volans.testing.simulator_subscriber import SubscriberActor
from volans.transport.simulated import SimulatedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.testing.simulator_ledger import Cursor

EPOCH_AT_ZERO_MS = 1_700_000_000_000
START_NS = 1_000 * MS
NOBODY = "10.0.0.250"
SHORTEST_STEP_NS = 20 * US
LONGEST_STEP_NS = 10 * MS
ERROR_BUFFER_LENGTH = 4 << 20
FLOW_CONTROL_SAMPLE = 8  # steps
# Padding takes no room, so it is sent when its header fits; it is shorter than what did not fit.
MAX_PADDING = framed_length(MAX_MESSAGE_LENGTH, 576 - 32)


class Hooks:
    """Where a test can break something on purpose, to see whether the checks notice."""

    def engine(self, world: World, driver: int, role: str, handle: Any) -> Any:
        """The engine a driver gets in place of ``handle``."""
        return handle

    def message_handler(
        self, subscriber: SubscriberActor, handler: Callable[[memoryview, Any], None]
    ) -> Callable[[memoryview, Any], None]:
        """What a subscriber's polls call in place of ``handler``."""
        return handler

    def settings(self) -> dict[str, Any]:
        """Settings of the drivers, over the simulation's own."""
        return {}

    def network(self, world: World, network: SimulatedNetwork) -> None:
        """Change the network's settings."""

    def before_end(self, world: World) -> None:
        """Everything is delivered, nothing closed yet."""


class World:
    """One running simulation.

    Args:
        plan: what to build and do.
        directory: an empty directory for the drivers' files.
        hooks: sabotage for tests.
        keep_trace: keep the lines of the trace, not only their hash.
    """

    def __init__(
        self, plan: Plan, directory: Path, hooks: Hooks | None = None, keep_trace: bool = False
    ) -> None:
        self.plan = plan
        self.directory = directory
        self.hooks = hooks or Hooks()
        self.clock = ManualClock(START_NS, EPOCH_AT_ZERO_MS)
        self.start_ns = START_NS
        self.trace_lines: list[str] | None = [] if keep_trace else None
        self._trace = hashlib.blake2b(digest_size=16)
        self._random = Random(f"volans-simulation {plan.seed} schedule")
        self.ledgers: dict[tuple[int, int], Ledger] = {}
        self.ledger_drivers: dict[tuple[int, int], int] = {}
        self.delivered_count = 0
        self.failure: SimulationError | None = None
        self.step_count = 0
        self._idle_ns = SHORTEST_STEP_NS
        self._struck: list[Disturbance] = []
        self._deaths: set[int] = set()
        self._pending = sorted(plan.disturbances, key=lambda each: each.start_ns)
        self._partitions: list[tuple[int, Disturbance]] = []
        self._paused_until_ns = [0] * plan.driver_count
        self.generations = [0] * plan.driver_count  # one more with every driver that ends
        self._down_until_ns: dict[int, int] = {}
        self.former_errors: list[tuple[int, str]] = []
        self.former_retransmitted_bytes = 0
        self.network = SimulatedNetwork(plan.seed)
        fault = plan.fault
        self.network.configure(
            loss=fault.loss,
            duplicate=fault.duplicate,
            reorder=fault.reorder,
            delay_min_ns=fault.delay_min_ns,
            delay_max_ns=fault.delay_max_ns,
        )
        self.hooks.network(self, self.network)
        self.drivers = [self._driver(directory, number) for number in range(plan.driver_count)]
        self.clients = [
            ClientActor(self, number, driver) for number, driver in enumerate(plan.client_drivers)
        ]
        self.publishers: list[PublisherActor] = []
        self.subscribers: list[SubscriberActor] = []
        for stream in plan.streams:
            for each in stream.publishers:
                number = len(self.publishers)
                self.publishers.append(PublisherActor(self, stream, each, number, plan.seed))
            for other in stream.subscribers:
                self.subscribers.append(SubscriberActor(self, stream, other, len(self.subscribers)))
        self._actors: list[PublisherActor | SubscriberActor] = [*self.publishers, *self.subscribers]

    def _driver(self, directory: Path, number: int) -> MediaDriver:
        host = self.plan.host(number)
        config = DriverConfig(
            directory=str(directory / f"driver-{number}"),
            threading_mode="INVOKER",
            perform_storage_checks=False,
            term_buffer_sparse_file=True,
            term_buffer_length=TERM_LENGTH,
            ipc_term_buffer_length=TERM_LENGTH,
            counters_values_buffer_length=1 << 20,
            error_buffer_length=ERROR_BUFFER_LENGTH,
            loss_report_length=1 << 16,
            timer_interval_ns=20 * MS,
            client_liveness_timeout_ns=CLIENT_LIVENESS_NS,
            image_liveness_timeout_ns=IMAGE_LIVENESS_NS,
            publication_unblock_timeout_ns=UNBLOCK_NS,
            publication_linger_timeout_ns=LINGER_NS,
            publication_connection_timeout_ns=CONNECTION_NS,
            status_message_timeout_ns=40 * MS,
            counter_free_to_reuse_ns=50 * MS,
            flow_control_receiver_timeout_ns=RECEIVER_TIMEOUT_NS,
            untethered_window_limit_timeout_ns=UNTETHERED_LIMIT_NS,
            untethered_linger_timeout_ns=UNTETHERED_LINGER_NS,
            untethered_resting_timeout_ns=UNTETHERED_RESTING_NS,
            re_resolution_check_interval_ns=RE_RESOLUTION_NS,
            dir_delete_on_start=True,
            driver_timeout_ms=DRIVER_TIMEOUT_MS,
        ).replace(**self.hooks.settings())
        interface = InterfaceAddress("net0", 1, SocketAddress(socket.AF_INET, host, 0), 24)
        engines = tuple(
            self.hooks.engine(self, number, role, self.network.engine(host, role=role))
            for role in ("sender", "receiver")
        )
        return MediaDriver(
            config,
            engines=(engines[0], engines[1]),
            resolver=DefaultResolver(lookup=self._lookup, interfaces=lambda: [interface]),
            clock_ns=self.clock,
            clock_ms=self.clock.epoch_ms,
            random_seed=self._random.getrandbits(62),
        )

    def _lookup(self, name: str, family: int) -> SocketAddress | None:
        """``host-3`` is 10.0.0.3; ``moves-3-200`` and ``appears-3-200`` are so after 200 ms."""
        kind, *numbers = name.split("-")
        if family != socket.AF_INET or kind not in ("host", "moves", "appears"):
            return None
        address = f"10.0.0.{numbers[0]}"
        if kind != "host" and self.clock() < self.start_ns + int(numbers[1]) * MS:
            if kind == "appears":
                return None
            address = NOBODY
        return SocketAddress(family, address, 0)

    # --- time ------------------------------------------------------------

    def run_until(self, condition: Callable[[], bool], limit_ns: int) -> bool:
        """Step until the condition holds; False when that took longer than ``limit_ns``."""
        deadline_ns = self.clock() + limit_ns
        while not condition():
            if self.clock() >= deadline_ns:
                return False
            self.step()
        return True

    def step(self) -> int:
        """Everybody's duty cycle once, then time moves to the next interesting moment."""
        now_ns, now_ms = self.clock(), self.clock.epoch_ms()
        self.step_count += 1
        self._strike(now_ns)
        work = 0
        turns = len(self.drivers)
        first = self.step_count % turns
        for turn in range(turns):
            number = (first + turn) % turns
            if now_ns >= self._paused_until_ns[number] and number not in self._down_until_ns:
                work += self.drivers[number].do_work(now_ns, now_ms)
        for client in self.clients:
            work += client.step(now_ns, now_ms)
        # Who comes first changes, so that the order of the list hides nothing.
        actors = self._actors
        first = self._random.randrange(len(actors))
        for turn in range(len(actors)):
            work += actors[turn - first].step(now_ns)
        if self.step_count % FLOW_CONTROL_SAMPLE == 0:
            self._check_flow_control()
        if self.failure is not None:
            raise self.failure
        if work:
            self.trace(f"{now_ns} {self.network.trace_hash:016x}")
            self._idle_ns = SHORTEST_STEP_NS
        else:
            self._idle_ns = min(self._idle_ns * 2, LONGEST_STEP_NS)
        self._advance(now_ns)
        return work

    def _advance(self, now_ns: int) -> None:
        next_ns = now_ns + self._idle_ns
        delivery_ns = self.network.next_delivery_ns
        if delivery_ns is not None and now_ns < delivery_ns < next_ns:
            next_ns = max(delivery_ns, now_ns + SHORTEST_STEP_NS)
        self.clock.advance_to(next_ns)

    # --- disturbances ------------------------------------------------------------

    def _strike(self, now_ns: int) -> None:
        while self._pending and now_ns >= self.start_ns + self._pending[0].start_ns:
            each = self._pending.pop(0)
            self._struck.append(each)
            self.trace(f"{now_ns} {each}")
            until_ns = now_ns + each.end_ns - each.start_ns
            if each.kind == "driver_pause":
                self._paused_until_ns[each.target] = until_ns
            elif each.kind in ("driver_restart", "driver_crash"):
                self._end_driver(each.target, each.kind == "driver_crash", until_ns)
            elif each.kind == "client_pause":
                self.clients[each.target].paused_until_ns = until_ns
            elif each.kind == "client_death":
                self._deaths.add(each.target)
                self.clients[each.target].die()
            else:
                self.network.partition(self.plan.host(each.target), self.plan.host(each.other))
                self._partitions.append((until_ns, each))
        for until_ns, each in list(self._partitions):
            if now_ns >= until_ns:
                self._partitions.remove((until_ns, each))
                self.network.heal(self.plan.host(each.target), self.plan.host(each.other))
        for number, until_ns in list(self._down_until_ns.items()):
            if now_ns >= until_ns:
                del self._down_until_ns[number]
                self.drivers[number] = self._driver(self.directory, number)
                self.trace(f"{now_ns} driver {number} is there again")

    def _end_driver(self, number: int, is_crash: bool, until_ns: int) -> None:
        """It is gone until a new one comes; after a crash its clients have to find out."""
        driver = self.drivers[number]
        if number in self._down_until_ns:
            return
        self.former_errors += [(number, text) for text in self.error_log_of(driver)]
        self.former_retransmitted_bytes += driver.counters.value(SystemCounter.RETRANSMITTED_BYTES)
        with CncFile.attach(driver.directory, timeout_s=0, require_alive=False) as cnc:
            commands = ManyToOneRingBuffer(cnc.to_driver_buffer)
            last_heartbeat_ms = commands.consumer_heartbeat_ms
            driver.close()
            if is_crash:
                commands.consumer_heartbeat_ms = last_heartbeat_ms
            del commands
        self.generations[number] += 1
        self._down_until_ns[number] = until_ns

    def is_down(self, driver: int) -> bool:
        """Whether a driver has ended and its successor is not there yet."""
        return driver in self._down_until_ns

    def fail(self, error: SimulationError) -> None:
        """A check failed where its exception would be swallowed: the next step raises it."""
        self.failure = self.failure or error

    @property
    def is_calm(self) -> bool:
        """Whether all disturbances are over."""
        now_ns = self.clock()
        return (
            not self._pending
            and not self._partitions
            and not self._down_until_ns
            and all(now_ns >= until_ns for until_ns in self._paused_until_ns)
            and all(
                client.is_dead or (client.is_scheduled(now_ns) and not client.is_driver_gone)
                for client in self.clients
            )
        )

    def note_death(self, client: int) -> None:
        """A client vanished by its own plan."""
        self._deaths.add(client)

    def is_excused(self, driver: int, client: int) -> bool:
        """Whether something long hit a driver or a client."""
        return client in self._deaths or any(
            (each.kind.startswith("driver_") and each.target == driver)
            or (each.kind == "client_pause" and each.target == client)
            for each in self._struck
            if each.is_long
        )

    def had_client_trouble(self, driver: int) -> bool:
        """Whether a driver, or a client of it, was paused for long."""
        return any(
            self.is_excused(driver, client.number)
            for client in self.clients
            if client.driver == driver
        )

    def is_image_excused(self, subscriber: SubscriberActor, cursor: Cursor) -> bool:
        """Whether something long happened between an image's two ends."""
        source = self.ledger_drivers.get((subscriber.stream.number, cursor.session_id), -1)
        ends = {source, subscriber.driver}
        if self.is_excused(subscriber.driver, subscriber.owner.number):
            return True
        return any(
            (each.kind.startswith("driver_") and each.target in ends)
            or (each.kind == "partition" and {each.target, each.other} == ends)
            or (each.kind == "client_pause" and self._publishes(each.target, cursor))
            for each in self._struck
            if each.is_long
        )

    def _publishes(self, client: int, cursor: Cursor) -> bool:
        return any(
            publisher.owner.number == client and publisher.ledger is cursor.ledger
            for publisher in self.publishers
        )

    # --- invariants ------------------------------------------------------------

    def _check_flow_control(self) -> None:
        """No sender beyond what its receivers allowed, no limit beyond the window."""
        for publisher in self.publishers:
            if publisher.counter_ids is None or not publisher.is_live:
                continue
            counters = self.drivers[publisher.owner.driver].counters
            position, limit, publisher_limit = map(counters.value, publisher.counter_ids)
            # The limit of a group goes back when somebody joins it further behind.
            if position > limit + MAX_PADDING and not publisher.stream.is_group:
                raise SimulationError(
                    f"{publisher.name}: sent up to {position}, the receiver allowed {limit}"
                )
            # A client that was given up may not know it yet: its limit is where it stopped.
            is_given_up = self.is_excused(publisher.owner.driver, publisher.owner.number)
            if publisher_limit > position + TERM_LENGTH // 2 and not is_given_up:
                raise SimulationError(
                    f"{publisher.name}: may publish up to {publisher_limit}, "
                    f"sent are {position}, the window is {TERM_LENGTH // 2}"
                )

    # --- bookkeeping ------------------------------------------------------------

    def trace(self, line: str) -> None:
        """Add a line to the trace."""
        self._trace.update(line.encode() + b"\n")
        if self.trace_lines is not None:
            self.trace_lines.append(line)

    @property
    def trace_hash(self) -> str:
        """Hash over everything that happened so far."""
        return self._trace.hexdigest()

    def ledger_for(self, stream: StreamPlan, publication: Any, user: PublisherActor) -> Ledger:
        """The ledger of a publication's session, shared by all who publish to it."""
        key = (stream.number, publication.session_id)
        ledger = self.ledgers.get(key)
        if ledger is None:
            name = f"stream {stream.stream_id} session {publication.session_id}"
            ledger = self.ledgers[key] = Ledger(name, publication.max_payload_length)
            self.ledger_drivers[key] = user.owner.driver
        ledger.users.add(user)
        return ledger

    # --- the end ------------------------------------------------------------

    def error_log_of(self, driver: MediaDriver) -> list[str]:
        """What a driver found wrong."""
        return [
            observation.text for observation in ErrorLogReader(driver._cnc.error_log_buffer).read()
        ]

    def close(self) -> None:
        """Let go of everything, whatever state it is in."""
        for client in self.clients:
            client.held.clear()
            for former in client.former:
                former.close()
            if not client.client.is_closed:
                client.client._conductor.abandon()
            client.client.close()
        for driver in self.drivers:
            driver.close()
