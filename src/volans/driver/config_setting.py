"""What describes one setting of a media driver, and the units its limits are written in."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """How the text of a setting is read."""

    SIZE = "size"  # bytes, with k, m, g
    DURATION = "duration"  # nanoseconds, with s, ms, us, ns
    SECONDS = "seconds"  # of clients; as a text a duration
    MILLISECONDS = "milliseconds"  # seconds too; as a text whole milliseconds
    INTEGER = "integer"
    NUMBER = "number"  # a fraction such as a loss rate
    BOOL = "bool"
    CHOICE = "choice"
    TEXT = "text"
    PORT_RANGE = "port range"  # "low high"


class Setting(NamedTuple):
    """One setting. ``default`` None: absent unless set; ``listed``: nothing acts on it yet.

    ``variable`` is empty for those that the environment does not set.
    """

    name: str
    variable: str
    kind: Kind
    default: int | float | bool | str | tuple[int, int] | None
    help: str
    minimum: float = 0
    maximum: float = (1 << 63) - 1
    choices: tuple[str, ...] = ()
    listed: bool = False
    unit_name: str = ""

    @property
    def unit(self) -> str:
        """What a plain number of it counts; empty where it counts nothing."""
        return self.unit_name or _UNITS.get(self.kind, "")


_UNITS: Final = {
    Kind.SIZE: "bytes",
    Kind.DURATION: "ns",
    Kind.SECONDS: "s",
    Kind.MILLISECONDS: "s",
}


KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000
INT32_MIN: Final = -(1 << 31)
INT32_MAX: Final = (1 << 31) - 1
INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1
