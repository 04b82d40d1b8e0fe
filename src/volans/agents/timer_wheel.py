"""A timer wheel: scheduling and cancelling cost the same however many timers there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

# Held by a timer's slot while its handler runs, so that no new timer takes it.
_EXPIRING = object()


class DeadlineTimerWheel:
    """Timers ordered to the tick, for one thread; time is always an argument.

    Times are in any one unit (nanoseconds, say). `tick_resolution` is the length of a tick and
    `ticks_per_wheel` the number of spokes; both are powers of two. A timer goes off at the first
    `poll` that reaches its tick at or after its deadline; within a tick the order is that of the
    slots. Ids are used again once a timer is gone.
    """

    def __init__(self, start_time: int, tick_resolution: int, ticks_per_wheel: int) -> None:
        for name, value in (
            ("tick_resolution", tick_resolution),
            ("ticks_per_wheel", ticks_per_wheel),
        ):
            if value < 1 or value & (value - 1):
                raise ValueError(f"{name}={value} is not a power of two: choose the next one")
        self.start_time = start_time
        self.tick_resolution = tick_resolution
        self.ticks_per_wheel = ticks_per_wheel
        self._resolution_bits = tick_resolution.bit_length() - 1
        self._spoke_mask = ticks_per_wheel - 1
        self._spokes: list[list[object]] = [[] for _ in range(ticks_per_wheel)]
        self._timer_count = 0
        self._current_tick = 0
        self._poll_slot = 0
        self._scheduled_for_current_tick = False

    @property
    def timer_count(self) -> int:
        """How many timers are scheduled."""
        return self._timer_count

    @property
    def current_tick_time(self) -> int:
        """The time at which the current tick ends; polling at or after it moves to the next."""
        return self.start_time + ((self._current_tick + 1) << self._resolution_bits)

    def advance_to(self, now: int) -> None:
        """Skip the ticks before `now` without polling them, as after a long pause.

        Timers on skipped spokes go off when the wheel comes round to them again.
        """
        self._current_tick = max(
            self._current_tick, (now - self.start_time) >> self._resolution_bits
        )
        self._poll_slot = 0

    def reset_start_time(self, start_time: int) -> None:
        """Begin again at `start_time`; raises RuntimeError while timers are scheduled."""
        if self._timer_count:
            raise RuntimeError(
                f"{self._timer_count} timers are scheduled: clear() before a new start time"
            )
        self.start_time = start_time
        self._current_tick = 0
        self._poll_slot = 0

    def schedule(self, deadline: int) -> int:
        """Add a timer that goes off at `deadline` or soon after; its id."""
        tick = max((deadline - self.start_time) >> self._resolution_bits, self._current_tick)
        self._scheduled_for_current_tick |= tick == self._current_tick
        spoke_index = tick & self._spoke_mask
        spoke = self._spokes[spoke_index]
        for slot, occupant in enumerate(spoke):
            if occupant is None:
                spoke[slot] = deadline
                break
        else:
            slot = len(spoke)
            spoke.append(deadline)
        self._timer_count += 1
        return spoke_index << 32 | slot

    def cancel(self, timer_id: int) -> bool:
        """Remove a timer; False when there is none of that id (any more)."""
        if self.deadline(timer_id) is None:
            return False
        self._spokes[timer_id >> 32][timer_id & 0xFFFFFFFF] = None
        self._timer_count -= 1
        return True

    def deadline(self, timer_id: int) -> int | None:
        """The deadline of a timer, None when there is none of that id (any more)."""
        spoke_index = timer_id >> 32
        slot = timer_id & 0xFFFFFFFF
        if not 0 <= spoke_index < self.ticks_per_wheel or slot >= len(self._spokes[spoke_index]):
            return None
        occupant = self._spokes[spoke_index][slot]
        return occupant if isinstance(occupant, int) else None

    def poll(self, now: int, handler: Callable[[int, int], object], limit: int = 1 << 30) -> int:
        """Let timers of the current tick go off and move on by at most one tick.

        Calls `handler(now, timer_id)` for each, at most `limit`; a handler that returns False
        (not None) keeps its timer and ends this poll. Poll again while `current_tick_time` is
        not after `now` to catch up. Returns how many timers went off.
        """
        expired_count = 0
        spoke_index = self._current_tick & self._spoke_mask
        spoke = self._spokes[spoke_index]
        self._scheduled_for_current_tick = False
        # Not past what there was at the beginning: a handler may add timers for ever.
        slot_count = len(spoke)
        for _ in range(slot_count):
            if expired_count >= limit:
                break
            slot = self._poll_slot = self._poll_slot % slot_count
            occupant = spoke[slot]
            if isinstance(occupant, int) and now >= occupant:
                if not self._expire(now, handler, spoke_index, slot):
                    return expired_count
                expired_count += 1
            self._poll_slot += 1
        if expired_count < limit and now >= self.current_tick_time:
            self._poll_slot = 0
            # What a handler put into a slot already passed is due as well: once more round.
            if not self._scheduled_for_current_tick:
                self._current_tick += 1
        return expired_count

    def _expire(
        self, now: int, handler: Callable[[int, int], object], spoke_index: int, slot: int
    ) -> bool:
        spoke = self._spokes[spoke_index]
        deadline = spoke[slot]
        spoke[slot] = _EXPIRING
        self._timer_count -= 1
        keep = False
        try:
            keep = handler(now, spoke_index << 32 | slot) is False
        finally:
            if spoke[slot] is _EXPIRING:
                spoke[slot] = deadline if keep else None
                self._timer_count += keep
        return not keep

    def clear(self) -> None:
        """Forget all timers."""
        for spoke in self._spokes:
            spoke[:] = [None] * len(spoke)  # in place: a poll may be on its way over them
        self._timer_count = 0
        self._poll_slot = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The (deadline, timer id) of every scheduled timer."""
        for spoke_index, spoke in enumerate(self._spokes):
            for slot, occupant in enumerate(spoke):
                if isinstance(occupant, int):
                    yield occupant, spoke_index << 32 | slot
