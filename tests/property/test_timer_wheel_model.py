"""The timer wheel against a dictionary of deadlines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.agents import DeadlineTimerWheel

START = 1_000


def catch_up(wheel, now, handler, limit=1 << 30):
    """Poll until the wheel has reached `now`; what went off."""
    expired_count = wheel.poll(now, handler, limit)
    while wheel.current_tick_time <= now:
        expired_count += wheel.poll(now, handler, limit)
    return expired_count + wheel.poll(now, handler)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.integers(-50, 600)),
        st.tuples(st.just("cancel"), st.integers(0, 1000)),
        st.tuples(st.just("advance"), st.integers(0, 120)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(
    operations=operations,
    resolution=st.sampled_from([1, 8, 16]),
    ticks=st.sampled_from([1, 4, 8, 32]),
    limit=st.sampled_from([1, 2, 1 << 30]),
)
def test_every_timer_goes_off_once_when_due_and_no_other(operations, resolution, ticks, limit):
    wheel = DeadlineTimerWheel(START, resolution, ticks)
    model = {}
    expired = []
    now = START
    for operation, argument in operations:
        if operation == "schedule":
            timer_id = wheel.schedule(now + argument)
            assert timer_id not in model
            model[timer_id] = now + argument
        elif operation == "cancel" and model:
            timer_id = sorted(model)[argument % len(model)]
            assert wheel.deadline(timer_id) == model.pop(timer_id)
            assert wheel.cancel(timer_id)
            assert not wheel.cancel(timer_id)
        elif operation == "advance":
            now += argument
            expired.clear()
            count = catch_up(wheel, now, lambda at, timer_id: expired.append((timer_id, at)), limit)
            due = {timer_id for timer_id, deadline in model.items() if deadline <= now}
            assert sorted(expired) == sorted((timer_id, now) for timer_id in due)
            assert count == len(expired)
            for timer_id in due:
                del model[timer_id]
        assert wheel.timer_count == len(model)
        assert {timer_id: deadline for deadline, timer_id in wheel} == model


def test_timers_of_different_ticks_go_off_in_order():
    wheel = DeadlineTimerWheel(0, 8, 4)
    deadlines = [70, 3, 41, 12, 25]
    by_id = {wheel.schedule(deadline): deadline for deadline in deadlines}
    order = []
    catch_up(wheel, 100, lambda now, timer_id: order.append(by_id[timer_id]))
    # More than one revolution (32) late: what is overdue on a spoke goes off with it.
    assert sorted(order) == sorted(deadlines)
    wheel = DeadlineTimerWheel(0, 8, 16)
    by_id = {wheel.schedule(deadline): deadline for deadline in deadlines}
    order = []
    catch_up(wheel, 100, lambda now, timer_id: order.append(by_id[timer_id]))
    assert order == sorted(deadlines)


def test_a_handler_that_returns_false_keeps_its_timer():
    wheel = DeadlineTimerWheel(0, 8, 4)
    timer_id = wheel.schedule(5)
    assert wheel.poll(6, lambda now, timer_id: False) == 0
    assert wheel.timer_count == 1
    assert wheel.deadline(timer_id) == 5
    assert wheel.poll(6, lambda now, timer_id: None) == 1
    assert wheel.timer_count == 0


def test_a_handler_may_schedule_what_is_due_at_once():
    wheel = DeadlineTimerWheel(0, 8, 4)
    wheel.schedule(1)
    fired = []

    def handler(now, timer_id):
        fired.append(timer_id)
        if len(fired) < 5:
            wheel.schedule(2)

    catch_up(wheel, 9, handler)
    assert len(fired) == 5


def test_a_handler_may_cancel_and_clear():
    wheel = DeadlineTimerWheel(0, 8, 4)
    ids = [wheel.schedule(1) for _ in range(4)]
    assert wheel.poll(2, lambda now, timer_id: wheel.cancel(ids[1]) and None, 1) == 1
    assert wheel.timer_count == 2
    assert wheel.poll(2, lambda now, timer_id: wheel.clear()) == 1
    assert wheel.timer_count == 0


def test_a_handler_that_raises_consumes_its_timer_only():
    wheel = DeadlineTimerWheel(0, 8, 4)
    wheel.schedule(1)
    wheel.schedule(1)

    def fail(now, timer_id):
        raise RuntimeError("handler")

    with pytest.raises(RuntimeError):
        wheel.poll(2, fail)
    assert wheel.timer_count == 1
    assert wheel.poll(2, lambda now, timer_id: None) == 1


def test_the_start_time_can_be_reset_only_without_timers():
    wheel = DeadlineTimerWheel(0, 8, 4)
    timer_id = wheel.schedule(1)
    with pytest.raises(RuntimeError, match="1 timers are scheduled"):
        wheel.reset_start_time(80)
    wheel.cancel(timer_id)
    wheel.reset_start_time(80)
    assert wheel.current_tick_time == 88
    wheel.advance_to(100)
    assert wheel.current_tick_time == 104


@pytest.mark.parametrize(("resolution", "ticks"), [(0, 4), (3, 4), (4, 0), (4, 6), (-2, 4)])
def test_resolution_and_ticks_must_be_powers_of_two(resolution, ticks):
    with pytest.raises(ValueError, match="is not a power of two"):
        DeadlineTimerWheel(0, resolution, ticks)


@pytest.mark.parametrize("timer_id", [-1, 0, 1 << 32, 99 << 32, (1 << 64) - 1])
def test_an_unknown_id_is_no_timer(timer_id):
    wheel = DeadlineTimerWheel(0, 8, 4)
    assert not wheel.cancel(timer_id)
    assert wheel.deadline(timer_id) is None
