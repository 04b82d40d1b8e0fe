"""Names from a table whose rows a counter switches: for tests of names that move or go.

AERON_NAME_RESOLVER_INIT_ARGS holds rows ``name,initial host,re-resolution host`` separated by
``|``. Each row has a counter: 0 the initial host, 1 the other one, -1 the host is unknown.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volans.driver.naming.resolve import numeric_address
from volans.errors import ConfigError
from volans.protocol.counter_types import CounterType

if TYPE_CHECKING:
    from volans.driver.naming.address import SocketAddress
    from volans.driver.naming.resolve import HostLookup
    from volans.memory import CountersManager

USE_INITIAL: Final = 0
USE_RE_RESOLUTION: Final = 1
UNKNOWN_HOST: Final = -1
MAX_ROWS: Final = 1024
_NAME_LENGTH: Final = struct.Struct("=I")
_MAX_KEY_LENGTH: Final = 112


@dataclass(frozen=True, slots=True)
class NameEntry:
    """One row."""

    name: str
    initial_host: str
    re_resolution_host: str


def parse_table(
    text: str | None, variable: str = "AERON_NAME_RESOLVER_INIT_ARGS"
) -> list[NameEntry]:
    """The rows of a table. Raises ConfigError."""
    expected = "rows name,initial-host,re-resolution-host separated by |"
    if not text:
        raise ConfigError(variable, text or "", expected)
    rows = [row for row in text.split("|") if row]
    if len(rows) > MAX_ROWS:
        raise ConfigError(variable, f"{len(rows)} rows", f"at most {MAX_ROWS} {expected}")
    entries = []
    for row in rows:
        columns = [column.strip() for column in row.split(",")]
        if len(columns) != 3 or not all(columns):
            raise ConfigError(variable, row, expected)
        entries.append(NameEntry(*columns))
    return entries


class CsvTable:
    """Look-ups by the table; other names go on to the next look-up.

    Args:
        entries: rows.
        counters: where each row gets its counter.
        next_lookup: knows the hosts of the rows and all other names.

    Threading: look-ups from any thread.
    """

    def __init__(
        self, entries: list[NameEntry], counters: CountersManager, next_lookup: HostLookup
    ) -> None:
        self._counters = counters
        self._next = next_lookup
        self._rows: dict[str, tuple[NameEntry, int]] = {}
        counters.require(len(entries))
        for entry in entries:
            name = entry.name.encode()[: _MAX_KEY_LENGTH - _NAME_LENGTH.size]
            counter_id = counters.allocate(
                CounterType.NAME_ENTRY,
                _NAME_LENGTH.pack(len(name)) + name,
                f"NameEntry{{name='{entry.name}', initialResolutionHost='{entry.initial_host}', "
                f"reResolutionHost='{entry.re_resolution_host}'}}",
            )
            # Of two rows of a name the last one counts, as in the official driver.
            self._rows[entry.name] = (entry, counter_id)

    def __call__(self, host: str, family: int) -> SocketAddress | None:
        """The address of a host in a family; None when it has none."""
        found = self._rows.get(host)
        if found is None:
            return self._next(host, family)
        entry, counter_id = found
        choice = self._counters.value(counter_id)
        if choice == UNKNOWN_HOST:
            return None
        target = entry.re_resolution_host if choice == USE_RE_RESOLUTION else entry.initial_host
        family_of_text = socket.AF_INET6 if ":" in target else socket.AF_INET
        numeric = numeric_address(target.strip("[]"), family_of_text)
        if numeric is not None:
            return numeric if numeric.family == family else None
        return self._next(target, family)
