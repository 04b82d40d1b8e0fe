"""A publisher in a simulation: one publication object and the messages it publishes."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from volans.errors import VolansError
from volans.protocol.counter_types import CounterType
from volans.testing.simulator_destinations import Destinations
from volans.testing.simulator_ledger import Ledger, SimulationError, framed_length, payload_of
from volans.testing.simulator_plan import TERM_LENGTH

if TYPE_CHECKING:
    from volans.testing.simulator_plan import PublisherPlan, StreamPlan
    from volans.testing.simulator_world import World

ABORT_CHANCE = 0.1
BATCH = 8
_SENDER_KINDS = (
    CounterType.SENDER_POSITION,
    CounterType.SENDER_LIMIT,
    CounterType.PUBLISHER_LIMIT,
)


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
        self.generation = self.owner.generation
        self.random = Random(f"volans-simulation {seed} publisher {number}")
        self.publication: Any = None
        self.registration_id: int | None = None
        self.ledger: Ledger | None = None
        self.counter_ids: list[Any] | None = None  # sender position and limit, publisher limit
        self.published_count = 0
        self.due_ns = world.start_ns + plan.start_ns
        self.messages: list[bytes] = []  # to be published next
        self.destinations = self._destinations()
        self.is_over = False

    @property
    def is_done(self) -> bool:
        """Whether it has published all it wanted, or never can."""
        return self.is_over or self.published_count >= self.plan.count

    @property
    def is_live(self) -> bool:
        """Whether its publication is open and its client alive."""
        return self.publication is not None and not self.is_over and self.owner.is_usable

    @property
    def is_registering(self) -> bool:
        """Whether the driver has been asked for a publication that is not there yet."""
        return not self.is_over and self.registration_id is not None and self.publication is None

    def step(self, now_ns: int) -> int:
        """Register, then publish when it is time; the work count."""
        if not self.is_over and self.generation != self.owner.generation:
            self._begin_again()
        if self.is_over or now_ns < self.due_ns or not self.owner.is_scheduled(now_ns):
            return 0
        if not self.owner.is_usable:
            if not self.owner.is_returning:
                self._end()
            return 0
        try:
            return self._work(now_ns)
        except VolansError:
            if not self.owner.is_driver_gone:
                raise
            return 0

    def _work(self, now_ns: int) -> int:
        if self.publication is None:
            return self._register()
        if not self.destinations.are_settled:
            changed = self.destinations.step(self.owner.client, self.publication, now_ns)
            if changed:
                return changed
        if self.is_done:
            if self.plan.closes_when_done and self.destinations.are_settled:
                self.close()
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

    def _destinations(self) -> Destinations:
        plans = self.stream.destinations if self.stream.kind == "manual" else ()
        return Destinations(self.world, self.name, plans)

    def _begin_again(self) -> None:
        """The client connected to a new driver: what there was is gone."""
        self.generation = self.owner.generation
        if self.ledger is not None:
            self.ledger.users.discard(self)
        self.publication = self.registration_id = self.ledger = self.counter_ids = None
        self.messages = []
        self.destinations = self._destinations()

    def _register(self) -> int:
        client = self.owner.client
        if self.registration_id is None:
            add = (
                client.async_add_exclusive_publication
                if self.plan.is_exclusive
                else client.async_add_publication
            )
            channel = self.stream.publisher_channel(self.number)
            self.registration_id = add(channel, self.stream.stream_id)
            return 1
        publication = client.get_publication(self.registration_id)
        if publication is None:
            return 0
        self.publication = publication
        self.ledger = self.world.ledger_for(self.stream, publication, self)
        self.world.trace(f"{self.name} has session {publication.session_id}")
        if self.stream.is_network:
            counters = self.world.drivers[self.owner.driver].counters
            found = [
                counters.find(kind, publication.original_registration_id) for kind in _SENDER_KINDS
            ]
            if None in found:
                raise SimulationError(f"{self.name}: counters are missing: {found}")
            self.counter_ids = found
        return 1

    def _publish(self) -> bool:
        """Try to publish the next messages; whether something was accepted."""
        publication, ledger = self.publication, self.ledger
        assert ledger is not None
        if not self.messages:
            self.messages = self._next_messages()
        first = self.messages[0]
        before, limit = publication.position, publication.position_limit
        number = self._message_number()
        accepted_count, end_position = 1, 0
        if self.plan.way == "batch":
            accepted_count, number = publication.offer_batch(self.messages), 0
        elif self.plan.way == "claim" and len(first) <= publication.max_payload_length:
            accepted_count, end_position = self._claim(first, number)
        elif self.plan.way == "gather":
            middle = len(first) // 2
            pieces = [first[:middle], bytearray(first[middle:])]
            accepted_count = int(publication.offer(pieces, number) is True)
        else:
            accepted_count = int(publication.offer(first, number) is True)
        if not accepted_count:
            return False
        if before >= limit:
            raise SimulationError(
                f"{self.name}: accepted at position {before}, the limit is {limit}"
            )
        if end_position >= 0:
            self._enter(before, accepted_count, number)
        return True

    def _next_messages(self) -> list[bytes]:
        count = self.random.randint(1, BATCH) if self.plan.way == "batch" else 1
        count = min(count, self.plan.count - self.published_count)
        return [
            payload_of(
                self._message_number() + i,
                self.random.randint(self.plan.shortest, self.plan.longest),
            )
            for i in range(count)
        ]

    def _enter(self, before: int, count: int, number: int) -> None:
        """Write accepted messages into the ledger; where each lies follows from its length."""
        ledger = self.ledger
        assert ledger is not None
        position = before
        for message in self.messages[:count]:
            length = framed_length(len(message), ledger.max_payload_length)
            if position % TERM_LENGTH + length > TERM_LENGTH:
                position += TERM_LENGTH - position % TERM_LENGTH
            position += length
            ledger.publish(number, message, position)
            self.world.trace(f"{self.name} published {len(message)} to {position}")
        if position != self.publication.last_position:
            raise SimulationError(
                f"{self.name}: {count} messages from {before} should end at {position}, "
                f"not at {self.publication.last_position}"
            )
        del self.messages[:count]
        self.published_count += count

    def _claim(self, message: bytes, number: int) -> tuple[int, int]:
        """(1 when accepted, -1 when it was aborted then)."""
        claim = self.publication.try_claim(len(message))
        if not claim:
            return 0, 0
        claim.buffer[:] = message
        claim.reserved_value = number
        if self.random.random() < ABORT_CHANCE:
            claim.abort()
            assert self.ledger is not None
            self.ledger.abort_count += 1
            return 1, -1
        claim.commit()
        return 1, 0

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
        elif self.plan.closes_when_done and self.destinations.are_settled:
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
