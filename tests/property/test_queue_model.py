"""Queues against a deque, one thread, any order of calls."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.memory.queues import ManyToManyQueue, ManyToOneQueue, OneToOneQueue

calls = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers()),
        st.tuples(st.just("poll"), st.none()),
        st.tuples(st.just("drain"), st.integers(0, 5)),
    ),
    max_size=80,
)


@pytest.mark.parametrize("queue_class", [OneToOneQueue, ManyToOneQueue, ManyToManyQueue])
@settings(max_examples=60, deadline=None)
@given(capacity=st.integers(1, 9), calls=calls)
def test_a_queue_is_a_bounded_deque(queue_class, capacity, calls):
    queue = queue_class(capacity)
    model = deque()
    for call, argument in calls:
        if call == "offer":
            assert queue.offer(argument) == (len(model) < queue.capacity)
            if len(model) < queue.capacity:
                model.append(argument)
        elif call == "poll":
            assert queue.poll() == (model.popleft() if model else None)
        else:
            out = []
            assert queue.drain(out.append, argument) == min(argument, len(model))
            assert out == [model.popleft() for _ in out]
        assert queue.size == len(model)
