"""The official interceptors by name, as wrappers of a transport engine: losses on purpose.

AERON_UDP_CHANNEL_INCOMING_INTERCEPTORS and ..._OUTGOING_INTERCEPTORS name them, separated by
commas; the first one sees a datagram first. Each has arguments ``key=value|key=value`` of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from volans.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.config import DriverConfig
    from volans.transport.registry import EngineHandle

INCOMING: Final = "AERON_UDP_CHANNEL_INCOMING_INTERCEPTORS"
OUTGOING: Final = "AERON_UDP_CHANNEL_OUTGOING_INTERCEPTORS"
LOSS_ARGS: Final = "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_LOSS_ARGS"
FIXED_LOSS_ARGS: Final = "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_FIXED_LOSS_ARGS"
MULTI_GAP_LOSS_ARGS: Final = "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_MULTI_GAP_LOSS_ARGS"
NAMES: Final = ("loss", "fixed-loss", "multi-gap-loss")
MAX_INTERCEPTORS: Final = 10
ALL_TYPES: Final = 0xFFFFFFFF
HIGHEST: Final = 1 << 30


def intercept(config: DriverConfig, engine: EngineHandle, role_number: int = 0) -> EngineHandle:
    """The engine under the interceptors the settings name. Raises ConfigError.

    ``role_number`` tells the engines of one driver apart: each loses by numbers of its own.
    """
    # The innermost wrapper sees what is received first, and what is sent last.
    for name in _names(INCOMING, config.incoming_interceptors):
        engine = _incoming(config, name, engine, role_number)
    for name in reversed(_names(OUTGOING, config.outgoing_interceptors)):
        if name != "loss":
            raise ConfigError(OUTGOING, name, "loss; the others are for incoming datagrams")
        engine = _loss(config, engine, role_number, "tx")
    return engine


def _names(variable: str, text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in NAMES:
            raise ConfigError(variable, name, f"one or several of {', '.join(NAMES)}")
    if len(names) > MAX_INTERCEPTORS:
        raise ConfigError(variable, text, f"at most {MAX_INTERCEPTORS} interceptors")
    return names


def _incoming(
    config: DriverConfig, name: str, engine: EngineHandle, role_number: int
) -> EngineHandle:
    # Late: a driver without losses loads no code for them.
    if name == "loss":
        return _loss(config, engine, role_number, "rx")
    from volans.transport.gap_loss import GapLossEngine

    if name == "fixed-loss":
        given = Arguments(
            FIXED_LOSS_ARGS, config.fixed_loss_args, ("term-id", "term-offset", "length")
        )
        return GapLossEngine(
            engine,
            term_id=given.term_id(),
            term_offset=given.integer("term-offset", 0, HIGHEST),
            gap_length=given.integer("length", 0, HIGHEST),
        )
    given = Arguments(
        MULTI_GAP_LOSS_ARGS,
        config.multi_gap_loss_args,
        ("term-id", "gap-radix", "gap-length", "total-gaps"),
    )
    radix = given.integer("gap-radix", 1, HIGHEST)
    return GapLossEngine(
        engine,
        term_id=given.term_id(),
        gap_radix=1 << (radix - 1).bit_length(),
        gap_length=given.integer("gap-length", 0, HIGHEST),
        gap_count=given.integer("total-gaps", 0, HIGHEST),
    )


def _loss(
    config: DriverConfig, engine: EngineHandle, role_number: int, direction: str
) -> EngineHandle:
    from volans.transport.loss import LossEngine

    given = Arguments(LOSS_ARGS, config.loss_args, ("rate", "seed", "recv-msg-mask"))
    return LossEngine(
        engine,
        rate=given.rate("rate"),
        seed=given.integer("seed", 0, (1 << 64) - 1, default=0) + role_number,
        direction=direction,
        rx_type_mask=given.integer("recv-msg-mask", 0, ALL_TYPES, default=ALL_TYPES, base=16),
    )


class Arguments:
    """``key=value|key=value``. Raises ConfigError naming the variable, the part and what fits."""

    def __init__(self, variable: str, text: str | None, keys: tuple[str, ...]) -> None:
        self._variable = variable
        self._text = text
        self._values: dict[str, str] = {}
        for item in (text or "").split("|"):
            key, separator, value = item.partition("=")
            if not item:
                continue
            if not separator or key not in keys:
                raise ConfigError(variable, item, f"{'=…|'.join(keys)}=…")
            self._values[key] = value

    def rate(self, key: str) -> float:
        """A probability; 0 when it is not given."""
        return self._read(key, float, 0, 1, 0.0, "a number from 0 to 1")

    def term_id(self) -> int:
        """A term id; it has to be given."""
        return self.integer("term-id", -(1 << 31), (1 << 31) - 1)

    def integer(
        self, key: str, low: int, high: int, *, default: int | None = None, base: int = 10
    ) -> int:
        """A number from ``low`` to ``high``; it has to be given when there is no default."""
        kind = "hexadecimal number" if base == 16 else "whole number"
        return self._read(
            key, lambda text: int(text, base), low, high, default, f"a {kind} of {low} to {high}"
        )

    def _read(
        self,
        key: str,
        parse: Callable[[str], float],
        low: int,
        high: int,
        default: float | None,
        allowed: str,
    ) -> Any:
        text = self._values.get(key)
        if text is None:
            if default is None:
                raise ConfigError(self._variable, self._text, f"{key}= is missing: {allowed}")
            return default
        try:
            value = parse(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ConfigError(self._variable, f"{key}={text}", allowed)
        return value
