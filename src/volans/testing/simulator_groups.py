"""What a seed adds to its basic plan: groups, destinations, laggards, restarts, moving names.

The basic plan stays what it was: everything here is drawn from random numbers of its own and
replaces or changes parts of it, so a seed of the basic plan keeps its meaning.
"""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from volans.testing.simulator_plan import (
    ACTIVE_NS,
    FIRST_PORT,
    GROUP_TAG,
    MS,
    DestinationPlan,
    Disturbance,
    Plan,
    S,
    StreamPlan,
    SubscriberPlan,
    draw_publisher,
    draw_subscriber,
    make_basic_plan,
)

BASIC_SHARE = 0.3  # of the seeds stay as they are
CUBIC_LOSS_LIMIT = 0.1
GROUP_LINGER = "5s"
SECOND_PORT = 10  # beyond the first one of a stream
GROUP_KINDS = ("multicast", "multicast", "dynamic", "manual", "receive")


def make_plan(seed: int) -> Plan:
    """The plan of a seed."""
    return _grown(make_basic_plan(seed))


def _grown(plan: Plan) -> Plan:
    random = Random(f"volans-simulation {plan.seed} groups")
    if random.random() < BASIC_SHARE:
        return plan
    streams = [_changed(random, plan, stream) for stream in plan.streams]
    if random.random() < 0.4:
        streams.append(_group(random, plan, len(streams), random.choice(GROUP_KINDS)))
    streams = [_with_laggards(random, stream) for stream in streams]
    disturbances = plan.disturbances
    if random.random() < 0.25:
        target = random.randrange(plan.driver_count)
        kind = random.choice(("driver_restart", "driver_crash"))
        start_ns = random.randrange(100 * MS, ACTIVE_NS)
        down_ns = random.choice((1 * MS, 100 * MS, 1 * S, 3 * S))
        # A pause is one process's: the driver that comes after it is awake.
        disturbances = tuple(
            disturbance
            for disturbance in disturbances
            if disturbance.kind != "driver_pause"
            or disturbance.target != target
            or disturbance.end_ns <= start_ns
        )
        disturbances = (*disturbances, Disturbance(kind, target, -1, start_ns, start_ns + down_ns))
    return replace(plan, streams=tuple(streams), disturbances=disturbances)


def _changed(random: Random, plan: Plan, stream: StreamPlan) -> StreamPlan:
    choice = random.random()
    if stream.kind == "ipc":
        return stream
    if choice < 0.5:
        return _group(random, plan, stream.number, random.choice(GROUP_KINDS))
    # CUBIC takes heavy loss for congestion and hardly moves: right, but nothing to wait for.
    if choice < 0.7 and plan.fault.loss <= CUBIC_LOSS_LIMIT:
        return replace(stream, subscriber_options=(*stream.subscriber_options, "cc=cubic"))
    if choice < 0.9 and not any(subscriber.is_spy for subscriber in stream.subscribers):
        return replace(stream, publisher_channels=(_named(random, stream.channel),))
    return stream


def _named(random: Random, channel: str) -> str:
    """The channel with a name in place of its address: for ever, or only from some time on."""
    kind = random.choice(("host", "moves", "appears"))
    delay = "" if kind == "host" else f"-{random.choice((1, 250, 700))}"
    return re.sub(r"10\.0\.0\.(\d+)", rf"{kind}-\g<1>{delay}", channel)


def _perhaps_named(random: Random, channel: str) -> str:
    return _named(random, channel) if random.random() < 0.3 else channel


def _group(random: Random, plan: Plan, number: int, kind: str) -> StreamPlan:
    """A stream from one driver to subscribers of several, or to one by several ways."""
    port = FIRST_PORT + number
    clients = range(len(plan.client_drivers))
    if kind == "receive":
        return _receive(random, plan, number)
    source = random.randrange(plan.driver_count)
    sources = [client for client in clients if plan.client_drivers[client] == source]
    targets = [
        driver
        for driver in range(plan.driver_count)
        if (driver != source and random.random() < 0.8) or random.random() < 0.2
    ] or [(source + 1) % plan.driver_count]
    subscribers = []
    for driver in targets:
        local = [client for client in clients if plan.client_drivers[client] == driver]
        subscribers += [
            draw_subscriber(random, local, False) for _ in range(random.choice((1, 1, 2)))
        ]
    if kind != "manual" and random.random() < 0.2:
        subscribers.append(draw_subscriber(random, sources, True))
    flow, tagged, promised = _flow(random, targets)
    options = [flow] if flow else []
    if promised:
        # NAKs of groups wait longer, and nobody tells a group's publication that all have come:
        # the end of a stream is only safe for as long as it lingers.
        options.append(f"linger={GROUP_LINGER}")
    if mtu := random.choice((0, 0, 576, 8192)):
        options.append(f"mtu={mtu}")
    destinations: tuple[DestinationPlan, ...] = ()
    if kind == "multicast":
        channel = publisher_channel = f"aeron:udp?endpoint=224.20.30.{41 + 2 * number}:{port}"
    elif kind == "dynamic":
        control = f"control={plan.host(source)}:{port + SECOND_PORT}|control-mode=dynamic"
        channel = f"aeron:udp?endpoint={{host}}:{port}|{_perhaps_named(random, control)}"
        publisher_channel = f"aeron:udp?{control}"
    else:
        channel = f"aeron:udp?endpoint={{host}}:{port}"
        publisher_channel = "aeron:udp?control-mode=manual"
        destinations = tuple(
            DestinationPlan(
                _perhaps_named(random, f"aeron:udp?endpoint={plan.host(driver)}:{port}"),
                _absences(random),
            )
            for driver in targets
        )
        if any(destination.absences for destination in destinations):
            promised = ()
    publishers = [draw_publisher(random, sources) for _ in range(random.choice((1, 1, 2)))]
    if promised:
        # Joint ends are what a group that must be whole can promise.
        publishers = [replace(each, dies_in_claim=False) for each in publishers]
    return StreamPlan(
        number,
        kind,
        source,
        1000 + number,
        channel,
        tuple(options),
        random.random() < 0.9,
        tuple(publishers),
        tuple(subscribers),
        publisher_channels=(publisher_channel,),
        destinations=destinations,
        tagged_drivers=tagged,
        needed_drivers=tuple(targets) if flow.endswith(f"/{len(targets)}") else (),
        promised_drivers=promised,
    )


def _flow(random: Random, targets: list[int]) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """The publishers' flow control, who has the tag, and who is promised everything."""
    every = tuple(targets)
    kind = random.choice(("", "fc=max", "fc=min,t:1s", "group", "group", "tagged", "tagged all"))
    if kind == "group":
        return f"fc=min,t:1s,g:/{len(every)}", (), every
    if kind == "tagged all":
        return f"fc=tagged,t:1s,g:{GROUP_TAG}/{len(every)}", every, every
    if kind == "tagged":
        tagged = tuple(driver for driver in every if random.random() < 0.5) or every[:1]
        return f"fc=tagged,t:1s,g:{GROUP_TAG}", tagged, ()
    return kind, (), ()


def _receive(random: Random, plan: Plan, number: int) -> StreamPlan:
    """One subscription that receives at two addresses, publishers that send to one of them."""
    driver = random.randrange(plan.driver_count)
    clients = range(len(plan.client_drivers))
    local = [client for client in clients if plan.client_drivers[client] == driver]
    remote = [client for client in clients if plan.client_drivers[client] != driver]
    ports = (FIRST_PORT + number, FIRST_PORT + number + SECOND_PORT)
    channels = tuple(f"aeron:udp?endpoint={plan.host(driver)}:{port}" for port in ports)
    subscriber = replace(draw_subscriber(random, local, False), absences=())
    destinations = tuple(DestinationPlan(channel, _absences(random)) for channel in channels)
    return StreamPlan(
        number,
        "receive",
        driver,
        1000 + number,
        "aeron:udp?control-mode=manual",
        (),
        random.random() < 0.8,
        tuple(draw_publisher(random, remote) for _ in range(random.choice((1, 2, 3)))),
        (subscriber,),
        publisher_channels=channels,
        destinations=destinations,
        promised_drivers=() if any(each.absences for each in destinations) else (driver,),
    )


def _absences(random: Random) -> tuple[tuple[int, int], ...]:
    if random.random() < 0.7:
        return ()
    begin = random.randrange(100 * MS, ACTIVE_NS)
    return ((begin, begin + random.choice((1, 50, 400)) * MS),)


def _with_laggards(random: Random, stream: StreamPlan) -> StreamPlan:
    """Some subscribers stop polling for a while; some of those may be let go for it."""
    return replace(
        stream,
        subscribers=tuple(_perhaps_lagging(random, each) for each in stream.subscribers),
    )


def _perhaps_lagging(random: Random, subscriber: SubscriberPlan) -> SubscriberPlan:
    if random.random() < 0.75:
        return subscriber
    begin = random.randrange(50 * MS, ACTIVE_NS)
    stall = (begin, begin + random.choice((20, 200, 900)) * MS)
    return replace(subscriber, stalls=(stall,), is_tethered=random.random() < 0.5)
