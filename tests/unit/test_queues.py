"""Queues: capacity, references, and races of real threads without the GIL."""

import sys
import threading

import pytest

from volans.memory.queues import ManyToManyQueue, ManyToOneQueue, OneToOneQueue
from volans.testing.queue_litmus import QueueLitmus

QUEUES = (OneToOneQueue, ManyToOneQueue, ManyToManyQueue)


@pytest.fixture(params=QUEUES, ids=lambda cls: cls.__name__)
def queue_class(request):
    return request.param


@pytest.mark.parametrize(("asked", "given"), [(1, 2), (2, 2), (3, 4), (1000, 1024)])
def test_capacity_is_rounded_up_to_a_power_of_two(queue_class, asked, given):
    queue = queue_class(asked)
    assert queue.capacity == given
    assert [queue.offer(n) for n in range(given + 1)] == [True] * given + [False]
    assert queue.size == len(queue) == given


@pytest.mark.parametrize("capacity", [0, -1, 1 << 40])
def test_an_impossible_capacity_is_refused(queue_class, capacity):
    with pytest.raises(ValueError, match=f"capacity={capacity} is outside"):
        queue_class(capacity)


def test_none_is_refused(queue_class):
    with pytest.raises(TypeError, match="None cannot be offered"):
        queue_class(4).offer(None)


def test_references_are_kept_inside_and_given_back(queue_class):
    element = object()
    alone = sys.getrefcount(element)
    queue = queue_class(2)
    queue.offer(element)
    queue.offer(element)
    assert not queue.offer(element)
    assert sys.getrefcount(element) == alone + 2
    assert queue.poll() is element
    assert sys.getrefcount(element) == alone + 1
    del queue
    assert sys.getrefcount(element) == alone


def test_drain_hands_over_in_order_up_to_the_limit(queue_class):
    queue = queue_class(8)
    for number in range(6):
        queue.offer(number)
    seen = []
    assert queue.drain(seen.append, 4) == 4
    assert queue.drain(seen.append) == 2
    assert seen == list(range(6))


def test_what_a_drain_handler_raises_comes_through_and_the_rest_stays(queue_class):
    queue = queue_class(8)
    queue.offer("bad")
    queue.offer("good")

    def fail(element):
        raise RuntimeError(element)

    with pytest.raises(RuntimeError, match="bad"):
        queue.drain(fail)
    assert queue.poll() == "good"


def test_a_handler_that_offers_does_not_keep_the_drain_going_for_ever(queue_class):
    queue = queue_class(4)
    queue.offer(1)
    assert queue.drain(lambda n: queue.offer(n + 1)) == queue.capacity


@pytest.mark.parametrize(
    ("kind", "producers_count", "consumers_count"),
    [("spsc", 1, 1), ("mpsc", 3, 1), ("mpmc", 3, 3), ("mpmc", 1, 1)],
)
@pytest.mark.parametrize("capacity", [2, 64])
def test_threads_lose_double_and_reorder_nothing(kind, producers_count, consumers_count, capacity):
    litmus = QueueLitmus(kind, capacity)
    each = 20_000
    total = each * producers_count
    disorders = []
    threads = [
        threading.Thread(target=litmus.produce, args=(producer, each))
        for producer in range(producers_count)
    ] + [
        threading.Thread(target=lambda: disorders.append(litmus.consume(total)))
        for _ in range(consumers_count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert disorders == [0] * consumers_count
    assert litmus.sequence_sum == producers_count * each * (each + 1) // 2


@pytest.fixture
def eager_thread_switches():
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(interval_s)


@pytest.mark.usefixtures("eager_thread_switches")
def test_python_threads_exchange_objects():
    queue = ManyToManyQueue(16)
    out = []
    each, producers_count = 500, 3

    def produce(name):
        for number in range(each):
            while not queue.offer((name, number)):
                pass

    def consume():
        while len(out) < each * producers_count:
            queue.drain(out.append)

    threads = [threading.Thread(target=produce, args=(n,)) for n in range(producers_count)]
    threads.append(threading.Thread(target=consume))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in range(producers_count):
        assert [number for who, number in out if who == name] == list(range(each))
