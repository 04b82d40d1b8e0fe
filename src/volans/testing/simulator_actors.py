"""Who lives in a simulation: clients, publishers and subscribers, each with a duty cycle."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from volans.client.connect import Client, connect
from volans.errors import ClientClosedError
from volans.protocol.counter_types import CounterType
from volans.testing.simulator_ledger import Cursor, Ledger, SimulationError, payload_of
from volans.testing.simulator_plan import DRIVER_TIMEOUT_MS

if TYPE_CHECKING:
    from volans.client.image import Image
    from volans.testing.simulator_plan import PublisherPlan, StreamPlan, SubscriberPlan
    from volans.testing.simulator_world import World

KEEPALIVE_S = 0.1
RESOURCE_LINGER_S = 0.2
ABORT_CHANCE = 0.1
_SENDER_KINDS = (
    CounterType.SENDER_POSITION,
    CounterType.SENDER_LIMIT,
    CounterType.PUBLISHER_LIMIT,
)


def _never_wait(seconds: float) -> None:
    raise SimulationError(f"something waited for {seconds} s of real time")


class ClientActor:
    """One client of one driver, in invoker mode."""

    def __init__(self, world: World, number: int, driver: int) -> None:
        self.world = world
        self.number = number
        self.driver = driver
        self.name = f"client {number}"
        self.is_dead = False  # vanished without a word
        self.paused_until_ns = 0
        self.errors: list[BaseException] = []
        self.held: list[Any] = []
        self.client: Client = connect(
            world.drivers[driver].directory,
            use_conductor_invoker=True,
            driver_timeout=DRIVER_TIMEOUT_MS / 1e3,
            keepalive_interval=KEEPALIVE_S,
            resource_linger=RESOURCE_LINGER_S,
            nano_clock=world.clock,
            epoch_clock_ms=world.clock.epoch_ms,
            sleep=_never_wait,
            error_handler=self._on_error,
            client_name=self.name,
        )

    def _on_error(self, error: BaseException) -> None:
        if isinstance(error, SimulationError):
            self.world.fail(error)
            return
        text = str(error).replace(str(self.world.directory), "")  # another one in every run
        self.world.trace(f"{self.name} error {type(error).__name__}: {text}")
        self.errors.append(error)
        if not self.world.is_excused(self.driver, self.number):
            self.world.fail(SimulationError(f"{self.name}: {type(error).__name__}: {error}"))

    @property
    def is_usable(self) -> bool:
        """Whether the application can go on using it."""
        return not self.is_dead and not self.client.is_closed

    def is_scheduled(self, now_ns: int) -> bool:
        """Whether its process gets the processor."""
        return not self.is_dead and now_ns >= self.paused_until_ns

    def step(self, now_ns: int, now_ms: int) -> int:
        """One duty cycle."""
        if not self.is_scheduled(now_ns) or self.client.is_closed:
            return 0
        return self.client.do_work(now_ns, now_ms)

    def die(self) -> None:
        """The process is gone: nothing of it runs any more, nothing is told to the driver."""
        self.is_dead = True
        self.world.trace(f"{self.name} dies")

    def close(self) -> None:
        """The application closes it."""
        if self.is_usable:
            self.client.close()


class PublisherActor:
    """One publication object and the messages it publishes."""

    def __init__(
        self, world: World, stream: StreamPlan, plan: PublisherPlan, number: int, seed: int
    ) -> None:
        self.world = world
        self.stream = stream
        self.plan = plan
        self.number = number
        self.name = f"publisher {number} of stream {stream.stream_id}"
        self.owner = world.clients[plan.client]
        self.random = Random(f"volans-simulation {seed} publisher {number}")
        self.publication: Any = None
        self.registration_id: int | None = None
        self.ledger: Ledger | None = None
        self.counter_ids: list[Any] | None = None  # sender position and limit, publisher limit
        self.published_count = 0
        self.attempts = 0
        self.due_ns = world.start_ns + plan.start_ns
        self.next_message: bytes | None = None
        self.is_over = False

    @property
    def is_done(self) -> bool:
        """Whether it has published all it wanted, or never can."""
        return self.is_over or self.published_count >= self.plan.count

    @property
    def is_live(self) -> bool:
        """Whether its publication is open and its client alive."""
        return self.publication is not None and not self.is_over and self.owner.is_usable

    def step(self, now_ns: int) -> int:
        """Register, then publish when it is time; the work count."""
        if self.is_over or now_ns < self.due_ns or not self.owner.is_scheduled(now_ns):
            return 0
        if not self.owner.is_usable:
            self._end()
            return 0
        if self.publication is None:
            return self._register()
        if self.is_done:
            return 0
        self.due_ns = now_ns + round(self.plan.gap_ns * self.random.uniform(0.5, 1.5))
        work = 0
        for _ in range(self.plan.burst):
            if self.is_done or not self._publish():
                break
            work += 1
        if self.is_done:
            self._finish()
        return work

    def _register(self) -> int:
        client = self.owner.client
        if self.registration_id is None:
            add = (
                client.async_add_exclusive_publication
                if self.plan.is_exclusive
                else client.async_add_publication
            )
            self.registration_id = add(self.stream.channel, self.stream.stream_id)
            return 1
        publication = client.get_publication(self.registration_id)
        if publication is None:
            return 0
        self.publication = publication
        self.ledger = self.world.ledger_for(self.stream, publication, self)
        self.world.trace(f"{self.name} has session {publication.session_id}")
        if self.stream.kind == "udp":
            counters = self.world.drivers[self.owner.driver].counters
            found = [
                counters.find(kind, publication.original_registration_id) for kind in _SENDER_KINDS
            ]
            if None in found:
                raise SimulationError(f"{self.name}: counters are missing: {found}")
            self.counter_ids = found
        return 1

    def _publish(self) -> bool:
        publication, ledger = self.publication, self.ledger
        assert ledger is not None
        message = self.next_message
        if message is None:
            length = self.random.randint(self.plan.shortest, self.plan.longest)
            message = self.next_message = payload_of(self._message_number(), length)
        self.attempts += 1
        before = publication.position
        limit = publication.position_limit
        if self.plan.claims and len(message) <= publication.max_payload_length:
            accepted, position = self._claim(message)
        else:
            accepted = publication.offer(message, self._message_number()) is True
            position = publication.last_position
        if not accepted:
            return False
        if before >= limit:
            raise SimulationError(
                f"{self.name}: accepted at position {before}, the limit is {limit}"
            )
        if position:
            ledger.publish(self._message_number(), message, position)
            self.world.trace(f"{self.name} published {len(message)} to {position}")
            self.published_count += 1
            self.next_message = None
        return True

    def _claim(self, message: bytes) -> tuple[bool, int]:
        claim = self.publication.try_claim(len(message))
        if not claim:
            return False, 0
        position = claim.position
        claim.buffer[:] = message
        claim.reserved_value = self._message_number()
        if self.random.random() < ABORT_CHANCE:
            claim.abort()
            assert self.ledger is not None
            self.ledger.abort_count += 1
            return True, 0
        claim.commit()
        return True, position

    def _message_number(self) -> int:
        return (self.number << 32) + self.published_count

    def _finish(self) -> None:
        if self.plan.dies_in_claim:
            claim = self.publication.try_claim(64)
            if not claim:
                return
            self.owner.held.append(claim)
            assert self.ledger is not None
            self.ledger.abort_count += 1  # by the driver
            self.world.note_death(self.owner.number)
            self.owner.die()
            self._end()
        elif self.plan.closes_when_done:
            self.close()

    def close(self) -> None:
        """Close the publication; everything published has to arrive all the same."""
        if self.publication is not None and self.owner.is_usable and not self.is_over:
            self.world.trace(f"{self.name} closes")
            self.publication.close()
        self._end()

    def _end(self) -> None:
        self.is_over = True
        if self.ledger is not None:
            self.ledger.users.discard(self)


class SubscriberActor:
    """One subscription, its images and what came by them."""

    def __init__(self, world: World, stream: StreamPlan, plan: SubscriberPlan, number: int) -> None:
        self.world = world
        self.stream = stream
        self.plan = plan
        self.name = f"subscriber {number} of stream {stream.stream_id}"
        self.owner = world.clients[plan.client]
        self.subscription: Any = None
        self.registration_id: int | None = None
        self.cursors: dict[int, Cursor] = {}  # by the image's identity
        self.finished: list[Cursor] = []
        self.due_ns = world.start_ns + plan.start_ns
        self.absences = [
            (world.start_ns + begin, world.start_ns + end) for begin, end in plan.absences
        ]
        self.is_over = False
        self.drains = False
        self.on_message = world.hooks.message_handler(self, self._on_message)

    @property
    def driver(self) -> int:
        """Where it subscribes."""
        return self.owner.driver

    @property
    def is_live(self) -> bool:
        """Whether its subscription is open and its client alive."""
        return self.subscription is not None and not self.is_over and self.owner.is_usable

    @property
    def is_coming(self) -> bool:
        """Whether it will subscribe, or subscribe again, without being asked."""
        return self.subscription is None and not self.is_over and self.owner.is_usable

    def step(self, now_ns: int) -> int:
        """Register, poll, go away and come back; the work count."""
        if self.is_over or not self.owner.is_scheduled(now_ns):
            return 0
        if not self.owner.is_usable:
            self._end("the client ended")
            return 0
        if now_ns < self.due_ns:
            return 0
        if self.subscription is None:
            return self._register()
        if self.absences and now_ns >= self.absences[0][0]:
            _, self.due_ns = self.absences.pop(0)
            self.close_subscription()
            return 1
        self.due_ns = now_ns + (0 if self.drains else self.plan.gap_ns)
        return int(self.subscription.poll(self.on_message, self.plan.limit))

    def _register(self) -> int:
        client = self.owner.client
        if self.registration_id is None:
            channel = self.stream.subscriber_channel
            self.registration_id = client.async_add_subscription(
                f"aeron-spy:{self.stream.channel}" if self.plan.is_spy else channel,
                self.stream.stream_id,
                on_available_image=self._on_available_image,
                on_unavailable_image=self._on_unavailable_image,
            )
            return 1
        try:
            self.subscription = client.get_subscription(self.registration_id)
        except ClientClosedError:
            self._end("the client ended")
        return 0 if self.subscription is None else 1

    # --- images ------------------------------------------------------------

    def _on_available_image(self, image: Image) -> None:
        name = f"{self.name} session {image.session_id} joined at {image.join_position}"
        self.world.trace(f"{name}: available")
        is_reliable = self.stream.is_reliable or self.plan.is_spy
        self.cursors[id(image)] = Cursor(name, image, is_reliable, self.world.clock())

    def _on_unavailable_image(self, image: Image) -> None:
        cursor = self.cursors.pop(id(image), None)
        if cursor is None:
            raise SimulationError(f"{self.name}: an image goes that never came: {image!r}")
        self._attach(cursor)
        self.world.trace(f"{cursor.name}: unavailable, {cursor.delivered_count} delivered")
        self.finished.append(cursor)
        if self.is_over or cursor.was_closed or cursor.ledger is None:
            return
        if cursor.missing_count and not self.world.is_image_excused(self, cursor):
            raise SimulationError(
                f"{cursor.name}: went away with {cursor.missing_count} of "
                f"{len(cursor.ledger.ends)} messages missing and nothing to excuse it"
            )
        is_published = any(user.is_live for user in cursor.ledger.users)
        if is_published and not self.world.is_image_excused(self, cursor):
            raise SimulationError(f"{cursor.name}: went away while its publisher lives")

    def _attach(self, cursor: Cursor) -> None:
        if cursor.ledger is None:
            ledger = self.world.ledgers.get((self.stream.number, cursor.session_id))
            if ledger is not None:
                cursor.attach(ledger)

    def _on_message(self, buffer: memoryview, header: Any) -> None:
        cursor = self.cursors.get(id(header.image))
        if cursor is None:
            raise SimulationError(f"{self.name}: a message of an image that never came")
        self._attach(cursor)
        position = header.position
        self.world.trace(f"{cursor.name}: {len(buffer)} to {position}")
        cursor.deliver(bytes(buffer), position, header.reserved_value)
        self.world.delivered_count += 1

    def lag_of(self, ledger: Ledger) -> str:
        """Why not everything of a ledger has come, or nothing."""
        for cursor in self.cursors.values():
            self._attach(cursor)
            if cursor.ledger is not ledger:
                continue
            if cursor.missing_count:
                return (
                    f"{cursor.name}: {cursor.missing_count} of {len(ledger.ends)} messages "
                    f"have not come (at {cursor.image.position} of {ledger.end_position})"
                )
            if not cursor.is_reliable and cursor.image.position < ledger.end_position:
                return f"{cursor.name}: stays at {cursor.image.position} of {ledger.end_position}"
            return ""
        return f"{self.name}: no image of {ledger.name}"

    # --- the end ------------------------------------------------------------

    def close_subscription(self) -> None:
        """Close it; its images go without having to be complete."""
        self.world.trace(f"{self.name} closes")
        for cursor in self.cursors.values():
            cursor.was_closed = True
        self.subscription.close()
        self.subscription = None
        self.registration_id = None

    def close(self) -> None:
        """Close it for good."""
        if self.is_live:
            self.close_subscription()
        self.is_over = True

    def _end(self, why: str) -> None:
        self.is_over = True
        self.world.trace(f"{self.name} ends: {why}")
