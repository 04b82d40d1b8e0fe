"""Session ids: a random start, counting on, reserved and used ones skipped (FEATURES.md section 3,
row 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

INT32_SPAN = 1 << 32


class SessionIds:
    """Allocates session ids.

    Args:
        start: any integer; taken modulo 2**32.
        reserved_low, reserved_high: inclusive range never given out.
    """

    def __init__(self, start: int, reserved_low: int, reserved_high: int) -> None:
        self._next = _wrap(start)
        self._reserved_low = reserved_low
        self._reserved_high = reserved_high

    def next(self, used: Container[int]) -> int:
        """A session id that is not in `used`."""
        while True:
            if self._reserved_low <= self._next <= self._reserved_high:
                self._next = _wrap(self._reserved_high + 1)
            candidate = self._next
            self._next = _wrap(self._next + 1)
            if candidate not in used:
                return candidate


def _wrap(value: int) -> int:
    return ((value + (1 << 31)) % INT32_SPAN) - (1 << 31)
