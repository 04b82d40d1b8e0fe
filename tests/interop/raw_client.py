"""A client that is nothing but commands in the ring and events of the broadcast."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from volans.memory import CopyBroadcastReceiver, CountersReader, ManyToOneRingBuffer
from volans.protocol import commands, events
from volans.protocol.cnc import CncFile


class RawClient:
    """Asks one driver, official or not; keeps every event it heard."""

    def __init__(self, directory: Path) -> None:
        self.cnc = CncFile.attach(directory, timeout_s=10)
        self.ring = ManyToOneRingBuffer(self.cnc.to_driver_buffer)
        self.receiver = CopyBroadcastReceiver(self.cnc.to_clients_buffer)
        self.counters = CountersReader(
            self.cnc.counters_metadata_buffer, self.cnc.counters_values_buffer
        )
        self.client_id = self.ring.next_correlation_id()
        self.heard: list[events.Event] = []

    def listen(self) -> None:
        """Take what was broadcast."""

        def take(msg_type_id: int, payload: memoryview) -> None:
            self.heard.append(events.decode_event(msg_type_id, bytes(payload)))

        while self.receiver.receive(take):
            pass

    def ask(self, kind: type[commands.Command], *arguments: object) -> Any:
        """A command; the event that answers it."""
        correlation_id = self.ring.next_correlation_id()
        command = kind(self.client_id, correlation_id, *arguments)
        assert self.ring.write(command.msg_type_id, command.encode())
        return self.await_event(
            lambda event: (
                correlation_id
                in (
                    getattr(event, "correlation_id", None),
                    getattr(event, "offending_correlation_id", None),
                )
            )
        )

    def await_event(self, is_wanted: Any, timeout_s: float = 20.0) -> Any:
        """The first event, old or new, that is wanted."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.listen()
            for event in self.heard:
                if is_wanted(event):
                    return event
            assert time.monotonic() < deadline, f"not heard in {timeout_s} s: {self.heard[-5:]}"
            time.sleep(0.001)

    def close(self) -> None:
        self.receiver.close() if hasattr(self.receiver, "close") else None
        self.cnc.close()
