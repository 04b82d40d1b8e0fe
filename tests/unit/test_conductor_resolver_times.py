"""The driver counts how long names take, by the clock it is given."""

from __future__ import annotations

import pytest
from conductor_kit import UDP, Asker, c, driver

from volans.driver.naming.address import SocketAddress
from volans.driver.naming.timed import TimedResolver
from volans.protocol.counter_types import SystemCounter

__all__ = ["driver"]


class SlowResolver:
    """Takes the time it is told on the clock of the test."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.durations_ns: list[int] = []

    def resolve(self, name, parameter="endpoint", is_re_resolution=False):
        self.now_ns += self.durations_ns.pop(0)
        if name == "nowhere:1":
            raise LookupError(name)
        return SocketAddress.from_sockaddr(b"\x02\x00\x00\x01\x7f\x00\x00\x01" + bytes(8))


def test_the_longest_look_up_and_the_stalls_are_counted():
    slow = SlowResolver()
    longest, stalls = [], []
    timed = TimedResolver(
        slow, lambda: slow.now_ns, 100, on_longest=longest.append, on_stall=lambda: stalls.append(1)
    )
    slow.durations_ns = [40, 30, 100, 250, 101]
    for _ in range(3):
        timed.resolve("somewhere:1")
    assert (sum(longest), len(stalls)) == (100, 0)
    with pytest.raises(LookupError):
        timed.resolve("nowhere:1")
    timed.resolve("somewhere:1")
    assert (sum(longest), len(stalls)) == (250, 2)


def test_a_driver_measures_by_its_own_clock(driver):
    resolver = driver.driver._conductor._context.resolver
    inner = resolver._resolver

    class Slow:
        def resolve(self, *arguments):
            driver.now_ms += 6000
            return inner.resolve(*arguments)

        def __getattr__(self, name):
            return getattr(inner, name)

    resolver._resolver = Slow()
    Asker(driver).ask(c.AddSubscription, 7, UDP)
    assert driver.counters.value(SystemCounter.NAME_RESOLVER_MAX_TIME) == 6_000_000_000
    assert driver.counters.value(SystemCounter.NAME_RESOLVER_TIME_THRESHOLD_EXCEEDED) == 1
