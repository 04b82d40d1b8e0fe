"""Clocks: units, caching and virtual time."""

import time

import pytest

from volans.memory import clocks


def test_system_clocks_agree_with_the_operating_system_in_their_units():
    before_ns = time.time_ns()
    readings = [
        clocks.SystemEpochClock()() * 1_000_000,
        clocks.SystemEpochMicroClock()() * 1_000,
        clocks.SystemEpochNanoClock()(),
    ]
    after_ns = time.time_ns()
    for reading in readings:
        assert before_ns - 1_000_000 <= reading <= after_ns
    before_ns = time.monotonic_ns()
    assert before_ns <= clocks.SystemNanoClock()() <= time.monotonic_ns()


def test_an_offset_clock_adds_the_best_sampled_offset():
    nano = clocks.ManualClock(100)
    offset = clocks.OffsetEpochNanoClock(lambda: 5_000 + nano(), nano)
    assert offset() == 5_100
    nano.advance(50)
    assert offset() == 5_150


@pytest.mark.parametrize("cached_class", [clocks.CachedEpochClock, clocks.CachedNanoClock])
def test_a_cached_clock_stands_still_until_told(cached_class):
    clock = cached_class()
    assert clock() == 0
    clock.update(17)
    clock.advance(3)
    assert clock() == clock() == 20


def test_virtual_time_moves_both_kinds_together_and_never_back():
    clock = clocks.ManualClock(epoch_at_zero_ms=1_000)
    assert clock.advance(1_999_999) == 1_999_999
    assert (clock(), clock.epoch_ms()) == (1_999_999, 1_001)
    clock.advance_to(2_000_000)
    assert clock.epoch_ms() == 1_002
    with pytest.raises(ValueError, match="delta_ns=-1 is negative"):
        clock.advance(-1)
