"""The control plane's counters of slow subscribers, report by report."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from volans.driver.agent_messages import SlowSubscriber
from volans.driver.conductor.slow_subscribers import SlowSubscribers
from volans.memory import CountersManager
from volans.protocol.counter_types import (
    CounterType,
    client_heartbeat_key,
    client_heartbeat_label,
    stream_counter_key,
)

CLIENT, SUBSCRIPTION, STREAM = 77, 80, 90


class Table:
    """Counters with one subscriber's position."""

    def __init__(self) -> None:
        self.counters = CountersManager(
            bytearray(512 * 64), bytearray(128 * 64), epoch_clock_ms=lambda: 1
        )
        self.slow = SlowSubscribers(SimpleNamespace(counters=self.counters))
        self.heartbeat = self.counters.allocate(
            CounterType.CLIENT_HEARTBEAT,
            client_heartbeat_key(CLIENT),
            client_heartbeat_label(CLIENT),
            registration_id=CLIENT,
        )
        self.position = self.counters.allocate(
            CounterType.SUBSCRIBER_POSITION,
            stream_counter_key(SUBSCRIPTION, -9, 10, "aeron:ipc"),
            "sub-pos: …",
            registration_id=SUBSCRIPTION,
            owner_id=CLIENT,
            reference_id=STREAM,
        )

    def report(self, lag_bytes: int | None, stream: int = STREAM) -> None:
        self.slow.on_report(SlowSubscriber(stream, self.position, lag_bytes))

    def named(self) -> list[tuple[str, int]]:
        ids = self.counters.find_by_type(CounterType.SLOW_SUBSCRIBER)
        return [(self.counters.label(id_), self.counters.value(id_)) for id_ in ids]


def test_a_report_names_it_the_next_ones_update_it_the_last_ends_it() -> None:
    table = Table()
    table.report(5000)
    assert table.named() == [("slow-subscriber: 80 -9 10 aeron:ipc client=77", 5000)]
    table.counters.append_to_label(table.heartbeat, " name=a b version=1 commit=c pid=5 pidns=6")
    table.report(6000)
    assert table.named() == [("slow-subscriber: 80 -9 10 aeron:ipc client=77 name=a b pid=5", 6000)]
    table.report(None)
    table.report(None)
    assert table.named() == []
    assert len(table.slow) == 0


@pytest.mark.parametrize("label", ["", " name= version=1 commit=c", " name=x"])
def test_what_the_client_did_not_tell_is_left_out(label: str) -> None:
    table = Table()
    table.counters.append_to_label(table.heartbeat, label)
    table.report(5000)
    assert table.named() == [("slow-subscriber: 80 -9 10 aeron:ipc client=77", 5000)]


def test_who_left_before_the_report_came_is_not_named() -> None:
    table = Table()
    table.report(5000, stream=STREAM + 1)
    table.counters.free(table.position)
    table.report(5000)
    assert table.named() == []
