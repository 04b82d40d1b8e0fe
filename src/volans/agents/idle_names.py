"""The names and arguments by which the official configuration chooses an idle strategy."""

from __future__ import annotations

import re

_NAMES = {
    "NoOpIdleStrategy": ("noop", "no-op", "aeron_idle_strategy_noop"),
    "BusySpinIdleStrategy": (
        "spin",
        "spinning",
        "busy-spin",
        "busy_spin",
        "busy-spinning",
        "aeron_idle_strategy_busy_spinning",
    ),
    "YieldingIdleStrategy": ("yield", "yielding", "aeron_idle_strategy_yielding"),
    "SleepingIdleStrategy": ("sleep-ns", "sleeping", "aeron_idle_strategy_sleeping"),
    "SleepingMillisIdleStrategy": ("sleep-ms",),
    "BackoffIdleStrategy": ("backoff", "aeron_idle_strategy_backoff"),
    "ControllableIdleStrategy": ("controllable",),
}
_CLASS_BY_NAME = {name: cls for cls, names in _NAMES.items() for name in names} | {
    f"{prefix}{cls}": cls for cls in _NAMES for prefix in ("", "org.agrona.concurrent.")
}
_UNIT_NS = {"": 1, "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_MILLISECOND_NS = 1_000_000


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of "1us", "5ms", "2s", "100ns" or a plain number of nanoseconds."""
    match = re.fullmatch(r"([0-9]+)(ns|us|ms|s|)", text.strip().lower())
    if match is None:
        raise ValueError(f"duration {text!r} is not a whole number with ns, us, ms, s or no unit")
    return int(match[1]) * _UNIT_NS[match[2]]


def resolve(name: str, init_args: str | None = None) -> tuple[str, dict[str, int]]:
    """The class name and constructor arguments for a configured name."""
    class_name = _CLASS_BY_NAME.get(name.strip())
    if class_name is None:
        known = ", ".join(names[0] for names in _NAMES.values())
        raise ValueError(f"idle strategy {name!r} is not known: use one of {known}")
    if class_name == "SleepingMillisIdleStrategy":
        period = parse_duration_ns(init_args) if init_args else _MILLISECOND_NS
        return "SleepingIdleStrategy", {"sleep_ns": period}
    if not init_args:
        return class_name, {}
    if class_name == "SleepingIdleStrategy":
        return class_name, {"sleep_ns": parse_duration_ns(init_args)}
    if class_name == "BackoffIdleStrategy":
        return class_name, _backoff_arguments(init_args)
    return class_name, {}


def _backoff_arguments(init_args: str) -> dict[str, int]:
    parts = init_args.split("-")
    if len(parts) != 4 or not (parts[0].strip().isdecimal() and parts[1].strip().isdecimal()):
        raise ValueError(
            f"backoff arguments {init_args!r} are not max_spins-max_yields-min_park-max_park: "
            "write for example 10-5-1us-1ms"
        )
    return {
        "max_spins": int(parts[0]),
        "max_yields": int(parts[1]),
        "min_park_ns": parse_duration_ns(parts[2]),
        "max_park_ns": parse_duration_ns(parts[3]),
    }
