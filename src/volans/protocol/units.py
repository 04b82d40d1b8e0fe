"""Sizes and durations as texts: ``64k``, ``5s`` (one grammar for channel URIs and environment)."""

from __future__ import annotations

import re
from typing import Final

from volans.errors import VolansError

INT64_MAX: Final = (1 << 63) - 1

_NUMBER_AND_UNIT = re.compile(r"\s*\+?([0-9]{1,40})([A-Za-z]{0,2})", re.ASCII)
_INTEGER = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,40})", re.ASCII)

_SIZE_FACTORS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DURATION_FACTORS: Final = {
    "": 1,
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
}
_TRUE: Final = ("1", "on", "true", "yes")
_FALSE: Final = ("0", "off", "false", "no")


class UnitError(VolansError, ValueError):
    """A text is no size, duration, number or truth value, or is out of range.

    Attributes: ``text`` (what was given) and ``expected`` (what would do).
    """

    def __init__(self, text: str, expected: str) -> None:
        self.text = text
        self.expected = expected
        super().__init__(f"{text[:100]!r} is not {expected}")


def parse_size(text: str) -> int:
    """Bytes from ``"1408"``, ``"64k"``, ``"16m"`` or ``"1g"`` (letters of either case).

    Raises UnitError for anything else, negative numbers and more than 2**63 - 1 bytes.
    """
    expected = "a size: a number of bytes, or with a suffix k, m or g"
    match = _NUMBER_AND_UNIT.fullmatch(text)
    factor = _SIZE_FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise UnitError(text, expected)
    value = int(match[1]) * factor
    if value > INT64_MAX:
        raise UnitError(text, f"a size of at most {INT64_MAX} bytes")
    return value


def parse_duration_ns(text: str) -> int:
    """Nanoseconds from ``"5s"``, ``"100ms"``, ``"1us"``, ``"200ns"`` or plain ``"250"``.

    A duration with a unit that is beyond 2**63 - 1 ns is as long as can be expressed, as in
    the official driver; a plain number beyond that is refused. Raises UnitError.
    """
    expected = "a duration: a number of nanoseconds, or with a suffix s, ms, us or ns"
    match = _NUMBER_AND_UNIT.fullmatch(text)
    factor = _DURATION_FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise UnitError(text, expected)
    count = int(match[1])
    if count > INT64_MAX:
        raise UnitError(text, f"a duration of at most {INT64_MAX} ns")
    return min(count * factor, INT64_MAX)


def parse_integer(text: str, minimum: int, maximum: int) -> int:
    """A decimal or ``0x`` number within the range, both ends included. Raises UnitError."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise UnitError(text, f"a whole number from {minimum} to {maximum}")
    digits = match[2]
    value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    if match[1] == "-":
        value = -value
    if not minimum <= value <= maximum:
        raise UnitError(text, f"a whole number from {minimum} to {maximum}")
    return value


def parse_bool(text: str) -> bool:
    """``true``, ``on``, ``yes``, ``1``, or ``false``, ``off``, ``no``, ``0``. Raises UnitError."""
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise UnitError(text, "one of true, on, 1, false, off, 0")


def format_size(size_bytes: int) -> str:
    """The shortest exact text: ``65536`` gives ``"64k"``."""
    return _format(size_bytes, (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)), "")


def format_duration_ns(duration_ns: int) -> str:
    """The shortest exact text: ``5_000_000_000`` gives ``"5s"``."""
    return _format(duration_ns, (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)), "ns")


def _format(value: int, units: tuple[tuple[str, int], ...], smallest: str) -> str:
    if not 0 <= value <= INT64_MAX:
        raise UnitError(str(value), f"within 0 to {INT64_MAX}")
    for unit, factor in units:
        if value >= factor and value % factor == 0:
            return f"{value // factor}{unit}"
    return f"{value}{smallest}"
