"""The oracle: what was published, what was delivered, and whether the two agree.

A message is known by the stream position behind it, so nothing has to be written into the
messages themselves and a single byte can be checked as strictly as a long message.
"""

from __future__ import annotations

from bisect import bisect_left
from random import Random
from typing import Any

HEADER_LENGTH = 32
FRAME_ALIGNMENT = 32
POOL_LENGTH = 1 << 17

_pool = Random("volans-simulation payloads").randbytes(POOL_LENGTH)


def payload_of(number: int, length: int) -> bytes:
    """Payload of a message: any piece of one fixed random text, chosen by its number."""
    start = (number * 7919) % (POOL_LENGTH - length)
    return _pool[start : start + length]


def framed_length(length: int, max_payload_length: int) -> int:
    """Bytes of the log that a message of ``length`` takes."""
    whole, rest = divmod(length, max_payload_length)
    total = whole * (max_payload_length + HEADER_LENGTH)
    if rest or not length:
        total += -(-(rest + HEADER_LENGTH) // FRAME_ALIGNMENT) * FRAME_ALIGNMENT
    return total


class SimulationError(AssertionError):
    """The system under simulation broke one of its promises.

    Attribute: ``trace``, the lines of the trace when they were kept.
    """

    trace: tuple[str, ...] = ()


class Ledger:
    """All messages of one session of one stream, in order."""

    def __init__(self, name: str, max_payload_length: int) -> None:
        self.name = name
        self.max_payload_length = max_payload_length
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.payloads: list[bytes] = []
        self.numbers: list[int] = []
        self.users: set[Any] = set()
        self.bytes = 0
        self.abort_count = 0

    def publish(self, number: int, payload: bytes, end_position: int) -> None:
        """A message was accepted."""
        if self.ends and end_position <= self.ends[-1]:
            raise SimulationError(
                f"{self.name}: position {end_position} after a message at {self.ends[-1]}"
            )
        self.starts.append(end_position - framed_length(len(payload), self.max_payload_length))
        self.ends.append(end_position)
        self.payloads.append(payload)
        self.numbers.append(number)
        self.bytes += len(payload)

    @property
    def end_position(self) -> int:
        """Behind the last message."""
        return self.ends[-1] if self.ends else 0


class Cursor:
    """One image of one subscriber: which message of a ledger has to come next."""

    def __init__(self, name: str, image: Any, is_reliable: bool, now_ns: int) -> None:
        self.name = name
        self.image = image
        self.session_id: int = image.session_id
        self.join_position: int = image.join_position
        self.is_reliable = is_reliable
        self.joined_ns = now_ns
        self.ledger: Ledger | None = None
        self.index = -1
        self.delivered_count = 0
        self.skipped_count = 0
        self.was_closed = False  # by the subscriber's own application

    def attach(self, ledger: Ledger) -> None:
        """Learn what should come."""
        self.ledger = ledger
        self.index = bisect_left(ledger.starts, self.join_position)

    def deliver(self, payload: bytes, position: int, reserved_value: int) -> None:
        """A message arrived. Raises SimulationError when it is not the right one."""
        ledger = self.ledger
        if ledger is None:
            raise SimulationError(f"{self.name}: a message of a session nobody publishes")
        at = bisect_left(ledger.ends, position)
        if at == len(ledger.ends) or ledger.ends[at] != position:
            raise SimulationError(f"{self.name}: position {position} ends no message")
        expected = bisect_left(ledger.starts, self.join_position) if self.index < 0 else self.index
        if at < expected:
            raise SimulationError(
                f"{self.name}: message {at} (position {position}) again or out of order, "
                f"{expected} comes next"
            )
        if at > expected:
            if self.is_reliable:
                raise SimulationError(
                    f"{self.name}: message {at} (position {position}) where {expected} comes next"
                )
            self.skipped_count += at - expected
        if payload != ledger.payloads[at]:
            raise SimulationError(
                f"{self.name}: message {at} (position {position}, {len(payload)} bytes) is not "
                f"what was published ({len(ledger.payloads[at])} bytes)"
            )
        if reserved_value != ledger.numbers[at]:
            raise SimulationError(
                f"{self.name}: message {at} has reserved value {reserved_value}, "
                f"not {ledger.numbers[at]}"
            )
        self.index = at + 1
        self.delivered_count += 1

    @property
    def missing_count(self) -> int:
        """Messages published and not delivered, none for a stream that may lose."""
        if self.ledger is None or not self.is_reliable:
            return 0
        expected = (
            bisect_left(self.ledger.starts, self.join_position) if self.index < 0 else self.index
        )
        return len(self.ledger.ends) - expected
