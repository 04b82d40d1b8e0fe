"""Counters that clients add: plain ones go with their client, static ones stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.errors import CommandRefusedError
from volans.protocol.error_codes import ErrorCode
from volans.protocol.events import CounterReady, StaticCounterReady, UnavailableCounter

if TYPE_CHECKING:
    from volans.driver.conductor.clients import DriverClient
    from volans.driver.conductor.context import ConductorContext
    from volans.protocol.commands import AddCounter, AddStaticCounter

NULL_CLIENT_ID = -1


class CounterLink:
    """A plain counter of a client."""

    def __init__(self, context: ConductorContext, registration_id: int, counter_id: int) -> None:
        self.registration_id = registration_id
        self.counter_id = counter_id
        self._context = context

    def release(self) -> None:
        self._context.counters.free(self.counter_id)
        self._context.events.send(UnavailableCounter(self.registration_id, self.counter_id))


class ClientCounters:
    """ADD_COUNTER, ADD_STATIC_COUNTER, REMOVE_COUNTER."""

    def __init__(self, context: ConductorContext) -> None:
        self._context = context

    def add(self, client: DriverClient, command: AddCounter) -> None:
        counter_id = self._context.counters.allocate(
            command.type_id,
            command.key,
            command.label,
            registration_id=command.correlation_id,
            owner_id=command.client_id,
        )
        client.owned[command.correlation_id] = CounterLink(
            self._context, command.correlation_id, counter_id
        )
        self._context.events.send(CounterReady(command.correlation_id, counter_id))

    def add_static(self, command: AddStaticCounter) -> None:
        """The same type and registration id give the same counter again."""
        counters = self._context.counters
        existing = counters.find(command.type_id, command.registration_id)
        if existing is not None and counters.owner_id(existing) != NULL_CLIENT_ID:
            raise CommandRefusedError(
                ErrorCode.GENERIC_ERROR,
                "cannot add static counter, because a non-static counter exists "
                f"(counterId={existing}) for typeId={command.type_id} and "
                f"registrationId={command.registration_id}",
            )
        counter_id = existing
        if counter_id is None:
            counter_id = counters.allocate(
                command.type_id,
                command.key,
                command.label,
                registration_id=command.registration_id,
                owner_id=NULL_CLIENT_ID,
            )
        self._context.events.send(StaticCounterReady(command.correlation_id, counter_id))

    def remove(self, client: DriverClient | None, registration_id: int) -> None:
        link = client.owned.get(registration_id) if client is not None else None
        if not isinstance(link, CounterLink) or client is None:
            raise CommandRefusedError(
                ErrorCode.UNKNOWN_COUNTER, f"unknown counter registration id {registration_id}"
            )
        del client.owned[registration_id]
        link.release()
