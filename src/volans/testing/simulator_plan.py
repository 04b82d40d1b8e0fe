"""What one simulation does, drawn from one integer: drivers, faults, streams, who does what when.

A plan is plain data. Nothing here looks at a running system, so the same seed always gives the
same plan, and a plan can be printed to understand a failing seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

US = 1_000
MS = 1_000_000
S = 1_000_000_000

TERM_LENGTH = 64 * 1024
MAX_MESSAGE_LENGTH = TERM_LENGTH // 8
FIRST_PORT = 40_100
GROUP_TAG = 7
ACTIVE_NS = 900 * MS  # publishers begin, and disturbances strike, within this time

# Times of the drivers under test: the official relations, a fifth of the official lengths.
CLIENT_LIVENESS_NS = 1_000 * MS
IMAGE_LIVENESS_NS = 2_000 * MS
UNBLOCK_NS = 1_500 * MS
LINGER_NS = 1_000 * MS
CONNECTION_NS = 1_000 * MS
DRIVER_TIMEOUT_MS = 1_500
RECEIVER_TIMEOUT_NS = 1_000 * MS  # of a receiver in a flow-control group
RE_RESOLUTION_NS = 200 * MS
UNTETHERED_LIMIT_NS = 300 * MS
UNTETHERED_LINGER_NS = 200 * MS
UNTETHERED_RESTING_NS = 500 * MS
LONGEST_TIMEOUT_NS = 2_000 * MS


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What every link between hosts does to datagrams."""

    loss: float
    duplicate: float
    reorder: float
    delay_min_ns: int
    delay_max_ns: int


@dataclass(frozen=True, slots=True)
class PublisherPlan:
    """One publication object of one client and what it publishes."""

    client: int
    is_exclusive: bool
    start_ns: int
    count: int
    shortest: int
    longest: int
    gap_ns: int  # mean time between messages
    burst: int
    way: str  # of publishing: offer, gather, batch, or claim (some of them aborted)
    closes_when_done: bool
    dies_in_claim: bool  # the client vanishes after this publisher's last message, a claim open


@dataclass(frozen=True, slots=True)
class SubscriberPlan:
    """One subscription of one client; closed and added again at the given times."""

    client: int
    is_spy: bool
    start_ns: int
    way: str  # of polling: poll, controlled (with aborts), or batch
    limit: int
    gap_ns: int  # time between polls
    absences: tuple[tuple[int, int], ...]  # (from, to)
    stalls: tuple[tuple[int, int], ...] = ()  # (from, to): subscribed, but not polling
    is_tethered: bool = True


@dataclass(frozen=True, slots=True)
class DestinationPlan:
    """A destination of a publication or subscription; removed and added again at the times."""

    channel: str
    absences: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One channel and stream id with its publishers and subscribers.

    Kinds: ``udp`` (one receiving driver), ``ipc``, ``multicast``, ``dynamic`` and ``manual``
    (destinations of publications), ``receive`` (destinations of a subscription).
    """

    number: int
    kind: str
    driver: int  # of the subscribers; of the publishers for groups; of everybody for ipc
    stream_id: int
    channel: str
    options: tuple[str, ...]  # of the publishers' channel
    is_reliable: bool
    publishers: tuple[PublisherPlan, ...]
    subscribers: tuple[SubscriberPlan, ...]
    subscriber_options: tuple[str, ...] = ()
    publisher_channels: tuple[str, ...] = ()  # taken in turn; empty: that of the subscribers
    destinations: tuple[DestinationPlan, ...] = ()
    tagged_drivers: tuple[int, ...] = ()  # whose receivers say a group tag
    needed_drivers: tuple[int, ...] = ()  # without whose receivers nothing can be published
    promised_drivers: tuple[int, ...] | None = None  # whose receivers miss nothing; None: all

    @property
    def is_network(self) -> bool:
        """Whether datagrams carry it."""
        return self.kind != "ipc"

    @property
    def is_group(self) -> bool:
        """Whether several receivers decide together how fast it goes."""
        return self.kind in ("multicast", "dynamic", "manual")

    def publisher_channel(self, number: int = 0) -> str:
        """Channel as the publisher of this number says it."""
        channels = self.publisher_channels or (self.channel,)
        return _with_options(channels[number % len(channels)], self.options)

    def subscriber_channel(self, plan: SubscriberPlan, driver: int, host: str) -> str:
        """Channel as a subscriber at a driver says it."""
        tether = () if plan.is_tethered else ("tether=false",)
        if plan.is_spy:
            source = (self.publisher_channels or (self.channel,))[0]
            return _with_options(f"aeron-spy:{source}", tether)
        return _with_options(
            self.channel.replace("{host}", host),
            (
                *self.subscriber_options,
                *(() if self.is_reliable else ("reliable=false",)),
                *((f"gtag={GROUP_TAG}",) if driver in self.tagged_drivers else ()),
                *tether,
            ),
        )

    def promises(self, plan: SubscriberPlan, driver: int) -> bool:
        """Whether a subscriber at a driver may miss nothing and lose no image."""
        promised = self.promised_drivers
        return plan.is_tethered and (promised is None or plan.is_spy or driver in promised)


def _with_options(channel: str, options: tuple[str, ...]) -> str:
    if not options:
        return channel
    return ("|" if "?" in channel else "?").join((channel, "|".join(options)))


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something unusual: who is hit, from when to when."""

    kind: str  # driver_pause, driver_restart, driver_crash, client_pause, client_death, partition
    target: int
    other: int
    start_ns: int
    end_ns: int

    @property
    def is_long(self) -> bool:
        """Whether time-outs may strike because of it."""
        always = ("client_death", "driver_restart", "driver_crash")
        return self.kind in always or self.end_ns - self.start_ns >= 200 * MS


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a seed decides before the first duty cycle."""

    seed: int
    driver_count: int
    client_drivers: tuple[int, ...]  # driver of each client
    fault: FaultPlan
    streams: tuple[StreamPlan, ...]
    disturbances: tuple[Disturbance, ...] = field(default=())

    def host(self, driver: int) -> str:
        """Address of a driver."""
        return f"10.0.0.{driver + 1}"

    def describe(self) -> str:
        """The plan in lines."""
        lines = [f"seed {self.seed}: {self.driver_count} drivers, clients at {self.client_drivers}"]
        lines.append(f"  {self.fault}")
        for stream in self.streams:
            lines.append(
                f"  stream {stream.stream_id} {stream.kind} {stream.channel} "
                f"{stream.subscriber_options} {stream.publisher_channels} {stream.options}"
                f"{'' if stream.is_reliable else ' unreliable'}, tagged {stream.tagged_drivers}, "
                f"needed {stream.needed_drivers}, promised {stream.promised_drivers}"
            )
            lines += [f"    {destination}" for destination in stream.destinations]
            lines += [f"    {publisher}" for publisher in stream.publishers]
            lines += [f"    {subscriber}" for subscriber in stream.subscribers]
        lines += [f"  {disturbance}" for disturbance in self.disturbances]
        return "\n".join(lines)


def make_basic_plan(seed: int) -> Plan:
    """The plan of a seed without groups: unicast, IPC and spies, pauses, deaths, partitions."""
    random = Random(f"volans-simulation {seed}")
    driver_count = random.choice((2, 2, 2, 3, 3, 4))
    client_drivers = tuple(
        driver for driver in range(driver_count) for _ in range(random.choice((1, 1, 2)))
    )
    streams = tuple(
        _stream(random, number, driver_count, client_drivers)
        for number in range(random.choice((1, 2, 2, 3)))
    )
    return Plan(
        seed,
        driver_count,
        client_drivers,
        _fault(random),
        streams,
        _disturbances(random, driver_count, client_drivers),
    )


def _fault(random: Random) -> FaultPlan:
    is_calm = random.random() < 0.2
    delay_min_ns = random.choice((10 * US, 50 * US, 500 * US))
    return FaultPlan(
        loss=0.0 if is_calm else random.choice((0.01, 0.05, 0.1, 0.2, 0.3)),
        duplicate=0.0 if is_calm else random.choice((0.0, 0.02, 0.2)),
        reorder=0.0 if is_calm else random.choice((0.0, 0.05, 0.3)),
        delay_min_ns=delay_min_ns,
        delay_max_ns=delay_min_ns + random.choice((0, 100 * US, 2 * MS)),
    )


def _stream(
    random: Random, number: int, driver_count: int, client_drivers: tuple[int, ...]
) -> StreamPlan:
    kind = random.choice(("udp", "udp", "udp", "ipc"))
    driver = random.randrange(driver_count)
    local = [i for i, at in enumerate(client_drivers) if at == driver]
    # Mostly from elsewhere; a driver may also send to itself.
    remote = [i for i, at in enumerate(client_drivers) if at != driver or random.random() < 0.2]
    sources = local if kind == "ipc" else remote or local
    publishers = tuple(draw_publisher(random, sources) for _ in range(random.choice((1, 1, 2, 3))))
    subscribers = [draw_subscriber(random, local, False) for _ in range(random.choice((1, 1, 2)))]
    if kind == "udp" and random.random() < 0.25:
        at = client_drivers[publishers[0].client]
        nearby = [i for i, driver_of in enumerate(client_drivers) if driver_of == at]
        subscribers.append(draw_subscriber(random, nearby, True))
    mtu = random.choice((0, 0, 576, 8192))
    options = [f"mtu={mtu}"] if mtu else []
    if all(publisher.is_exclusive for publisher in publishers) and random.random() < 0.5:
        # Just before the term id wraps round to negative numbers.
        begin = random.randrange(0, TERM_LENGTH, 32)
        options.append(f"init-term-id={2**31 - 2}|term-id={2**31 - 1}|term-offset={begin}")
    channel = (
        f"aeron:udp?endpoint=10.0.0.{driver + 1}:{FIRST_PORT + number}"
        if kind == "udp"
        else "aeron:ipc"
    )
    return StreamPlan(
        number,
        kind,
        driver,
        1000 + number,
        channel,
        tuple(options),
        kind == "ipc" or random.random() < 0.75,
        publishers,
        tuple(subscribers),
    )


def draw_publisher(random: Random, clients: list[int]) -> PublisherPlan:
    """A publisher of one of the clients."""
    shortest, longest, count = random.choice(
        (
            (1, 1, 200),
            (1, 64, 300),
            (1, 1_376, 300),
            (1_200, 3_000, 150),
            (1, MAX_MESSAGE_LENGTH, 100),
        )
    )
    return PublisherPlan(
        client=random.choice(clients),
        is_exclusive=random.random() < 0.5,
        start_ns=random.randrange(0, 200 * MS),
        count=random.randint(max(1, count // 4), count),
        shortest=shortest,
        longest=longest,
        gap_ns=random.choice((0, 200 * US, 2 * MS, 10 * MS)),
        burst=random.choice((1, 4, 16)),
        way=random.choice(("offer", "offer", "gather", "batch", "claim", "claim")),
        closes_when_done=random.random() < 0.4,
        dies_in_claim=random.random() < 0.04,
    )


def draw_subscriber(random: Random, clients: list[int], is_spy: bool) -> SubscriberPlan:
    """A subscriber of one of the clients."""
    absences = []
    if random.random() < 0.25:
        begin = random.randrange(100 * MS, ACTIVE_NS)
        absences.append((begin, begin + random.choice((1, 50, 400)) * MS))
    return SubscriberPlan(
        client=random.choice(clients),
        is_spy=is_spy,
        start_ns=random.choice((0, 0, random.randrange(0, 400 * MS))),
        way=random.choice(("poll", "poll", "controlled", "batch")),
        limit=random.choice((1, 10, 256)),
        gap_ns=random.choice((0, 0, 1 * MS, 5 * MS)),
        absences=tuple(absences),
    )


def _disturbances(
    random: Random, driver_count: int, client_drivers: tuple[int, ...]
) -> tuple[Disturbance, ...]:
    chosen = []
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        kind = random.choice(("driver_pause", "client_pause", "client_death", "partition"))
        start_ns = random.randrange(50 * MS, ACTIVE_NS)
        length_ns = random.choice((5 * MS, 50 * MS, 150 * MS, 3 * S))
        target = random.randrange(len(client_drivers) if "client" in kind else driver_count)
        other = (target + 1 + random.randrange(driver_count - 1)) % driver_count
        if kind == "partition" and length_ns > S:
            length_ns = random.choice((300 * MS, 3 * S))
        chosen.append(Disturbance(kind, target, other, start_ns, start_ns + length_ns))
    return tuple(chosen)
