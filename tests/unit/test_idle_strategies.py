"""Idle strategies: the backoff's state machine by counts, names, control, and the GIL."""

import struct
import threading
import time

import pytest

from volans.agents import (
    BackoffIdleStrategy,
    BusySpinIdleStrategy,
    ControllableIdleStrategy,
    IdleStrategy,
    NoOpIdleStrategy,
    SleepingIdleStrategy,
    YieldingIdleStrategy,
)

NOT_IDLE, SPINNING, YIELDING, PARKING = range(4)


def backoff_states(strategy, idle_count):
    states = []
    for _ in range(idle_count):
        strategy.idle(0)
        states.append(strategy._state_for_tests()["backoff_state"])
    return states


def test_backoff_goes_from_spinning_through_yielding_to_parking_by_counts():
    strategy = BackoffIdleStrategy(max_spins=3, max_yields=2, min_park_ns=1, max_park_ns=5)
    assert strategy._state_for_tests()["backoff_state"] == NOT_IDLE
    assert backoff_states(strategy, 3) == [SPINNING] * 3
    assert backoff_states(strategy, 1) == [YIELDING]
    assert backoff_states(strategy, 2) == [YIELDING] * 2
    assert backoff_states(strategy, 1) == [PARKING]


def test_backoff_parks_twice_as_long_each_time_up_to_the_limit():
    strategy = BackoffIdleStrategy(max_spins=0, max_yields=0, min_park_ns=1, max_park_ns=5)
    backoff_states(strategy, 3)
    parks = []
    for _ in range(5):
        parks.append(strategy._state_for_tests()["park_ns"])
        strategy.idle(0)
    assert parks == [1, 2, 4, 5, 5]


@pytest.mark.parametrize("restart", [lambda s: s.idle(1), lambda s: s.reset()])
def test_work_or_reset_starts_the_backoff_over(restart):
    strategy = BackoffIdleStrategy(1, 1, 1, 8)
    backoff_states(strategy, 9)
    restart(strategy)
    assert strategy._state_for_tests() == {
        "backoff_state": NOT_IDLE,
        "spins": 0,
        "yields": 0,
        "park_ns": 1,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_spins": -1},
        {"max_yields": -1},
        {"min_park_ns": 0},
        {"min_park_ns": 2_000_000},
        {"max_park_ns": 10**15},
    ],
)
def test_backoff_arguments_out_of_range_name_themselves(arguments):
    with pytest.raises(ValueError, match=r"is outside .* choose a value"):
        BackoffIdleStrategy(**arguments)


def test_sleeping_takes_the_time_it_is_told():
    begin_ns = time.monotonic_ns()
    SleepingIdleStrategy(sleep_ns=2_000_000).idle(0)
    assert time.monotonic_ns() - begin_ns >= 2_000_000
    with pytest.raises(ValueError, match="sleep_ns=0 is outside"):
        SleepingIdleStrategy(0)


def test_idle_sleeps_without_the_gil():
    strategy = SleepingIdleStrategy(sleep_ns=300_000_000)
    thread = threading.Thread(target=strategy.idle)
    thread.start()
    rounds_count = 0
    while thread.is_alive():
        time.sleep(0)
        rounds_count += 1
    # With the GIL held there would be a handful: before and after the sleep.
    assert rounds_count > 100


@pytest.mark.parametrize("status", [0, 1, 2, 3, 4, 99])
def test_a_controllable_strategy_reads_its_word_at_each_call(status):
    control = bytearray(8)
    strategy = ControllableIdleStrategy(control)
    strategy.idle(0)
    struct.pack_into("<q", control, 0, status)
    strategy.idle(0)
    strategy.idle(1)


def test_the_control_word_decides_whether_time_passes():
    control = bytearray(struct.pack("<q", 1))
    strategy = ControllableIdleStrategy(control)

    def quickest_ns(rounds_count=50):
        quickest = 1 << 62
        for _ in range(rounds_count):
            begin_ns = time.monotonic_ns()
            strategy.idle(0)
            quickest = min(quickest, time.monotonic_ns() - begin_ns)
        return quickest

    spent_noop_ns = quickest_ns()
    struct.pack_into("<q", control, 0, 4)
    assert quickest_ns() >= 1_000
    assert spent_noop_ns < quickest_ns()


@pytest.mark.parametrize("control", [bytearray(4), memoryview(bytearray(16))[1:9]])
def test_a_control_word_must_be_eight_aligned_bytes(control):
    with pytest.raises(ValueError, match="control"):
        ControllableIdleStrategy(control)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("noop", NoOpIdleStrategy),
        ("spin", BusySpinIdleStrategy),
        ("yield", YieldingIdleStrategy),
        ("yielding", YieldingIdleStrategy),
        ("sleeping", SleepingIdleStrategy),
        ("sleep-ns", SleepingIdleStrategy),
        ("sleep-ms", SleepingIdleStrategy),
        ("backoff", BackoffIdleStrategy),
        ("controllable", ControllableIdleStrategy),
        ("aeron_idle_strategy_busy_spinning", BusySpinIdleStrategy),
        ("aeron_idle_strategy_backoff", BackoffIdleStrategy),
        ("org.agrona.concurrent.YieldingIdleStrategy", YieldingIdleStrategy),
        ("NoOpIdleStrategy", NoOpIdleStrategy),
    ],
)
def test_official_names_give_their_strategy(name, expected):
    strategy = IdleStrategy.from_name(name)
    assert type(strategy) is expected
    strategy.idle(0)
    strategy.idle(1)


@pytest.mark.parametrize(
    ("name", "init_args", "expected"),
    [
        (
            "backoff",
            "20-7-2us-3ms",
            "=20, max_yields=7, min_park_ns=2000, max_park_ns=3000000)",
        ),
        ("backoff", "1-2-3-4", "max_spins=1, max_yields=2, min_park_ns=3, max_park_ns=4"),
        ("sleep-ns", "5us", "sleep_ns=5000"),
        ("sleeping", "17", "sleep_ns=17"),
        ("sleep-ms", None, "sleep_ns=1000000"),
        ("sleep-ns", None, "sleep_ns=1000"),
    ],
)
def test_official_arguments_are_understood(name, init_args, expected):
    assert expected in repr(IdleStrategy.from_name(name, init_args))


@pytest.mark.parametrize(
    ("name", "init_args", "message"),
    [
        ("lazy", None, "idle strategy 'lazy' is not known: use one of noop, spin"),
        ("backoff", "1-2-3", "write for example 10-5-1us-1ms"),
        ("backoff", "a-2-3-4", "write for example 10-5-1us-1ms"),
        ("backoff", "1-2-3-4h", "duration '4h'"),
        ("sleep-ns", "soon", "duration 'soon'"),
    ],
)
def test_a_bad_name_or_argument_says_what_is_right(name, init_args, message):
    with pytest.raises(ValueError, match=message):
        IdleStrategy.from_name(name, init_args)
