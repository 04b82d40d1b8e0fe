"""How calls that wait pass the time: give the core away first, then sleep longer and longer."""

from __future__ import annotations

from collections.abc import Callable

_YIELD_COUNT = 20
_FIRST_SLEEP_S = 0.00005
_LONGEST_SLEEP_S = 0.001


class Waiter:
    """One bounded wait. ``work`` is done at each step (the client's own, in invoker mode)."""

    __slots__ = ("_deadline_ns", "_nano_clock", "_sleep", "_sleep_s", "_work", "_yields")

    def __init__(
        self,
        timeout_s: float | None,
        nano_clock: Callable[[], int],
        sleep: Callable[[float], object],
        work: Callable[[], int] | None,
    ) -> None:
        self._nano_clock = nano_clock
        self._sleep = sleep
        self._work = work
        self._yields = 0
        self._sleep_s = _FIRST_SLEEP_S
        self._deadline_ns = None if timeout_s is None else nano_clock() + int(timeout_s * 1e9)

    def idle(self) -> bool:
        """Wait a moment; False when the time is over."""
        if self._deadline_ns is not None and self._nano_clock() >= self._deadline_ns:
            return False
        if self._work is not None and self._work() > 0:
            return True
        if self._yields < _YIELD_COUNT:
            self._yields += 1
            self._sleep(0.0)
        else:
            self._sleep(self._sleep_s)
            self._sleep_s = min(self._sleep_s * 2, _LONGEST_SLEEP_S)
        return True
