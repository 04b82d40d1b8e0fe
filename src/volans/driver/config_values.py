"""Values of settings: from texts and from Python's own, within limits, and back to texts."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable
from typing import Any, Final

from volans.driver.config_setting import INT64_MAX, Kind, Setting
from volans.errors import ConfigError
from volans.protocol.units import (
    UnitError,
    format_duration_ns,
    format_size,
    parse_bool,
    parse_duration_ns,
    parse_integer,
    parse_size,
)

_WIDE: Final = 1 << 80
_NANOSECONDS_PER_SECOND: Final = 1_000_000_000
_MILLISECONDS_PER_SECOND: Final = 1_000


def format_value(setting: Setting, value: Any) -> str:
    """The text of a value as the environment would hold it."""
    match setting.kind:
        case Kind.BOOL:
            return "true" if value else "false"
        case Kind.SIZE:
            return format_size(value)
        case Kind.DURATION:
            return format_duration_ns(value)
        case Kind.SECONDS:
            return format_duration_ns(round(value * _NANOSECONDS_PER_SECOND))
        case Kind.MILLISECONDS:
            return str(round(value * _MILLISECONDS_PER_SECOND))
        case Kind.PORT_RANGE:
            return f"{value[0]} {value[1]}"
    return str(value)


def show_value(setting: Setting, value: Any) -> str:
    """The text of a value for people: with its unit, and for None too."""
    if value is None:
        return "not set"
    if setting.kind is Kind.MILLISECONDS:
        return f"{value:g}s"
    text = format_value(setting, value)
    return f"{text} {setting.unit}" if setting.unit and setting.kind is Kind.INTEGER else text


def value_from_object(setting: Setting, value: Any, source: str | None = None) -> Any:
    """The value of a keyword argument or of a configuration file.

    Raises ConfigError naming `source` (the setting unless given), the value and what is allowed.
    """
    name = setting.name if source is None else source
    numeric = isinstance(value, int) and not isinstance(value, bool)
    if value is None and setting.default is None:
        return None
    if isinstance(value, str):
        return value_from_text(setting, value, name)
    match setting.kind:
        case Kind.TEXT if isinstance(value, os.PathLike):
            return os.fspath(value)
        case Kind.BOOL if isinstance(value, bool):
            return value
        case Kind.PORT_RANGE if isinstance(value, tuple | list):
            return value_from_text(setting, " ".join(map(str, value)), name)
        case Kind.NUMBER | Kind.SECONDS | Kind.MILLISECONDS if numeric or isinstance(value, float):
            return _limited(setting, float(value), name, value, clamp=False)
        case Kind.SIZE | Kind.DURATION | Kind.INTEGER if numeric:
            return _limited(setting, value, name, value, clamp=False)
    raise ConfigError(name, value, allowed_values(setting))


def value_from_text(setting: Setting, text: str, source: str, *, clamp: bool = False) -> Any:
    """The value a text stands for; `clamp` takes the nearest limit for numbers beyond one.

    Raises ConfigError naming `source`, the text and what is allowed.
    """
    value: float
    try:
        match setting.kind:
            case Kind.TEXT:
                return text
            case Kind.BOOL:
                return parse_bool(text)
            case Kind.CHOICE:
                if text not in setting.choices:
                    raise ConfigError(source, text, allowed_values(setting))
                return text
            case Kind.PORT_RANGE:
                return _port_range(setting, text, source)
            case Kind.NUMBER:
                value = _number(text)
            case Kind.SIZE:
                value = parse_size(text)
            case Kind.DURATION:
                value = parse_duration_ns(text)
            case Kind.SECONDS:
                value = parse_duration_ns(text) / _NANOSECONDS_PER_SECOND
            case Kind.MILLISECONDS:
                value = _milliseconds(text) / _MILLISECONDS_PER_SECOND
            case Kind.INTEGER:
                value = parse_integer(text, -_WIDE, _WIDE)
    except UnitError:
        raise ConfigError(source, text, allowed_values(setting)) from None
    return _limited(setting, value, source, text, clamp=clamp)


def allowed_values(setting: Setting) -> str:
    """What a setting may be, in words."""
    match setting.kind:
        case Kind.BOOL:
            return "true, on, 1, false, off or 0"
        case Kind.CHOICE:
            return f"one of {', '.join(setting.choices)}"
        case Kind.PORT_RANGE:
            return "two ports from 0 to 65535, the lower first"
        case Kind.SIZE:
            return f"a size {_range(setting, format_size)} (suffixes k, m, g)"
        case Kind.DURATION:
            return f"a duration {_range(setting, format_duration_ns)} (suffixes s, ms, us, ns)"
        case Kind.SECONDS:
            return f"a duration {_range(setting, _seconds)} (a number of seconds)"
        case Kind.MILLISECONDS:
            return f"a duration {_range(setting, _seconds)} (the variable: whole milliseconds)"
        case Kind.NUMBER:
            return f"a number {_range(setting, str)}"
        case Kind.INTEGER:
            return f"a whole number {_range(setting, str)}"
        case Kind.TEXT:
            return "a text"


def unknown_name(name: str, value: object, known: Iterable[str], remedy: str) -> ConfigError:
    """The error for a name nobody has, with what may have been meant."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return ConfigError(name, value, f"no such option; {meant}see {remedy}")


def _range(setting: Setting, show: Any) -> str:
    if setting.maximum == INT64_MAX:
        return f"of at least {show(setting.minimum)}"
    return f"from {show(setting.minimum)} to {show(setting.maximum)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:g}s"


def _milliseconds(text: str) -> float:
    # As the official client reads it; with a unit it says itself what it means.
    if text.strip().isdecimal():
        return int(text)
    return parse_duration_ns(text) / 1_000_000


def _limited(
    setting: Setting, value: float, source: str, shown: object, *, clamp: bool
) -> int | float:
    if setting.minimum <= value <= setting.maximum:
        return value
    if clamp:
        return max(setting.minimum, min(value, setting.maximum))
    raise ConfigError(source, shown, allowed_values(setting))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UnitError(text, "a number") from None
    if math.isnan(value):
        raise UnitError(text, "a number")
    return value


def _port_range(setting: Setting, text: str, source: str) -> tuple[int, int]:
    parts = text.split()
    if len(parts) != 2:
        raise ConfigError(source, text, allowed_values(setting))
    low, high = (parse_integer(part, 0, 65535) for part in parts)
    if low > high:
        raise ConfigError(source, text, allowed_values(setting))
    return low, high
