"""The loss detector against a naive model that keeps a set of what is there."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.log_kit import LogKit
from volans.testing.loss_detector_kit import LossDetectorKit
from volans.testing.receive_kit import ReceiveKit

TERM_LENGTH = 65536
UNITS = 64  # of 32 bytes, in the part of the term that is looked at
INITIAL_TERM_ID = 7


@pytest.fixture(scope="module")
def shared():
    with ReceiveKit() as kit:
        yield kit.shared


class Model:
    """Finds the first gap by looking at every place; times a NAK by the book."""

    def __init__(self, delay_ns, retry_delay_ns):
        self.frames = {}  # unit → length in units
        self.delay_ns, self.retry_delay_ns = delay_ns, retry_delay_ns
        self.active = None
        self.expiry_ns = None

    def scan(self, term_id, begin, end, now_ns):
        unit = begin
        while unit < end and unit in self.frames:
            unit += self.frames[unit]
        if unit >= end:
            return unit, False, None
        last = unit + 1
        while last < end and last not in self.frames:
            last += 1
        gap = (term_id, unit * 32, (last - unit) * 32)
        is_new = gap != self.active
        if is_new:
            self.active = gap
            self.expiry_ns = now_ns + self.delay_ns
        if now_ns < self.expiry_ns:
            return unit, is_new, None
        self.expiry_ns = now_ns + self.retry_delay_ns
        return unit, is_new, gap


def write(term, unit, units):
    struct.pack_into("<i", term, unit * 32, units * 32 - 5)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(0, UNITS - 1), st.integers(1, 4)),
        st.tuples(st.just("scan"), st.integers(0, UNITS), st.integers(0, 300)),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(
    steps=steps,
    delay_ns=st.integers(0, 200),
    retry_delay_ns=st.integers(0, 400),
    term_count=st.integers(0, 5),
)
def test_gaps_and_their_times_are_those_of_the_model(
    shared, steps, delay_ns, retry_delay_ns, term_count
):
    kit = LogKit(TERM_LENGTH, initial_term_id=INITIAL_TERM_ID, image=True)
    term = kit.term(term_count % 3)
    model = Model(delay_ns, retry_delay_ns)
    detector = LossDetectorKit(kit, shared, delay_ns, retry_delay_ns)
    base = term_count * TERM_LENGTH
    now_ns, rebuild, hwm = 1000, 0, 0
    for name, a, b in steps:
        if name == "frame":
            taken = {u for unit, units in model.frames.items() for u in range(unit, unit + units)}
            if a + b <= UNITS and not taken & set(range(a, a + b)):
                model.frames[a] = b
                write(term, a, b)
                hwm = max(hwm, a + b)
        else:
            now_ns += b
            hwm = max(hwm, a)
            expected = model.scan(INITIAL_TERM_ID + term_count, rebuild, hwm, now_ns)
            offset, is_new, gap = detector.scan(base + rebuild * 32, base + hwm * 32, now_ns)
            assert (offset // 32, is_new, gap) == expected
            rebuild = max(rebuild, offset // 32)


def test_a_high_water_mark_in_a_later_term_means_the_whole_term(shared):
    kit = LogKit(TERM_LENGTH, initial_term_id=INITIAL_TERM_ID, image=True)
    detector = LossDetectorKit(kit, shared, 0, 0)
    write(kit.term(0), 0, 4)
    offset, is_new, gap = detector.scan(0, TERM_LENGTH + 32, 5)
    assert (offset, is_new, gap) == (128, True, (INITIAL_TERM_ID, 128, TERM_LENGTH - 128))
    write(kit.term(0), 4, TERM_LENGTH // 32 - 4)
    assert detector.scan(0, TERM_LENGTH + 32, 5) == (TERM_LENGTH, False, None)
    # The next term is scanned by itself.
    offset, is_new, gap = detector.scan(TERM_LENGTH, TERM_LENGTH + 32, 5)
    assert (offset, is_new, gap) == (0, True, (INITIAL_TERM_ID + 1, 0, 32))


def test_a_group_draws_its_delays_as_optimal_feedback_says(shared):
    group_size, longest_ns = 10, 10_000_000
    detector = LossDetectorKit(LogKit(TERM_LENGTH, image=True), shared, 0, 0, True)
    drawn = sorted(detector.delay_ns() for _ in range(4000))
    assert drawn[0] >= 0
    assert drawn[-1] <= longest_ns
    # The share below t of the distribution with that shape.
    steepness = math.log(group_size) + 1
    for fraction in (0.25, 0.5, 0.75, 0.9):
        t = longest_ns * fraction
        share = (math.exp(steepness * fraction) - 1) / (math.exp(steepness) - 1)
        assert abs(sum(1 for d in drawn if d <= t) / len(drawn) - share) < 0.03
