"""Counters grouped by stream, and the backlogs that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from volans.cli.counter_rows import CounterRow
from volans.protocol.counter_types import STREAM_COUNTER_TYPES, CounterType


class StreamKey(NamedTuple):
    """What makes a stream in one driver."""

    session_id: int
    stream_id: int
    channel: str


Streams = dict[StreamKey, list[CounterRow]]

_ORDER: Final = {
    CounterType.PUBLISHER_POSITION: 0,
    CounterType.PUBLISHER_LIMIT: 1,
    CounterType.SENDER_POSITION: 2,
    CounterType.SENDER_LIMIT: 3,
    CounterType.SENDER_BPE: 4,
    CounterType.RECEIVER_HWM: 5,
    CounterType.RECEIVER_POSITION: 6,
    CounterType.SUBSCRIBER_POSITION: 7,
}


def group_by_stream(rows: Iterable[CounterRow]) -> Streams:
    """The counters of each stream, in the order a message passes them."""
    streams: Streams = {}
    for row in rows:
        if row.type_id not in STREAM_COUNTER_TYPES or row.channel is None:
            continue
        key = StreamKey(row.number("session_id") or 0, row.number("stream_id") or 0, row.channel)
        streams.setdefault(key, []).append(row)
    for counters in streams.values():
        counters.sort(key=lambda row: (_ORDER.get(CounterType(row.type_id), 9), row.id))
    return dict(sorted(streams.items(), key=lambda item: (item[0].stream_id, item[0])))


def stream_rows(streams: Streams) -> list[dict[str, Any]]:
    """One row a counter, for the table and for programs."""
    return [
        {
            **key._asdict(),
            "name": row.label.partition(":")[0],
            "counter_id": row.id,
            "registration_id": row.number("registration_id"),
            "value": row.value,
        }
        for key, counters in streams.items()
        for row in counters
    ]


def backlog_rows(streams: Streams) -> list[dict[str, Any]]:
    """How far behind each part of each stream is, in bytes.

    ``backlog_bytes``: what lies before it unhandled. ``window_bytes``: how far it may go on.
    A subscriber's backlog counts from the receiver's high-water mark, or from the publisher
    where there is no receiver (IPC and spies).
    """
    published = {
        (key.session_id, key.stream_id): value
        for key, counters in streams.items()
        if (value := _value(counters, CounterType.PUBLISHER_POSITION)) is not None
    }
    rows: list[dict[str, Any]] = []
    for key, counters in streams.items():
        publisher = _value(counters, CounterType.PUBLISHER_POSITION)
        received = _value(counters, CounterType.RECEIVER_HWM)
        newest = received
        if newest is None:
            newest = published.get((key.session_id, key.stream_id))
        for row in counters:
            match row.type_id:
                case CounterType.PUBLISHER_POSITION:
                    limit = _value(counters, CounterType.PUBLISHER_LIMIT)
                    backlog, window, part = None, _difference(limit, row.value), "publisher"
                case CounterType.SENDER_POSITION:
                    limit = _value(counters, CounterType.SENDER_LIMIT)
                    backlog, window = (
                        _difference(publisher, row.value),
                        _difference(limit, row.value),
                    )
                    part = "sender"
                case CounterType.RECEIVER_POSITION:
                    backlog, window, part = _difference(received, row.value), None, "receiver"
                case CounterType.SUBSCRIBER_POSITION:
                    backlog, window, part = _difference(newest, row.value), None, "subscriber"
                case _:
                    continue
            rows.append(
                {
                    **key._asdict(),
                    "part": part,
                    "registration_id": row.number("registration_id"),
                    "position": row.value,
                    "backlog_bytes": backlog,
                    "window_bytes": window,
                }
            )
    return rows


def _value(counters: Iterable[CounterRow], type_id: CounterType) -> int | None:
    values = [row.value for row in counters if row.type_id == type_id]
    return max(values) if values else None


def _difference(ahead: int | None, behind: int) -> int | None:
    # The counters are read one after the other while all move.
    return None if ahead is None else max(0, ahead - behind)
