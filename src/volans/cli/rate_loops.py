"""The loops behind ``volans rate``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from volans.cli.failures import CommandFailedError
from volans.cli.marks import Mark, mark_of, pack, reserved_value_of, unpack
from volans.cli.session import Patience

_REPORT_INTERVAL_NS: Final = 1_000_000_000
_NS_PER_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class RateReport:
    """Messages and payload bytes that went in some time."""

    messages: int
    total_bytes: int
    elapsed_ns: int

    def as_json(self) -> dict[str, Any]:
        """With the rates."""
        seconds = max(self.elapsed_ns, 1) / _NS_PER_S
        return {
            "messages": self.messages,
            "bytes": self.total_bytes,
            "seconds": seconds,
            "messages_per_second": self.messages / seconds,
            "bytes_per_second": self.total_bytes / seconds,
        }


def publish_at_full_rate(
    publication: Any,
    idle: Any,
    length: int,
    count: int,
    duration_s: float,
    batch: int,
    timeout_s: float,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> RateReport:
    """Publish ``count`` messages, or (0) for ``duration_s``, then tell how many they were."""
    zeros = memoryview(bytes(batch * length))
    block = zeros.cast("B", (batch, length))
    patience = Patience(timeout_s, lambda: f"nobody takes messages from {publication.channel}")
    sent = 0
    start_ns = clock_ns()
    end_ns = None if count else start_ns + int(duration_s * _NS_PER_S)
    while not count or sent < count:
        if count and count - sent < batch:
            left = count - sent
            block = zeros[: left * length].cast("B", (left, length))
        accepted = publication.offer_batch(block)
        sent += accepted
        idle.idle(accepted)
        patience.saw(accepted)
        if end_ns is not None and clock_ns() >= end_ns:
            break
    report = RateReport(sent, sent * length, clock_ns() - start_ns)
    end = pack({"messages": sent, "bytes": sent * length})
    publication.publish(end, timeout_s, reserved_value_of(Mark.RATE_END))
    return report


def receive_at_full_rate(
    subscription: Any,
    idle: Any,
    batch: int,
    timeout_s: float,
    report: Callable[[RateReport], None],
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> RateReport:
    """Take messages until the end is told; ``report`` gets the last second's rate each second.

    Raises CommandFailedError when the publisher goes before, or messages are missing.
    """
    sessions: dict[int, _Received] = {}
    ended: _Received | None = None
    received = total_bytes = reported = reported_bytes = 0
    patience = Patience(timeout_s, lambda: f"{received} messages came, but not the end")
    reported_ns = clock_ns()
    while ended is None:
        messages = subscription.poll_batch(batch)
        count = len(messages)
        now_ns = clock_ns()
        if count:
            session_id = messages.image.session_id
            session = sessions.get(session_id)
            if session is None:
                session = sessions[session_id] = _Received(now_ns)
            before_bytes = session.total_bytes
            if session.add(messages):
                ended = session
            received += count
            total_bytes += session.total_bytes - before_bytes
        idle.idle(count)
        patience.saw(count)
        if now_ns - reported_ns >= _REPORT_INTERVAL_NS:
            if received > reported:
                step_ns = now_ns - reported_ns
                report(RateReport(received - reported, total_bytes - reported_bytes, step_ns))
            reported, reported_bytes, reported_ns = received, total_bytes, now_ns
    return ended.finish(clock_ns())


class _Received:
    """What has come of one session."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._told: dict[str, Any] = {}
        self.count = 0
        self.total_bytes = 0

    def add(self, messages: Any) -> bool:
        """Count a batch; whether the session's end was in it."""
        count = len(messages)
        size = messages.equal_size
        added = size * count if size is not None else sum(len(message) for message in messages)
        is_end = mark_of(messages.header(count - 1).reserved_value) is Mark.RATE_END
        if is_end:
            last = bytes(messages[count - 1])
            self._told = unpack(last) or {}
            added -= len(last)
            count -= 1
        self.count += count
        self.total_bytes += added
        return is_end

    def finish(self, now_ns: int) -> RateReport:
        """The whole. Raises CommandFailedError when something is missing."""
        sent, sent_bytes = self._told.get("messages"), self._told.get("bytes")
        if sent != self.count or sent_bytes != self.total_bytes:
            raise CommandFailedError(
                f"{self.count} messages of {self.total_bytes} bytes received, but {sent} of "
                f"{sent_bytes} sent: the subscriber must be there from the beginning"
            )
        return RateReport(self.count, self.total_bytes, now_ns - self._start_ns)
