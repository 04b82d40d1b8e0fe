"""The simulated network: each fault does what it says, as often as it says, and no more."""

from __future__ import annotations

import pytest

from volans import transport
from volans.testing.transport_kit import EngineDriver
from volans.transport.simulated import SimulatedNetwork

ONE, TWO, THREE = "10.0.0.1", "10.0.0.2", "10.0.0.3"
COUNT = 4000


class Link:
    """Sends numbered datagrams from one host to another at a steady pace."""

    def __init__(self, seed=1, *, queue_capacity_count=4096, **faults):
        self.network = SimulatedNetwork(seed, queue_capacity_count=queue_capacity_count)
        self.network.configure(**faults)
        self.sender = EngineDriver(self.network.engine(ONE, role="sender"))
        self.receiver = EngineDriver(
            transport.create("simulated", role="receiver", network=self.network, host=TWO)
        )
        self.x = self.sender.open("0.0.0.0")
        self.y = self.receiver.open("0.0.0.0", 40123)
        self.now_ns = 0

    def send(self, data, to=(TWO, 40123)):
        self.sender.set_now_ns(self.now_ns)
        assert self.sender.send_copy(self.x, to, data) == 1
        assert self.sender.flush() == 1

    def poll(self, limit=1024):
        self.receiver.set_now_ns(self.now_ns)
        return [d.data for d in self.receiver.poll(limit)]

    def drain(self):
        """(time, data) of all that is on its way."""
        got = []
        while (when := self.network.next_delivery_ns) is not None:
            self.now_ns = max(self.now_ns, when)
            arrived = self.poll()
            assert arrived, "what is on its way is for somebody else"
            got += [(self.now_ns, data) for data in arrived]
        return got

    def send_numbers(self, count=COUNT, pace_ns=10):
        """Numbers received, with their times."""
        got = []
        for i in range(count):
            self.send(i.to_bytes(4, "big"))
            got += [(self.now_ns, data) for data in self.poll()]
            self.now_ns += pace_ns
        got += self.drain()
        return [(when, int.from_bytes(data, "big")) for when, data in got]


def numbers(link, **options):
    return [number for _, number in link.send_numbers(**options)]


def assert_rate(happened, rate, count=COUNT):
    assert abs(happened - count * rate) < 5 * (count * rate * (1 - rate)) ** 0.5


def test_without_faults_everything_arrives_at_once_in_order():
    link = Link()
    for i in range(200):
        link.send(b"%d" % i)
        link.send(b"and %d" % i)
        assert link.poll() == [b"%d" % i, b"and %d" % i]
    assert link.network.next_delivery_ns is None
    assert link.network.in_flight_count == 0


def test_same_seed_same_trace_and_another_seed_another():
    faults = {
        "loss": 0.2,
        "duplicate": 0.1,
        "reorder": 0.1,
        "corrupt": 0.05,
        "delay_min_ns": 5,
        "delay_max_ns": 500,
    }

    def run(seed):
        link = Link(seed, **faults)
        return link.send_numbers(), link.network.trace_hash, link.network.stats

    assert run(7) == run(7)
    assert run(7)[0] != run(8)[0]
    assert run(7)[1] != run(8)[1]


def test_the_trace_tells_bytes_order_time_and_place_apart():
    def trace(*datagrams, faults=None, to=(TWO, 40123)):
        link = Link(1, **(faults or {}))
        link.receiver.open(TWO, 40124)
        for data in datagrams:
            link.send(data, to)
        link.drain()
        return link.network.trace_hash

    traces = [
        trace(),
        trace(b"a"),
        trace(b"a", b"b"),
        trace(b"b", b"a"),
        trace(b"ab"),
        trace(b"ab\0"),
        trace(b"a", faults={"delay_min_ns": 1}),
        trace(b"a", to=(TWO, 40124)),
    ]
    assert len(set(traces)) == len(traces)
    assert trace(b"a", b"b") == traces[2]


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_loss(rate):
    link = Link(3, loss=rate)
    got = numbers(link)
    assert got == sorted(set(got))
    assert link.network.stats["lost"] == COUNT - len(got)
    assert_rate(COUNT - len(got), rate)


def test_duplication():
    link = Link(3, duplicate=0.2)
    got = numbers(link)
    assert set(got) == set(range(COUNT))
    assert len(got) - COUNT == link.network.stats["duplicated"]
    assert_rate(len(got) - COUNT, 0.2)


def test_delay_keeps_order_and_stays_in_its_window():
    link = Link(3, delay_min_ns=1000, delay_max_ns=3000)
    got = link.send_numbers(pace_ns=5000)
    delays = [when - 5000 * number for when, number in got]
    assert [number for _, number in got] == list(range(COUNT))
    # Polled at the pace of sending, so what arrives in between is seen at the next send.
    assert set(delays) == {5000} | {delays[-1]}
    link = Link(3, delay_min_ns=1000, delay_max_ns=3000)
    seen = []
    for i in range(500):
        link.now_ns = i * 10_000
        link.send(b"%d" % i)
        assert link.poll() == []
        seen.append(link.network.next_delivery_ns - link.now_ns)
        assert [data for _, data in link.drain()] == [b"%d" % i]
    assert min(seen) >= 1000
    assert max(seen) <= 3000
    assert max(seen) - min(seen) > 1800
    assert 1900 < sum(seen) / len(seen) < 2100


def test_a_datagram_is_not_seen_before_its_time():
    link = Link(3, delay_min_ns=1000)
    link.send(b"early")
    assert link.network.next_delivery_ns == 1000
    link.now_ns = 999
    assert link.poll() == []
    link.now_ns = 1000
    assert link.poll() == [b"early"]


def test_jitter_without_reordering_keeps_order_and_reordering_breaks_it():
    assert numbers(Link(3, delay_max_ns=200)) == list(range(COUNT))
    link = Link(3, delay_max_ns=200, reorder=0.1)
    got = numbers(link)
    assert sorted(got) == list(range(COUNT))
    assert got != sorted(got)
    assert_rate(link.network.stats["reordered"], 0.1)


def test_reordering_of_one_burst_needs_no_delay():
    link = Link(3, reorder=0.2)
    for i in range(100):
        link.send(bytes([i]))
    got = [data[0] for data in link.poll()]
    assert sorted(got) == list(range(100))
    assert got != sorted(got)
    assert max(number - place for place, number in enumerate(got)) <= 8


def test_corruption_flips_one_bit():
    link = Link(3, corrupt=0.1)
    data = bytes(range(64))
    damaged = 0
    for _ in range(COUNT):
        link.send(data)
        (got,) = link.poll()
        assert len(got) == 64
        flipped = sum((a ^ b).bit_count() for a, b in zip(data, got, strict=True))
        assert flipped <= 1
        damaged += flipped
    assert damaged == link.network.stats["corrupted"]
    assert_rate(damaged, 0.1)
    link = Link(3, corrupt=1.0)
    link.send(b"")
    assert link.poll() == [b""]


def test_changing_one_fault_leaves_the_others_pattern():
    lossy = numbers(Link(5, loss=0.3))
    assert numbers(Link(5, loss=0.3, corrupt=0.0, duplicate=1.0))[::2] == lossy
    delayed = numbers(Link(5, loss=0.3, delay_min_ns=10, delay_max_ns=1000))
    assert delayed == lossy


def test_partition_and_heal():
    link = Link(1)
    network = link.network
    third = EngineDriver(network.engine(THREE))
    z = third.open(THREE, 1)
    link.send(b"before")
    network.partition(ONE, TWO)
    link.send(b"cut off")
    link.send(b"elsewhere", (THREE, 1))
    link.receiver.send_copy(link.y, (ONE, link.sender.local(link.x)[1]), b"cut off, too")
    link.receiver.flush()
    assert link.poll() == [b"before"]
    assert [d.data for d in third.poll()] == [b"elsewhere"]
    assert link.sender.poll() == []
    network.heal(ONE, TWO)
    link.send(b"after")
    assert link.poll() == [b"after"]
    assert network.stats["partitioned"] == 2
    third.close_endpoint(z)


def test_links_have_their_own_settings_and_start_from_the_default():
    link = Link(1, delay_min_ns=100)
    network = link.network
    network.configure(ONE, TWO, loss=1.0)
    network.configure(ONE, ONE, delay_min_ns=50, delay_max_ns=50)
    link.send(b"lost")
    assert network.next_delivery_ns is None
    link.send(b"home", (ONE, link.sender.local(link.x)[1]))
    assert network.next_delivery_ns == 50
    link.receiver.send_copy(link.y, (ONE, link.sender.local(link.x)[1]), b"back")
    link.receiver.flush()
    network.configure(ONE, TWO, loss=0.0)
    link.send(b"through")
    link.now_ns = 99
    assert link.poll() == []
    link.now_ns = 100
    assert link.poll() == [b"through"]
    link.sender.set_now_ns(100)
    assert [d.data for d in link.sender.poll()] == [b"home", b"back"]


def test_a_full_queue_drops_and_counts():
    link = Link(1, queue_capacity_count=10)
    for i in range(25):
        link.send(b"%d" % i)
    assert link.poll() == [b"%d" % i for i in range(10)]
    assert link.network.stats["overflowed"] == 15
    link.send(b"room again")
    assert link.poll() == [b"room again"]


def test_nobody_there():
    link = Link(1)
    for to in ((TWO, 1), ("10.9.9.9", 40123), ("fd00::9", 1), ("224.20.30.41", 1)):
        link.send(b"", to)
    assert link.network.stats["unroutable"] == 3
    assert link.network.in_flight_count == 0


def test_loopback_is_the_own_host_and_ports_belong_to_a_host():
    network = SimulatedNetwork(1)
    drivers = [EngineDriver(network.engine(host)) for host in (ONE, TWO)]
    for driver in drivers:
        y = driver.open("0.0.0.0", 40123)
        x = driver.open("127.0.0.1")
        driver.send_copy(x, ("127.0.0.1", 40123), b"self")
        driver.flush()
        (got,) = driver.poll()
        assert (got.data, got.source, got.endpoint) == (b"self", driver.local(x), y)
    x = drivers[0].open("127.0.0.1")
    drivers[0].send_copy(x, (TWO, 40123), b"from loopback to another host")
    drivers[0].flush()
    assert drivers[1].poll() == []


def test_ephemeral_ports_are_found_until_there_are_no_more():
    network = SimulatedNetwork(1)
    driver = EngineDriver(network.engine(ONE))
    ports = {driver.local(driver.open(ONE))[1] for _ in range(300)}
    assert len(ports) == 300
    assert min(ports) >= 49152


def test_settings_out_of_range():
    network = SimulatedNetwork(1)
    for settings, message in (
        ({"loss": 1.5}, "loss is 1.5"),
        ({"reorder": -1}, "reorder is -1"),
        ({"delay_min_ns": -1}, "delay_min_ns -1"),
        ({"delay_min_ns": 5, "delay_max_ns": 4}, "no range"),
    ):
        with pytest.raises(ValueError, match=message):
            network.configure(**settings)
    with pytest.raises(ValueError, match="both source and destination"):
        network.configure(ONE, loss=0.1)
    for host in ("0.0.0.0", "224.0.0.1", "::"):
        with pytest.raises(ValueError, match="no unicast address"):
            network.engine(host)
    with pytest.raises(ValueError, match="queue_capacity_count is 0"):
        SimulatedNetwork(1, queue_capacity_count=0)
    for i in range(64):
        network.engine(f"10.1.0.{i + 1}")
    with pytest.raises(OSError, match="one too many"):
        network.engine("10.1.0.65")


def test_the_network_outlives_its_name():
    driver = EngineDriver(SimulatedNetwork(1).engine(ONE))
    x = driver.open(ONE)
    driver.send_copy(x, driver.local(x), b"still here")
    driver.flush()
    assert [d.data for d in driver.poll()] == [b"still here"]
    driver.close()
