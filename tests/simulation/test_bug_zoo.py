"""Systems that are broken on purpose: the checks of the simulation must notice each of them.

A harness that cannot fail proves nothing. Every animal must be found within a few seeds, and for
the reason it was made for.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from volans.testing.simulator import SimulationError, make_plan, simulate
from volans.testing.simulator_tamper import TamperEngine
from volans.testing.simulator_world import Hooks

SEEDS = range(2000, 2012)


class CorruptingNetwork(Hooks):
    """One payload byte of every twentieth data datagram has a bit flipped, silently."""

    def engine(self, world, driver, role, handle):
        if role == "sender":
            return handle
        return TamperEngine(handle, corrupts_payloads=True, period_count=20)


class DeafSender(Hooks):
    """Requests for retransmits are never heard, on a network that loses and reorders."""

    def engine(self, world, driver, role, handle):
        return TamperEngine(handle, drops_naks=True) if role == "sender" else handle

    def network(self, world, network):
        network.configure(loss=0.2, reorder=0.3)

    def settings(self):
        # Hopeless asking in short intervals would only cost time.
        return {"nak_unicast_delay_ns": 50_000}


class SkippingSubscriber(Hooks):
    """Every 37th message does not reach the application."""

    def message_handler(self, subscriber, handler):
        count = 0

        def skipping(buffer, header):
            nonlocal count
            count += 1
            if count % 37:
                handler(buffer, header)

        return skipping


class DoublingSubscriber(Hooks):
    """Every 37th message reaches the application twice."""

    def message_handler(self, subscriber, handler):
        count = 0

        def doubling(buffer, header):
            nonlocal count
            count += 1
            handler(buffer, header)
            if count % 37 == 0:
                handler(buffer, header)

        return doubling


class SwappingSubscriber(Hooks):
    """Every 20th message changes places with the next."""

    def message_handler(self, subscriber, handler):
        held = []

        def swapping(buffer, header):
            if held:
                handler(buffer, header)
                handler(*held.pop())
            elif header.position % 20 == 0:
                held.append((bytes(buffer), Kept(header)))
            else:
                handler(buffer, header)

        return swapping


class Kept:
    """What a handler needs of a header, for later."""

    def __init__(self, header):
        self.position, self.reserved_value = header.position, header.reserved_value
        self.image = header.image


class LeakingDriver(Hooks):
    """A counter that nobody frees."""

    def before_end(self, world):
        world.drivers[0].counters.allocate(1234, b"", "forgotten")


class BoastingDriver(Hooks):
    """A driver that says it sent more than its receivers allowed."""

    def before_end(self, world):
        for publisher in world.publishers:
            if publisher.counter_ids is not None and publisher.is_live:
                counters = world.drivers[publisher.owner.driver].counters
                position, limit, _ = publisher.counter_ids
                counters.set_value(position, counters.value(limit) + (1 << 20))
        for _ in range(20):
            world.step()


class LeftOverLog(Hooks):
    """A log file that nobody deletes."""

    def before_end(self, world):
        (world.drivers[0].directory / "images" / "99.logbuffer").write_bytes(b"")


class StrayError(Hooks):
    """A driver that logs an error nobody expected."""

    def before_end(self, world):
        world.drivers[0]._shared.log_error("something odd", world.clock.epoch_ms())


class ForgetfulGroup(Hooks):
    """Flow control of groups that waits for nobody, whatever publications ask for."""

    def plan(self, seed):
        plan = make_plan(seed)
        return replace(
            plan,
            streams=tuple(
                replace(
                    stream,
                    options=tuple(
                        "fc=max" if option.startswith("fc=") else option
                        for option in stream.options
                    ),
                )
                for stream in plan.streams
            ),
        )


class StubbornNames(Hooks):
    """Names that are looked up once and never again."""

    def settings(self):
        return {"re_resolution_check_interval_ns": 0}


class LostHost(Hooks):
    """A driver that comes back, but whom the network has forgotten."""

    def network(self, world, network):
        self.network_of = network

    def engine(self, world, driver, role, handle):
        if world.generations[driver]:
            for other in range(world.plan.driver_count):
                if other != driver:
                    self.network_of.partition(world.plan.host(driver), world.plan.host(other))
        return handle


# Whatever needs a special plan is looked for where the seeds have it.
GROUPS = [
    seed
    for seed in range(2000, 2400)
    if any(stream.is_group and stream.needed_drivers for stream in make_plan(seed).streams)
]
NAMES = [
    seed
    for seed in range(2000, 2400)
    if any("moves-" in str(stream.publisher_channels) for stream in make_plan(seed).streams)
]
RESTARTS = [
    seed
    for seed in range(2000, 2400)
    if any("restart" in each.kind for each in make_plan(seed).disturbances)
    and any(stream.kind == "udp" for stream in make_plan(seed).streams)
]


@pytest.mark.parametrize(
    ("animal", "seeds", "reason"),
    [
        (ForgetfulGroup, GROUPS, "missing and nothing to excuse it|while its publisher lives"),
        (StubbornNames, NAMES, "published 0 of"),
        (LostHost, RESTARTS, "published .* of|have not come|no image|stays at"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_checks_find_what_is_broken_in_groups_names_and_restarts(animal, seeds, reason):
    found = None
    for seed in seeds[: len(SEEDS)]:
        hooks = animal()
        try:
            simulate(seed, hooks=hooks, plan=hooks.plan(seed) if hasattr(hooks, "plan") else None)
        except SimulationError as error:
            found = str(error)
            break
    assert found is not None, f"not found within {len(SEEDS)} seeds"
    assert re.search(reason, found)


@pytest.mark.parametrize(
    ("animal", "reason"),
    [
        (CorruptingNetwork, "is not what was published"),
        (DeafSender, "have not come|messages missing|published .* of"),
        (SkippingSubscriber, "where .* comes next|have not come"),
        (DoublingSubscriber, "again or out of order"),
        (SwappingSubscriber, "where .* comes next|again or out of order|have not come"),
        (LeakingDriver, "left behind.*counter forgotten"),
        (BoastingDriver, "the receiver allowed"),
        (LeftOverLog, "left behind.*99.logbuffer"),
        (StrayError, "something odd"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_checks_find_what_is_broken(animal, reason):
    found = None
    for seed in SEEDS:
        try:
            simulate(seed, hooks=animal())
        except SimulationError as error:
            found = str(error)
            break
    assert found is not None, f"not found within {len(SEEDS)} seeds"
    assert re.search(reason, found)


def test_the_same_seeds_hold_when_nothing_is_broken():
    for seed in SEEDS:
        simulate(seed)


def test_chance_from_outside_the_seed_changes_the_trace():
    class Moody(Hooks):
        moods = iter((0.0, 0.05))

        def network(self, world, network):
            network.configure(loss=next(self.moods))

    hooks = Moody()
    assert simulate(2000, hooks=hooks).trace_hash != simulate(2000, hooks=hooks).trace_hash
