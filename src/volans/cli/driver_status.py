"""The status line of a running driver, from its counters."""

from __future__ import annotations

from collections.abc import Callable

from volans.cli.counter_rows import CounterRow, read_rows, value_of_system_counter
from volans.cli.output import format_bytes
from volans.memory import CountersReader
from volans.protocol.counter_types import CounterType, SystemCounter


class StatusLine:
    """Tells how a driver is doing; traffic since the last look."""

    def __init__(
        self, counters: CountersReader, directory: str, clock_ns: Callable[[], int]
    ) -> None:
        self._counters = counters
        self._directory = directory
        self._clock_ns = clock_ns
        self._start_ns = clock_ns()
        self._looked_ns = self._start_ns
        self._sent_bytes = 0
        self._received_bytes = 0

    def text(self) -> str:
        """The line as it is now."""
        rows = read_rows(self._counters)
        now_ns = self._clock_ns()
        elapsed_s = (now_ns - self._looked_ns) / 1e9
        sent = value_of_system_counter(rows, SystemCounter.BYTES_SENT)
        received = value_of_system_counter(rows, SystemCounter.BYTES_RECEIVED)
        out = format_bytes((sent - self._sent_bytes) / elapsed_s if elapsed_s else 0)
        into = format_bytes((received - self._received_bytes) / elapsed_s if elapsed_s else 0)
        self._looked_ns, self._sent_bytes, self._received_bytes = now_ns, sent, received
        slow_count = _count(rows, CounterType.SLOW_SUBSCRIBER)
        slow = f"  slow subscribers {slow_count}" if slow_count else ""
        errors = value_of_system_counter(rows, SystemCounter.ERRORS)
        return (
            f"{self._directory}  up {_duration(now_ns - self._start_ns)}  "
            f"clients {_count(rows, CounterType.CLIENT_HEARTBEAT)}  "
            f"publications {_count(rows, CounterType.PUBLISHER_LIMIT)}  "
            f"subscriber positions {_count(rows, CounterType.SUBSCRIBER_POSITION)}  "
            f"out {out}/s  in {into}/s  errors {errors}{slow}"
        )


def _count(rows: list[CounterRow], type_id: CounterType) -> int:
    return sum(1 for row in rows if row.type_id == type_id)


def _duration(duration_ns: int) -> str:
    seconds = duration_ns // 1_000_000_000
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
