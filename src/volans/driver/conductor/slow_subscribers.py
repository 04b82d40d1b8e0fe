"""Slow subscribers by name: a counter for each while it holds up, or is about to, its stream.

The counter's value is the lag in bytes; its label names the subscription, the stream and the
client, so that whoever looks at the counters sees who is to blame for back pressure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from volans.protocol.counter_types import (
    SLOW_SUBSCRIBER_NAME,
    CounterType,
    describe,
    stream_counter_label,
)

if TYPE_CHECKING:
    from volans.driver.agent_messages import SlowSubscriber
    from volans.driver.conductor.context import ConductorContext

_CLIENT_NAME = re.compile(r" name=(.*) version=")
_CLIENT_PID = re.compile(r" pid=([0-9]+)(?: pidns=[0-9]+)?\Z")


class SlowSubscribers:
    """The counters of the subscribers that are slow now."""

    def __init__(self, context: ConductorContext) -> None:
        self._context = context
        self._counter_ids: dict[int, int] = {}  # by id of the subscriber position counter

    def __len__(self) -> int:
        return len(self._counter_ids)

    def on_report(self, report: SlowSubscriber) -> None:
        """A subscriber lags so far, or (None) does no more."""
        counters = self._context.counters
        position_id = report.position_counter_id
        if report.lag_bytes is None:
            counter_id = self._counter_ids.pop(position_id, None)
            if counter_id is not None:
                counters.free(counter_id)
            return
        if not self._is_of_stream(position_id, report.stream_registration_id):
            return  # it has left meanwhile
        # Made anew each time: a client tells its name only some time after its first command.
        label = self._label(position_id)
        counter_id = self._counter_ids.get(position_id)
        if counter_id is None:
            counter_id = self._counter_ids[position_id] = counters.allocate(
                CounterType.SLOW_SUBSCRIBER,
                counters.key(position_id),
                label,
                registration_id=counters.registration_id(position_id),
                owner_id=counters.owner_id(position_id),
                reference_id=report.stream_registration_id,
            )
        elif counters.label(counter_id) != label:
            counters.set_label(counter_id, label)
        counters.set_value(counter_id, report.lag_bytes)

    def _is_of_stream(self, position_id: int, stream_registration_id: int) -> bool:
        counters = self._context.counters
        return (
            counters.is_allocated(position_id)
            and counters.type_id(position_id) == CounterType.SUBSCRIBER_POSITION
            and counters.reference_id(position_id) == stream_registration_id
        )

    def _label(self, position_id: int) -> str:
        counters = self._context.counters
        stream = describe(CounterType.SUBSCRIBER_POSITION, counters.key(position_id))
        client_id = counters.owner_id(position_id)
        return stream_counter_label(
            SLOW_SUBSCRIBER_NAME,
            int(stream["registration_id"]),
            int(stream["session_id"]),
            int(stream["stream_id"]),
            str(stream["channel"]),
            f" client={client_id}{self._words_about(client_id)}",
        )

    def _words_about(self, client_id: int) -> str:
        """Name and process, as far as the client has told them in its heartbeat counter."""
        counters = self._context.counters
        heartbeat_id = counters.find(CounterType.CLIENT_HEARTBEAT, client_id)
        if heartbeat_id is None:
            return ""
        label = counters.label(heartbeat_id)
        name, pid = _CLIENT_NAME.search(label), _CLIENT_PID.search(label)
        return (f" name={name[1]}" if name and name[1] else "") + (f" pid={pid[1]}" if pid else "")
