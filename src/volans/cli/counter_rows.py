"""Counters as rows, and the filters that choose among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import typer

from volans.memory import CountersReader
from volans.protocol.counter_types import CounterType, describe

_NAMES: Final = {
    "pub-lmt": CounterType.PUBLISHER_LIMIT,
    "snd-pos": CounterType.SENDER_POSITION,
    "rcv-hwm": CounterType.RECEIVER_HWM,
    "sub-pos": CounterType.SUBSCRIBER_POSITION,
    "rcv-pos": CounterType.RECEIVER_POSITION,
    "snd-channel": CounterType.SEND_CHANNEL_STATUS,
    "rcv-channel": CounterType.RECEIVE_CHANNEL_STATUS,
    "snd-lmt": CounterType.SENDER_LIMIT,
    "client-heartbeat": CounterType.CLIENT_HEARTBEAT,
    "pub-pos": CounterType.PUBLISHER_POSITION,
    "snd-bpe": CounterType.SENDER_BPE,
    "local-sockaddr": CounterType.LOCAL_SOCKADDR,
    "fc-receivers": CounterType.FLOW_CONTROL_RECEIVERS,
    "mdc-num-dest": CounterType.MDC_DESTINATIONS,
    "snd-naks-received": CounterType.SENDER_NAKS_RECEIVED,
    "rcv-naks-sent": CounterType.RECEIVER_NAKS_SENT,
    "slow-subscriber": CounterType.SLOW_SUBSCRIBER,
}
_SHORT_NAMES: Final = {type_id: name for name, type_id in _NAMES.items()}


def type_name(type_id: int) -> str:
    """The short name of a counter type, as labels begin with it; else its number."""
    short = _SHORT_NAMES.get(CounterType(type_id)) if type_id in set(CounterType) else None
    if short is not None:
        return short
    try:
        return CounterType(type_id).name.lower().replace("_", "-")
    except ValueError:
        return str(type_id)


def read_type(text: str) -> int:
    """A counter type from its number, its short name (``sub-pos``) or its long name."""
    if text.strip().isdecimal() and len(text) < 11:
        return int(text)
    name = text.strip().lower().replace("_", "-")
    if name in _NAMES:
        return int(_NAMES[name])
    for member in CounterType:
        if member.name.lower().replace("_", "-") == name:
            return int(member)
    known = ", ".join(type_name(member) for member in CounterType)
    raise typer.BadParameter(f"{text!r} is no counter type: give a number or one of {known}")


@dataclass(frozen=True, slots=True)
class CounterRow:
    """One counter with the fields of its key."""

    id: int
    type_id: int
    value: int
    label: str
    registration_id: int
    owner_id: int
    reference_id: int
    fields: dict[str, int | str] = field(default_factory=dict)

    @property
    def type_name(self) -> str:
        """The short name of its type."""
        return type_name(self.type_id)

    def number(self, name: str) -> int | None:
        """A number of the key, None when the type has none of this name."""
        value = self.fields.get(name)
        return value if isinstance(value, int) else None

    @property
    def channel(self) -> str | None:
        """The channel (as far as it fits the key), None when the type has none."""
        value = self.fields.get("channel")
        return value if isinstance(value, str) else None

    def as_json(self) -> dict[str, Any]:
        """All there is, for programs."""
        return {
            "id": self.id,
            "type_id": self.type_id,
            "type": self.type_name,
            "value": self.value,
            "label": self.label,
            "counter_registration_id": self.registration_id,
            "owner_id": self.owner_id,
            "reference_id": self.reference_id,
            **self.fields,
        }


@dataclass(frozen=True, slots=True)
class CounterFilter:
    """What is wanted: within a field any of the values, and every field that has values.

    ``identities`` are registration ids, of the stream or the counter, or client ids;
    ``channels`` are parts of channels. Counters without a field do not pass its filter.
    """

    types: frozenset[int] = frozenset()
    identities: frozenset[int] = frozenset()
    sessions: frozenset[int] = frozenset()
    streams: frozenset[int] = frozenset()
    channels: tuple[str, ...] = ()
    non_zero: bool = False

    @classmethod
    def of_streams(
        cls,
        sessions: Iterable[int] | None,
        streams: Iterable[int] | None,
        channels: Iterable[str] | None,
    ) -> CounterFilter:
        """The filter of commands that show streams."""
        return cls(
            sessions=frozenset(sessions or ()),
            streams=frozenset(streams or ()),
            channels=tuple(channels or ()),
        )

    def matches(self, row: CounterRow) -> bool:
        """Whether a counter passes."""
        if self.non_zero and row.value == 0:
            return False
        if self.types and row.type_id not in self.types:
            return False
        if self.identities and self.identities.isdisjoint(_identities(row)):
            return False
        if self.sessions and row.number("session_id") not in self.sessions:
            return False
        if self.streams and row.number("stream_id") not in self.streams:
            return False
        if self.channels:
            channel = row.channel
            return channel is not None and any(part in channel for part in self.channels)
        return True


def _identities(row: CounterRow) -> Iterator[int]:
    for name in ("registration_id", "client_id"):
        number = row.number(name)
        if number is not None:
            yield number
    if row.registration_id != 0:
        yield row.registration_id


def read_rows(
    counters: CountersReader, wanted: CounterFilter = CounterFilter()
) -> list[CounterRow]:
    """The allocated counters that pass, by id."""
    rows = []
    for counter in counters:
        row = CounterRow(
            counter.id,
            counter.type_id,
            counter.value,
            counter.label.rstrip("\0"),
            counter.registration_id,
            counter.owner_id,
            counter.reference_id,
            describe(counter.type_id, counter.key),
        )
        if wanted.matches(row):
            rows.append(row)
    return rows


def value_of_system_counter(rows: Iterable[CounterRow], counter_id: int) -> int:
    """The value of a system counter, 0 when it is not there."""
    for row in rows:
        if row.type_id == CounterType.SYSTEM and row.id == counter_id:
            return row.value
    return 0
