"""The loss wrapper: a seeded rate, each way by itself, over any engine."""

from __future__ import annotations

import pytest
from transport_pairs import payloads

from volans import transport
from volans.testing.transport_kit import EngineDriver
from volans.transport.loss import LossEngine
from volans.transport.simulated import SimulatedNetwork

COUNT = 2000


def survivors(*, tx=None, rx=None, run_length=50, tx_queue_count=256):
    """Numbers of the datagrams that come through a perfect network and the wrappers."""
    network = SimulatedNetwork(1)
    sending = network.engine(tx_queue_count=tx_queue_count)
    receiving = network.engine()
    with (
        EngineDriver(LossEngine(sending, **tx) if tx else sending) as sender,
        EngineDriver(LossEngine(receiving, **rx) if rx else receiving) as receiver,
    ):
        x, y = sender.open("127.0.0.1"), receiver.open("127.0.0.1")
        to = receiver.local(y)
        data = b"".join(i.to_bytes(4, "big") for i in range(COUNT))
        got = []
        at = 0
        while at < COUNT:
            accepted = sender.send_run(x, to, data, 4, min(run_length, COUNT - at), offset=4 * at)
            at += accepted
            sender.flush()
            while received := receiver.poll(1024):
                got += received
        while network.in_flight_count:
            got += receiver.poll(1024)
        if tx:
            assert sender.handle.tx_dropped_count == COUNT - network.stats["offered"]
        if rx:
            assert receiver.handle.rx_dropped_count == network.stats["delivered"] - len(got)
            assert receiver.stats["datagrams_received"] == len(got)
            assert receiver.stats["bytes_received"] == 4 * len(got)
        return [int.from_bytes(d.data, "big") for d in got]


@pytest.mark.parametrize("direction", ["rx", "tx"])
@pytest.mark.parametrize("rate", [0.01, 0.2, 0.9])
def test_rate_order_and_seed(direction, rate):
    got = survivors(**{direction: {"rate": rate, "seed": 5}})
    assert got == sorted(set(got))
    deviation = (COUNT * rate * (1 - rate)) ** 0.5
    assert abs(COUNT - len(got) - COUNT * rate) < 5 * deviation
    assert survivors(**{direction: {"rate": rate, "seed": 5}}) == got
    assert survivors(**{direction: {"rate": rate, "seed": 6}}) != got


def test_sending_in_runs_loses_what_sending_singly_loses():
    one_by_one = survivors(tx={"rate": 0.3, "seed": 9}, run_length=1)
    assert survivors(tx={"rate": 0.3, "seed": 9}, run_length=64) == one_by_one


def test_a_short_queue_changes_nothing():
    plenty = survivors(tx={"rate": 0.3, "seed": 9}, run_length=64)
    assert survivors(tx={"rate": 0.3, "seed": 9}, run_length=64, tx_queue_count=5) == plenty


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_all_or_nothing(rate):
    expected = [] if rate else list(range(COUNT))
    assert survivors(tx={"rate": rate}) == expected
    assert survivors(rx={"rate": rate}) == expected


def test_direction_spares_the_other_way():
    assert survivors(tx={"rate": 1.0, "direction": "rx"}) == list(range(COUNT))
    assert survivors(rx={"rate": 1.0, "direction": "tx"}) == list(range(COUNT))


def test_buffers_of_lost_datagrams_are_given_back():
    with (
        EngineDriver(transport.create("mmsg", role="sender")) as sender,
        EngineDriver(
            LossEngine(
                transport.create("mmsg", role="receiver", rx_burst_count=4), rate=0.7, seed=3
            )
        ) as receiver,
    ):
        x, y = sender.open("127.0.0.1"), receiver.open("127.0.0.1")
        for i in range(100):
            sender.send_copy(x, receiver.local(y), b"%d" % i)
            sender.flush()
            receiver.poll()
        assert receiver.handle.rx_dropped_count > 4
        late = []
        while len(late) < 30:
            sender.send_copy(x, receiver.local(y), b"late")
            sender.flush()
            late += receive_any(receiver)
        assert payloads(late[-1:]) == [b"late"]


def receive_any(driver):
    import select

    select.select([driver.wait_descriptor()], [], [], 20)
    return driver.poll()
