"""Untethered subscribers: every edge of their machine, and what the control plane is told."""

from pathlib import Path

import pytest

from volans.driver.agent_messages import SubscriberChange
from volans.driver.tether import tether_edges
from volans.testing.tether_kit import TetherKit

STREAM = 77


def change(what, number):
    return SubscriberChange(what, STREAM, 500 + number, 900 + number)


def lagging(**options):
    kit = TetherKit()
    kit.add(0, **options)
    return kit


def test_every_edge_of_the_table_is_taken():
    taken = set()

    def step(kit, now_ns, **rules):
        before = kit.state_name(0)
        kit.check(now_ns, **rules)
        after = kit.state_name(0)
        if before != after:
            taken.add((before, after))

    for is_rejoin in (True, False):
        kit = lagging(is_rejoin=is_rejoin)
        for now_ns in range(100):
            step(kit, now_ns, window_limit_position=0)
    assert taken == {(state, following) for state, _cause, following in tether_edges()}


def test_subscriber_inside_the_window_stays():
    kit = lagging()
    for now_ns in range(0, 100, 3):
        kit.consume(0, 1000)
        assert kit.check(now_ns, window_limit_position=999) == 0
    assert kit.state_name(0) == "ACTIVE"
    assert kit.messages() == []


def test_time_runs_from_when_it_was_last_inside():
    kit = lagging()
    kit.consume(0, 1)
    kit.check(50, window_limit_position=0)
    assert kit.check(55, window_limit_position=1) == 0
    assert kit.check(56, window_limit_position=1) == 1
    assert kit.state_name(0) == "LINGER"
    assert kit.messages() == [change("linger", 0)]


def test_rejoining_one_lingers_rests_and_reads_on_where_it_may_join():
    kit = lagging()
    kit.check(6, window_limit_position=0)
    assert kit.check(13, window_limit_position=0) == 0
    assert kit.check(14, window_limit_position=0) == 1
    assert kit.state_name(0) == "RESTING"
    assert kit.messages() == [change("linger", 0)]
    assert kit.check(24, window_limit_position=5000, join_position=6400) == 0
    assert kit.position(0) == 0
    assert kit.check(25, window_limit_position=5000, join_position=6400) == 1
    assert kit.state_name(0) == "ACTIVE"
    assert kit.position(0) == 6400
    assert kit.messages() == [change("active", 0)]
    assert kit.remove(0) == 900


def test_one_that_may_not_rejoin_is_closed_and_its_counter_given_back_once():
    kit = lagging(is_rejoin=False)
    kit.check(6, window_limit_position=0)
    assert kit.check(14, window_limit_position=0) == 1
    assert kit.state_name(0) == "CLOSED"
    assert kit.messages() == [change("linger", 0), change("closed", 0)]
    assert kit.check(1000, window_limit_position=0) == 0
    assert kit.messages() == []
    assert kit.remove(0) == -1


def test_tethered_ones_are_left_alone_whatever_they_lag():
    kit = TetherKit()
    kit.add(0, is_tether=True)
    kit.add(1)
    assert kit.check(6, window_limit_position=1 << 40) == 1
    assert kit.state_name(0) == "ACTIVE"
    assert kit.state_name(1) == "LINGER"


@pytest.mark.parametrize("is_rejoin", [True, False])
def test_nothing_moves_while_the_control_plane_cannot_be_told(is_rejoin):
    kit = lagging(is_rejoin=is_rejoin)
    kit.fill_ring()
    assert kit.check(6, window_limit_position=0) == 0
    assert kit.state_name(0) == "ACTIVE"
    assert kit.failed_messages == 1
    assert kit.messages() == []
    assert kit.check(7, window_limit_position=0) == 1
    assert kit.messages() == [change("linger", 0)]


def test_documentation_shows_the_table():
    page = (Path(__file__).parents[2] / "docs" / "flow-control.md").read_text()
    table = page.split("| state | after | next state |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [f"| {' | '.join(edge)} |" for edge in tether_edges()]
