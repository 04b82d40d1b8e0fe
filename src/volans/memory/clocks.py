"""Clocks: callables that return whole numbers, so that whoever needs the time can be given any."""

from __future__ import annotations

import time

_NS_PER_US = 1_000
_NS_PER_MS = 1_000_000


class SystemEpochClock:
    """Milliseconds since 1970-01-01 UTC, from the operating system. Threading: any thread."""

    def __call__(self) -> int:
        return time.time_ns() // _NS_PER_MS


class SystemEpochMicroClock:
    """Microseconds since 1970-01-01 UTC, from the operating system. Threading: any thread."""

    def __call__(self) -> int:
        return time.time_ns() // _NS_PER_US


class SystemEpochNanoClock:
    """Nanoseconds since 1970-01-01 UTC, from the operating system. Threading: any thread."""

    def __call__(self) -> int:
        return time.time_ns()


class SystemNanoClock:
    """Nanoseconds of the monotonic clock: for durations, never a date. Threading: any thread."""

    def __call__(self) -> int:
        return time.monotonic_ns()


class OffsetEpochNanoClock:
    """Nanoseconds since 1970 that never jump: the monotonic clock plus a sampled offset.

    Call `sample` now and then to follow corrections of the system's date.

    Threading: one thread samples; any may read.
    """

    def __init__(
        self,
        epoch_ns: SystemEpochNanoClock | None = None,
        nano_clock: SystemNanoClock | None = None,
    ) -> None:
        self._epoch_ns = epoch_ns or SystemEpochNanoClock()
        self._nano_clock = nano_clock or SystemNanoClock()
        self.offset_ns = 0
        self.sample()

    def sample(self, attempts_count: int = 20) -> None:
        """Take the offset from the closest of `attempts_count` paired readings."""
        best_width_ns: int | None = None
        for _ in range(max(1, attempts_count)):
            before_ns = self._nano_clock()
            epoch_ns = self._epoch_ns()
            width_ns = self._nano_clock() - before_ns
            if best_width_ns is None or width_ns < best_width_ns:
                best_width_ns = width_ns
                self.offset_ns = epoch_ns - (before_ns + width_ns // 2)

    def __call__(self) -> int:
        return self._nano_clock() + self.offset_ns


class _CachedClock:
    """A time that its owner's duty cycle sets and others read."""

    def __init__(self, time: int = 0) -> None:
        self._time = time

    def __call__(self) -> int:
        return self._time

    def update(self, time: int) -> None:
        """Set the time."""
        self._time = time

    def advance(self, delta: int) -> None:
        """Add `delta` to the time; for the owner only."""
        self._time += delta


class CachedEpochClock(_CachedClock):
    """Milliseconds since 1970. Threading: its owner updates it, any thread reads."""


class CachedNanoClock(_CachedClock):
    """Monotonic nanoseconds. Threading: its owner updates it, any thread reads."""


class ManualClock:
    """Virtual time for simulations: nanoseconds that pass only by `advance`.

    Calling it gives the monotonic nanoseconds; `epoch_ms` is the same instant as a date, so
    both kinds of time move together. Values are exact: nothing is lost in rounding.

    Threading: one thread advances it; any may read.
    """

    def __init__(self, now_ns: int = 0, epoch_at_zero_ms: int = 0) -> None:
        self._now_ns = now_ns
        self._epoch_at_zero_ms = epoch_at_zero_ms

    def __call__(self) -> int:
        return self._now_ns

    def epoch_ms(self) -> int:
        """Milliseconds since 1970 at this instant; pass it wherever an epoch clock is asked."""
        return self._epoch_at_zero_ms + self._now_ns // _NS_PER_MS

    def advance(self, delta_ns: int) -> int:
        """Let `delta_ns` pass and return the new time; raises ValueError for a negative step."""
        if delta_ns < 0:
            raise ValueError(f"delta_ns={delta_ns} is negative: time only advances")
        self._now_ns += delta_ns
        return self._now_ns

    def advance_to(self, now_ns: int) -> int:
        """Let time pass until `now_ns`, which must not be in the past."""
        return self.advance(now_ns - self._now_ns)
