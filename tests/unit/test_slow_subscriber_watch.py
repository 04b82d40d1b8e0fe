"""When a subscriber counts as slow, and when no more, under a chosen clock."""

from __future__ import annotations

import time

import pytest

import volans
from volans.driver.media_driver import MediaDriver
from volans.protocol.counter_types import CounterType

MS = 1_000_000
STREAM_ID = 10
TERM_LENGTH = 64 * 1024
WINDOW = TERM_LENGTH // 2
FRAME = 1024  # with its header of 32 bytes
MAX_NAMED = 64


class Stream:
    """An IPC stream of a driver whose monotonic time is the test's."""

    def __init__(self, threshold: str = "50ms", subscription_count: int = 1) -> None:
        self.now_ns = 1_000_000 * MS
        self.driver = MediaDriver.launch(
            threading_mode="INVOKER",
            slow_subscriber_threshold_ns=threshold,
            client_liveness_timeout_ns="60s",
            publication_unblock_timeout_ns="70s",
            clock_ns=lambda: self.now_ns,
        )
        self.client = volans.connect(
            self.driver.directory, use_conductor_invoker=True, client_name="watched"
        )
        channel = f"aeron:ipc?term-length={TERM_LENGTH}"
        client = self.client
        self.publication = self.wait_for(
            client.get_exclusive_publication,
            client.async_add_exclusive_publication(channel, STREAM_ID),
        )
        self.subscriptions = [
            self.wait_for(
                client.get_subscription, client.async_add_subscription(channel, STREAM_ID)
            )
            for _ in range(subscription_count)
        ]
        while not (self.publication.is_connected and self.subscriptions[-1].is_connected):
            self.step()

    def wait_for(self, get, registration_id: int):
        while (found := get(registration_id)) is None:
            self.step()
        return found

    def step(self, milliseconds: float = 0) -> None:
        """Let so much time go by in steps of a millisecond."""
        end_ns = self.now_ns + int(milliseconds * MS)
        while True:
            self.now_ns = min(self.now_ns + MS, end_ns)
            # The second cycle takes what the first one's scan has told.
            for _ in range(2):
                self.driver.do_work(self.now_ns, time.time_ns() // MS)
            self.client.invoke()
            if self.now_ns >= end_ns:
                return

    def publish(self, byte_count: int) -> None:
        for _ in range(byte_count // FRAME):
            offered = self.publication.offer(bytes(FRAME - 32))
            if offered == volans.OfferResult.ADMIN_ACTION:  # the next term begins
                offered = self.publication.offer(bytes(FRAME - 32))
            assert offered

    def read(self, byte_count: int) -> None:
        assert self.subscriptions[0].poll(lambda *_: None, byte_count // FRAME)

    @property
    def lags(self) -> list[int]:
        """Of those named as slow, in bytes."""
        counters = self.client.counters
        return [counters.value(id_) for id_ in counters.find_by_type(CounterType.SLOW_SUBSCRIBER)]

    def close(self) -> None:
        self.client.close()
        self.driver.close()


@pytest.fixture
def stream():
    """One subscriber, threshold 50 ms."""
    made = Stream()
    yield made
    made.close()


def test_half_a_window_is_allowed_for_any_time(stream):
    stream.publish(WINDOW // 2)
    stream.step(500)
    assert stream.lags == []


def test_more_is_allowed_for_the_threshold(stream):
    stream.publish(WINDOW // 2 + FRAME)
    stream.step(45)
    assert stream.lags == []
    stream.step(20)
    assert stream.lags == [WINDOW // 2 + FRAME]


def test_who_catches_up_within_the_threshold_is_not_named(stream):
    for _ in range(10):
        stream.publish(WINDOW // 2 + FRAME)
        stream.step(40)
        stream.read(WINDOW // 2 + FRAME)
        stream.step(20)
        assert stream.lags == []


def test_it_is_named_until_it_lags_less_than_a_quarter(stream):
    stream.publish(WINDOW // 2 + FRAME)
    stream.step(70)
    stream.read(WINDOW // 4)
    stream.step(200)
    assert len(stream.lags) == 1, "between a quarter and a half nothing changes"
    stream.read(FRAME)
    stream.step(20)
    assert stream.lags == []


def test_the_lag_is_told_anew_each_timer_interval(stream):
    stream.publish(WINDOW // 2 + FRAME)
    stream.step(70)
    stream.publish(FRAME * 4)
    stream.step(500)
    assert stream.lags == [WINDOW // 2 + FRAME]
    stream.step(600)
    assert stream.lags == [WINDOW // 2 + FRAME * 5]


def test_a_threshold_of_zero_names_nobody():
    stream = Stream("0")
    stream.publish(WINDOW)
    stream.step(500)
    assert stream.lags == []
    stream.close()


def test_so_many_are_named_and_the_rest_when_there_is_room_again():
    stream = Stream(subscription_count=MAX_NAMED + 6)
    stream.publish(WINDOW)
    stream.step(70)
    assert stream.lags == [WINDOW] * MAX_NAMED
    for subscription in stream.subscriptions[:10]:
        subscription.close()
    stream.step(100)
    assert stream.lags == [WINDOW] * (MAX_NAMED - 4)
    for subscription in stream.subscriptions:
        subscription.close()
    stream.step(100)
    assert stream.lags == []
    stream.close()
