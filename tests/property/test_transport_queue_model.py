"""The transmit queue against a list of datagrams, through an engine that loses nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.transport_kit import EngineDriver
from volans.transport.simulated import SimulatedNetwork

LOGS = 3
LOG_LENGTH = 600

runs = st.tuples(
    st.just("run"),
    st.integers(0, 1),
    st.integers(0, LOGS - 1),
    st.integers(0, 100),
    st.integers(1, 60),
    st.integers(1, 9),
    st.integers(0, 60),
)
copies = st.tuples(st.just("copy"), st.integers(0, 1), st.binary(max_size=3000))
forgets = st.tuples(st.just("forget"), st.integers(0, LOGS - 1))
removals = st.tuples(st.just("remove"), st.integers(0, 1))
flushes = st.tuples(st.just("flush"))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(runs, runs, copies, forgets, removals, flushes)), st.integers(1, 40))
def test_queue_is_a_list_of_datagrams(operations, capacity):
    # Every log's bytes are its own, so that a datagram tells where it came from.
    logs = [bytes((i * 83 + j) % 251 for j in range(LOG_LENGTH)) for i in range(LOGS)]
    network = SimulatedNetwork(1)
    with (
        EngineDriver(network.engine(tx_queue_count=capacity)) as sender,
        EngineDriver(network.engine()) as receiver,
    ):
        endpoints = [sender.open("127.0.0.1") for _ in range(2)]
        to = receiver.local(receiver.open("127.0.0.1"))
        queued: list[tuple[int, int | None, bytes]] = []
        for operation in [*operations, ("flush",)]:
            match operation:
                case ("run", which, log, offset, segment, count, last):
                    last = min(last, segment)
                    accepted = sender.send_run(
                        endpoints[which], to, logs[log], segment, count, last, offset
                    )
                    assert accepted == min(count, capacity - len(queued))
                    for i in range(accepted):
                        start = offset + i * segment
                        length = segment if i < count - 1 else last
                        queued.append((which, log, logs[log][start : start + length]))
                case ("copy", which, data):
                    accepted = sender.send_copy(endpoints[which], to, data)
                    assert accepted == (len(queued) < capacity)
                    if accepted:
                        queued.append((which, None, data))
                case ("forget", log):
                    sender.forget(logs[log])
                    # An empty datagram reads no memory: whether it goes is nobody's business.
                    queued = [q for q in queued if q[1] != log or not q[2]]
                case ("remove", which):
                    sender.remove(endpoints[which])
                    sender.add(endpoints[which])
                    queued = [q for q in queued if q[0] != which]
                case ("flush",):
                    assert sender.flush() == len(queued)
                    got = receiver.poll(1024)
                    assert [d.data for d in got] == [q[2] for q in queued]
                    assert [d.source for d in got] == [
                        sender.local(endpoints[q[0]]) for q in queued
                    ]
                    queued = []
