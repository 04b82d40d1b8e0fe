"""The simulated network under any faults: nothing appears, vanishes or overtakes unaccounted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.transport_kit import EngineDriver
from volans.transport.simulated import SimulatedNetwork

HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
PORT = 40123

rates = st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])
faults = st.fixed_dictionaries(
    {
        "loss": rates,
        "duplicate": rates,
        "reorder": rates,
        "corrupt": rates,
        "delay_min_ns": st.integers(0, 50),
        "partitioned": st.booleans(),
    }
)
hosts = st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.just("send"), hosts, hosts, st.integers(1, 20)),
    st.tuples(st.just("send"), hosts, hosts, st.integers(1, 20)),
    st.tuples(st.just("configure"), hosts, hosts, faults),
    st.tuples(st.just("time"), st.integers(0, 100)),
    st.tuples(st.just("reopen"), hosts),
)


def run(seed, script, jitter_ns, capacity):
    """What each endpoint received, in order, and the network's own account of it."""
    network = SimulatedNetwork(seed, queue_capacity_count=capacity)
    network.configure(delay_max_ns=jitter_ns)
    drivers = [EngineDriver(network.engine(host)) for host in HOSTS]
    endpoints = [driver.open(host, PORT) for driver, host in zip(drivers, HOSTS, strict=True)]
    now_ns = 0
    number = 0
    sent = {}
    received = []
    closed_with = 0
    for step in [*script, ("time", 10_000)]:
        match step:
            case ("send", source, destination, count):
                for _ in range(count):
                    data = number.to_bytes(8, "big")
                    sent[data] = (source, destination, now_ns)
                    number += 1
                    drivers[source].send_copy(endpoints[source], (HOSTS[destination], PORT), data)
                drivers[source].set_now_ns(now_ns)
                assert drivers[source].flush() == count
            case ("configure", source, destination, settings_):
                network.configure(
                    HOSTS[source],
                    HOSTS[destination],
                    delay_max_ns=settings_["delay_min_ns"] + jitter_ns,
                    **settings_,
                )
            case ("time", elapsed_ns):
                now_ns += elapsed_ns
                for i, driver in enumerate(drivers):
                    driver.set_now_ns(now_ns)
                    while got := driver.poll():
                        received += [(now_ns, i, d.source[0], d.data) for d in got]
            case ("reopen", host):
                before = network.in_flight_count
                drivers[host].close_endpoint(endpoints[host])
                closed_with += before - network.in_flight_count
                endpoints[host] = drivers[host].open(HOSTS[host], PORT)
    stats = network.stats
    assert network.in_flight_count == 0
    assert stats["offered"] == number
    assert stats["delivered"] == len(received)
    assert stats["offered"] + stats["duplicated"] == (
        stats["delivered"]
        + stats["lost"]
        + stats["partitioned"]
        + stats["overflowed"]
        + closed_with
    )
    for driver in drivers:
        driver.close()
    return sent, received, stats, network.trace_hash


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, (1 << 64) - 1),
    st.lists(steps, max_size=25),
    st.integers(0, 200),
    st.sampled_from([5, 4096]),
)
def test_every_datagram_is_accounted_for_and_a_seed_repeats(seed, script, jitter_ns, capacity):
    sent, received, stats, trace = run(seed, script, jitter_ns, capacity)
    assert run(seed, script, jitter_ns, capacity) == (sent, received, stats, trace)
    if stats["corrupted"]:
        return
    last = {}
    for when, host, source, data in received:
        sent_by, sent_to, sent_at = sent[data]
        assert (HOSTS[sent_by], sent_to) == (source, host)
        assert when >= sent_at
        if not stats["reordered"] and not stats["duplicated"]:
            assert last.get((sent_by, host), b"") < data
            last[sent_by, host] = data
