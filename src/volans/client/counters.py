"""Counters of a client's own, and what can be read off the driver's."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from volans.errors import ClientClosedError
from volans.memory.counters import AtomicCounter

if TYPE_CHECKING:
    from volans.client.conductor import Conductor
    from volans.memory.counters import CountersReader

LOCAL_SOCKET_ADDRESS_TYPE_ID = 14
CHANNEL_STATUS_ACTIVE = 1

_TWO_I32 = struct.Struct("=ii")


class Counter:
    """A counter this client added. Made by ``client.add_counter`` or ``add_static_counter``.

    Static ones outlive the client. Attributes: ``id``, ``registration_id``, ``is_static``.
    Threading: any thread; updates are atomic. After ``close`` every use raises
    ClientClosedError, for the driver may have given the counter to someone else.
    """

    __slots__ = ("__weakref__", "_atomic", "_conductor", "id", "is_static", "registration_id")

    def __init__(
        self,
        conductor: Conductor,
        reader: CountersReader,
        counter_id: int,
        registration_id: int,
        *,
        is_static: bool,
    ) -> None:
        self._conductor = conductor
        self._atomic: AtomicCounter | None = AtomicCounter(reader, counter_id)
        self.id = counter_id
        self.registration_id = registration_id
        self.is_static = is_static

    @property
    def _open(self) -> AtomicCounter:
        if self._atomic is None:
            raise ClientClosedError(f"counter {self.id} is closed: add a new one")
        return self._atomic

    @property
    def value(self) -> int:
        """The value now."""
        return self._open.get()

    @value.setter
    def value(self, value: int) -> None:
        self._open.set(value)

    @property
    def label(self) -> str:
        """What people see it as."""
        return self._open.label

    def get(self) -> int:
        """The value now."""
        return self._open.get()

    def set(self, value: int) -> None:
        """Set the value."""
        self._open.set(value)

    def increment(self) -> int:
        """Add one; the value before."""
        return self._open.increment()

    def add(self, delta: int) -> int:
        """Add; the value before."""
        return self._open.add(delta)

    def compare_and_set(self, expected: int, value: int) -> bool:
        """Set the value if it is as expected; whether it was."""
        return self._open.compare_and_set(expected, value)

    @property
    def is_closed(self) -> bool:
        """Whether the counter, or its client, was closed."""
        return self._atomic is None

    def close(self) -> None:
        """Give the counter back (a static one stays); again is harmless."""
        if self._atomic is not None:
            self._conductor.remove_counter(self)

    def _force_close(self) -> None:
        self._atomic = None

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._atomic is None else f"value {self._atomic.get()}"
        return f"<Counter {self.id} {state}>"


def local_socket_addresses(reader: CountersReader, channel_status_id: int) -> list[str]:
    """``host:port`` of the sockets bound for a channel status counter (PROTOCOL.md section 6.3)."""
    addresses = []
    for counter_id in reader.find_by_type(LOCAL_SOCKET_ADDRESS_TYPE_ID):
        key = reader.key(counter_id)
        if len(key) < _TWO_I32.size:
            continue
        owner_id, length = _TWO_I32.unpack_from(key)
        if owner_id != channel_status_id or not 0 < length <= len(key) - _TWO_I32.size:
            continue
        if reader.value(counter_id) == CHANNEL_STATUS_ACTIVE:
            addresses.append(
                key[_TWO_I32.size : _TWO_I32.size + length].decode("ascii", "backslashreplace")
            )
    return addresses
