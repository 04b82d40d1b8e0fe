"""A subscriber in a simulation: one subscription, its images and what came by them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from volans.client.results import ControlledAction
from volans.errors import VolansError
from volans.testing.simulator_destinations import Destinations
from volans.testing.simulator_ledger import Cursor, Ledger, SimulationError

if TYPE_CHECKING:
    from volans.client.image import Image
    from volans.testing.simulator_plan import StreamPlan, SubscriberPlan
    from volans.testing.simulator_world import World

ABORT_CHANCE = 0.1


class SubscriberActor:
    """One subscription, its images and what came by them."""

    def __init__(self, world: World, stream: StreamPlan, plan: SubscriberPlan, number: int) -> None:
        self.world = world
        self.stream = stream
        self.plan = plan
        self.name = f"subscriber {number} of stream {stream.stream_id}"
        self.owner = world.clients[plan.client]
        self.generation = self.owner.generation
        self.is_promised = stream.promises(plan, self.owner.driver)
        self.random = Random(f"volans-simulation {world.plan.seed} {self.name}")
        self.subscription: Any = None
        self.registration_id: int | None = None
        self.cursors: dict[int, Cursor] = {}  # by the image's identity
        self.finished: list[Cursor] = []
        self.due_ns = world.start_ns + plan.start_ns
        self.absences = [
            (world.start_ns + begin, world.start_ns + end) for begin, end in plan.absences
        ]
        self.stalls = [(world.start_ns + begin, world.start_ns + end) for begin, end in plan.stalls]
        self.destinations = self._destinations()
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
        if not self.is_over and self.generation != self.owner.generation:
            self._begin_again()
        if self.is_over or not self.owner.is_scheduled(now_ns):
            return 0
        if not self.owner.is_usable:
            if not self.owner.is_returning:
                self._end("the client ended")
            return 0
        if now_ns < self.due_ns:
            return 0
        try:
            return self._work(now_ns)
        except VolansError:
            if self.owner.is_usable and not self.owner.is_driver_gone:
                raise
            return 0

    def _work(self, now_ns: int) -> int:
        if self.subscription is None:
            return self._register()
        if not self.destinations.are_settled:
            changed = self.destinations.step(self.owner.client, self.subscription, now_ns)
            if changed:
                return changed
        if self.stalls and now_ns >= self.stalls[0][0]:
            _, self.due_ns = self.stalls.pop(0)
            return 0
        if self.absences and now_ns >= self.absences[0][0]:
            _, self.due_ns = self.absences.pop(0)
            self.close_subscription()
            return 1
        self.due_ns = now_ns + (0 if self.drains else self.plan.gap_ns)
        return self._poll()

    def _destinations(self) -> Destinations:
        plans = self.stream.destinations if self.stream.kind == "receive" else ()
        return Destinations(self.world, self.name, plans, "receive")

    def _begin_again(self) -> None:
        """The client connected to a new driver: what there was is gone."""
        self.generation = self.owner.generation
        for cursor in self.cursors.values():
            cursor.was_closed = True
        self.finished += self.cursors.values()
        self.cursors.clear()
        self.subscription = self.registration_id = None
        self.destinations = self._destinations()

    def _register(self) -> int:
        client = self.owner.client
        if self.registration_id is None:
            host = self.world.plan.host(self.driver)
            self.registration_id = client.async_add_subscription(
                self.stream.subscriber_channel(self.plan, self.driver, host),
                self.stream.stream_id,
                on_available_image=self._on_available_image,
                on_unavailable_image=self._on_unavailable_image,
            )
            return 1
        self.subscription = client.get_subscription(self.registration_id)
        return 0 if self.subscription is None else 1

    def _poll(self) -> int:
        subscription, limit = self.subscription, self.plan.limit
        if self.plan.way == "controlled":
            return int(subscription.controlled_poll(self._on_controlled_message, limit))
        if self.plan.way == "poll":
            return int(subscription.poll(self.on_message, limit))
        batch = subscription.poll_batch(limit)
        for i in range(len(batch)):
            self.on_message(batch[i], batch.header(i))
        return len(batch)

    def _on_controlled_message(self, buffer: memoryview, header: Any) -> ControlledAction | None:
        choice = self.random.random()
        if choice < ABORT_CHANCE:
            return ControlledAction.ABORT
        self.on_message(buffer, header)
        if choice < 2 * ABORT_CHANCE:
            return ControlledAction.BREAK
        return ControlledAction.COMMIT if choice < 3 * ABORT_CHANCE else None

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
        if self.is_over or cursor.was_closed or cursor.ledger is None or not self.is_promised:
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
        self.destinations = self._destinations()

    def close(self) -> None:
        """Close it for good."""
        if self.is_live:
            self.close_subscription()
        self.is_over = True

    def _end(self, why: str) -> None:
        self.is_over = True
        self.world.trace(f"{self.name} ends: {why}")
