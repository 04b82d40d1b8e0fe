"""The course of a simulation and what has to hold at each of its stations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from volans.protocol.counter_types import CounterType, SystemCounter
from volans.testing.simulator_ledger import Ledger, SimulationError
from volans.testing.simulator_plan import ACTIVE_NS, TERM_LENGTH, S

if TYPE_CHECKING:
    from volans.testing.simulator_plan import StreamPlan
    from volans.testing.simulator_subscriber import SubscriberActor
    from volans.testing.simulator_world import World

PUBLISH_LIMIT_NS = 30 * S
DELIVERY_LIMIT_NS = 30 * S  # of those who ask for a SETUP each second, at 30 % loss
CLOSE_LIMIT_NS = 12 * S
RELEASE_LIMIT_NS = 15 * S
OVER_RUNS_A_PADDING = 8  # itself, sent again, duplicated
RETRANSMIT_FACTOR = 12
RETRANSMIT_ALLOWANCE_BYTES = 1 << 18

# A client that was given up while it was paused may say good-bye to what it no longer has.
_LATE_COMMAND = re.compile("unknown (publication|subscription|counter|client)")
# Names may have no address for a while.
_UNKNOWN_NAME = re.compile("appears-")
_NEVER = (
    SystemCounter.FREE_FAILS,
    SystemCounter.INVALID_PACKETS,
    SystemCounter.CONDUCTOR_PROXY_FAILS,
    SystemCounter.SENDER_PROXY_FAILS,
    SystemCounter.RECEIVER_PROXY_FAILS,
)
_TELLING = (
    SystemCounter.NAK_MESSAGES_SENT,
    SystemCounter.RETRANSMITS_SENT,
    SystemCounter.SENDER_FLOW_CONTROL_LIMITS,
    SystemCounter.UNBLOCKED_PUBLICATIONS,
    SystemCounter.LOSS_GAP_FILLS,
    SystemCounter.CLIENT_TIMEOUTS,
    SystemCounter.RESOLUTION_CHANGES,
)


def run_checks(world: World) -> dict[str, Any]:
    """Run a world to its end. Raises SimulationError; the totals of the run."""
    _publish(world)
    _deliver(world)
    world.hooks.before_end(world)
    _close_publications(world)
    _release(world)
    return _totals(world)


def _expected(world: World, subscriber: SubscriberActor) -> list[Ledger]:
    """Ledgers a subscriber must have an image of: their publication is open."""
    stream = subscriber.stream.number
    return [
        ledger
        for key, ledger in world.ledgers.items()
        if key[0] == stream
        and (not subscriber.plan.is_spy or world.ledger_drivers[key] == subscriber.driver)
        and any(user.is_live for user in ledger.users)
    ]


def _publish(world: World) -> None:
    """Everybody publishes what was planned, as far as there is somebody to receive it."""

    def is_done() -> bool:
        return (
            world.is_calm
            and world.clock() >= world.start_ns + ACTIVE_NS
            and not _stuck_publishers(world)
        )

    if not world.run_until(is_done, PUBLISH_LIMIT_NS):
        raise SimulationError("; ".join(_stuck_publishers(world)) or "disturbances do not end")


def _stuck_publishers(world: World) -> list[str]:
    stuck = []
    for publisher in world.publishers:
        if not publisher.owner.is_usable:
            continue
        is_short = not publisher.is_done and _is_received(world, publisher.stream)
        if is_short or publisher.is_registering:
            publication = publisher.publication
            state = (
                "not registered"
                if publication is None
                else f"connected {publication.is_connected} at {publication.position} "
                f"of {publication.position_limit}"
            )
            stuck.append(
                f"{publisher.name}: published {publisher.published_count} of "
                f"{publisher.plan.count}: {state}"
            )
    return stuck


def _is_received(world: World, stream: StreamPlan) -> bool:
    """Whether all receivers are there, or will be, without whom nothing is sent."""
    receiving = {
        subscriber.driver
        for subscriber in world.subscribers
        if subscriber.stream is stream
        and (subscriber.is_live or subscriber.is_coming)
        and not subscriber.plan.is_spy
    }
    return bool(receiving) and set(stream.needed_drivers) <= receiving


def _deliver(world: World) -> None:
    """The quiet phase: whatever was published to an open publication arrives everywhere."""
    for subscriber in world.subscribers:
        subscriber.drains = True
        subscriber.absences.clear()
        subscriber.stalls.clear()
        subscriber.due_ns = min(subscriber.due_ns, world.clock())
    if not world.run_until(lambda: not _first_lag(world), DELIVERY_LIMIT_NS):
        raise SimulationError(_first_lag(world))


def _first_lag(world: World) -> str:
    for subscriber in world.subscribers:
        if subscriber.is_coming:
            return f"{subscriber.name}: has no subscription"
        if subscriber.is_live and _is_received(world, subscriber.stream):
            for ledger in _expected(world, subscriber):
                lag = subscriber.lag_of(ledger)
                if lag:
                    return lag
    return ""


def _close_publications(world: World) -> None:
    """The end of every stream reaches every subscriber: no image is left."""
    for publisher in world.publishers:
        publisher.close()

    def images() -> list[str]:
        return [
            cursor.name
            for subscriber in world.subscribers
            # What a group never took stays with whoever of it is left.
            if subscriber.is_live and _is_received(world, subscriber.stream)
            for cursor in subscriber.cursors.values()
        ]

    if not world.run_until(lambda: not images(), CLOSE_LIMIT_NS):
        raise SimulationError(f"images stay after their publications closed: {images()}")


def _release(world: World) -> None:
    """Everything closed, nothing is left: no counter, no log file, no client."""
    for subscriber in world.subscribers:
        subscriber.close()
    for client in world.clients:
        client.close()
    if not world.run_until(lambda: not _leftovers(world), RELEASE_LIMIT_NS):
        raise SimulationError(f"left behind: {_leftovers(world)}")
    _check_books(world)


def _check_books(world: World) -> None:
    """What drivers counted and logged fits what happened."""
    paddings = sum(
        ledger.end_position // TERM_LENGTH + ledger.abort_count for ledger in world.ledgers.values()
    )
    lost = [
        (number, text)
        for number, text in world.former_errors
        if not _is_expected(world, number, text)
    ]
    if lost:
        raise SimulationError(f"error logs of drivers that ended: {lost}")
    has_group = any(stream.is_group for stream in world.plan.streams)
    for number, driver in enumerate(world.drivers):
        errors = [
            text for text in world.error_log_of(driver) if not _is_expected(world, number, text)
        ]
        if errors:
            raise SimulationError(f"error log of driver {number}: {errors}")
        # Only padding may reach beyond the window: it takes no room.
        over_runs = driver.counters.value(SystemCounter.FLOW_CONTROL_OVER_RUNS)
        if over_runs > OVER_RUNS_A_PADDING * paddings and not has_group:
            raise SimulationError(f"driver {number}: {over_runs} datagrams beyond the window")
        for counter in _NEVER:
            value = driver.counters.value(counter)
            if value:
                raise SimulationError(f"driver {number}: {counter.name} is {value}")


def _is_expected(world: World, driver: int, text: str) -> bool:
    is_late = _LATE_COMMAND.search(text) and world.had_client_trouble(driver)
    return bool(is_late or _UNKNOWN_NAME.search(text))


def _leftovers(world: World) -> list[str]:
    found = []
    for number, driver in enumerate(world.drivers):
        if driver.client_count:
            found.append(f"driver {number}: {driver.client_count} clients")
            continue  # what they hold goes with them
        for kind in ("publications", "images"):
            found += [
                f"driver {number}: {kind}/{path.name}"
                for path in sorted((driver.directory / kind).iterdir())
            ]
        if len(driver.counters) > len(SystemCounter):
            found += [
                f"driver {number}: counter {counter.label}"
                for counter in driver.counters
                if counter.type_id != CounterType.SYSTEM
            ]
    return found


def _totals(world: World) -> dict[str, Any]:
    # What a stream takes in its log is what it sends when nothing is lost.
    stream_bytes = sum(ledger.end_position for ledger in world.ledgers.values())
    retransmitted = world.former_retransmitted_bytes + sum(
        driver.counters.value(SystemCounter.RETRANSMITTED_BYTES) for driver in world.drivers
    )
    if retransmitted > RETRANSMIT_FACTOR * stream_bytes + RETRANSMIT_ALLOWANCE_BYTES:
        raise SimulationError(
            f"{retransmitted} bytes retransmitted for {stream_bytes} bytes of streams"
        )
    return {
        "published_count": sum(len(ledger.ends) for ledger in world.ledgers.values()),
        "stream_bytes": stream_bytes,
        "retransmitted_bytes": retransmitted,
        "counters": {
            counter.name: sum(driver.counters.value(counter) for driver in world.drivers)
            for counter in _TELLING
        },
    }
