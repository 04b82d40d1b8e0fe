"""Clients: their heartbeat counters, what they own, and what happens when they fall silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from volans.driver.conductor.errors import CommandRefusedError
from volans.protocol import commands as c
from volans.protocol.counter_types import (
    CounterType,
    SystemCounter,
    client_heartbeat_key,
    client_heartbeat_label,
)
from volans.protocol.error_codes import ErrorCode
from volans.protocol.events import ClientTimeout, CounterReady, UnavailableCounter

if TYPE_CHECKING:
    from volans.driver.conductor.client_processes import WatchedProcess
    from volans.driver.conductor.context import ConductorContext

NANOSECONDS_PER_MILLISECOND = 1_000_000
# Their correlation id becomes the registration id of what they add.
ADDING_COMMANDS = (c.AddPublication, c.AddSubscription, c.AddCounter)


class Owned(Protocol):
    """Something a client holds and the driver releases when the client goes."""

    registration_id: int

    def release(self) -> None: ...


class DriverClient:
    """One connected client."""

    def __init__(self, client_id: int, heartbeat_counter_id: int) -> None:
        self.client_id = client_id
        self.heartbeat_counter_id = heartbeat_counter_id
        self.owned: dict[int, Owned] = {}  # by registration id
        self.closed_by_application = False
        self.process: WatchedProcess | None = None


class Clients:
    """All clients of the driver."""

    def __init__(self, context: ConductorContext) -> None:
        self._context = context
        self._clients: dict[int, DriverClient] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def get(self, client_id: int) -> DriverClient | None:
        return self._clients.get(client_id)

    def get_or_add(self, client_id: int) -> DriverClient:
        """The client; its first command that adds something makes it known (PROTOCOL.md section
        7.2).
        """
        client = self._clients.get(client_id)
        if client is None:
            counters = self._context.counters
            counter_id = counters.allocate(
                CounterType.CLIENT_HEARTBEAT,
                client_heartbeat_key(client_id),
                client_heartbeat_label(client_id),
                registration_id=client_id,
                owner_id=client_id,
            )
            counters.set_value(counter_id, self._context.now_ms)
            client = self._clients[client_id] = DriverClient(client_id, counter_id)
            self._context.events.send(CounterReady(client_id, counter_id))
        return client

    def check_id_is_new(self, command: c.Command) -> None:
        """Two things of one registration id would replace each other, and one would never go."""
        if isinstance(command, ADDING_COMMANDS) and any(
            command.correlation_id in client.owned for client in self._clients.values()
        ):
            raise CommandRefusedError(
                ErrorCode.GENERIC_ERROR,
                f"registration id {command.correlation_id} is in use: take correlation ids from "
                "the command buffer's correlation counter",
            )

    def keep_alive(self, client_id: int) -> None:
        """CLIENT_KEEPALIVE: refreshes a known client, makes no new one."""
        client = self._clients.get(client_id)
        if client is not None:
            self._context.counters.set_value(client.heartbeat_counter_id, self._context.now_ms)

    def close(self, client_id: int) -> None:
        """CLIENT_CLOSE: the client goes at the next check, without being called timed out."""
        client = self._clients.get(client_id)
        if client is not None:
            client.closed_by_application = True
            self._context.counters.set_value(client.heartbeat_counter_id, 0)

    def check_liveness(self) -> None:
        """Drop clients that closed, died, or were silent for the liveness time-out."""
        context = self._context
        timeout_ms = context.config.client_liveness_timeout_ns // NANOSECONDS_PER_MILLISECOND
        for client in list(self._clients.values()):
            heartbeat_ms = context.counters.value(client.heartbeat_counter_id)
            if (
                not client.closed_by_application
                and context.now_ms <= heartbeat_ms + timeout_ms
                and not self._has_died(client)
            ):
                continue
            del self._clients[client.client_id]
            if not client.closed_by_application:
                context.shared.add_to_system_counter(SystemCounter.CLIENT_TIMEOUTS)
                context.events.send(ClientTimeout(client.client_id))
            for owned in list(client.owned.values()):
                owned.release()
            client.owned.clear()
            context.counters.free(client.heartbeat_counter_id)
            context.events.send(UnavailableCounter(client.client_id, client.heartbeat_counter_id))

    def _has_died(self, client: DriverClient) -> bool:
        """Whether its process, seen alive before, is no more: nobody has to wait for it."""
        if client.process is not None:
            return client.process.has_ended
        watch = self._context.process_watch
        if watch is not None:
            # The client writes its label when it has found the counter.
            client.process = watch.find(self._context.counters.label(client.heartbeat_counter_id))
        return False
