"""Which flow control a publication has, and which congestion control an image.

The channel's `fc` and `cc` say so, else the configured supplier: its official C or Java name, or
the short one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volans.errors import ConfigError
from volans.protocol.channel_uri import InvalidChannelError
from volans.protocol.units import INT64_MAX, UnitError, parse_duration_ns, parse_integer

if TYPE_CHECKING:
    from volans.driver.config import DriverConfig
    from volans.protocol.channel_uri import ChannelUri

INT64_MIN: Final = -(1 << 63)
INT32_MAX: Final = (1 << 31) - 1

FLOW_CONTROL_SUPPLIERS: Final = {
    "unicast": "unicast",
    "unicast_max": "unicast",
    "aeron_unicast_flow_control_strategy_supplier": "unicast",
    "io.aeron.driver.DefaultUnicastFlowControlSupplier": "unicast",
    "max": "max",
    "multicast_max": "max",
    "aeron_max_multicast_flow_control_strategy_supplier": "max",
    "io.aeron.driver.MaxMulticastFlowControlSupplier": "max",
    "io.aeron.driver.DefaultMulticastFlowControlSupplier": "max",
    "min": "min",
    "multicast_min": "min",
    "aeron_min_flow_control_strategy_supplier": "min",
    "io.aeron.driver.MinMulticastFlowControlSupplier": "min",
    "tagged": "tagged",
    "multicast_tagged": "tagged",
    "aeron_tagged_flow_control_strategy_supplier": "tagged",
    "io.aeron.driver.TaggedMulticastFlowControlSupplier": "tagged",
    "io.aeron.driver.PreferredMulticastFlowControlSupplier": "tagged",
}
CONGESTION_CONTROL_SUPPLIERS: Final = {
    "default": "static",
    "aeron_congestion_control_default_strategy_supplier": "static",
    "io.aeron.driver.DefaultCongestionControlSupplier": "static",
    "static": "static",
    "aeron_static_window_congestion_control_strategy_supplier": "static",
    "cubic": "cubic",
    "aeron_cubic_congestion_control_strategy_supplier": "cubic",
    "io.aeron.driver.ext.CubicCongestionControlSupplier": "cubic",
}
CHANNEL_FLOW_CONTROLS: Final = ("max", "min", "tagged")
CHANNEL_CONGESTION_CONTROLS: Final = ("static", "cubic")
FLOW_CONTROL_FORMS: Final = (
    "max[,rrwm:n], min[,g:/n][,t:d][,rrwm:n] or tagged[,g:tag[/n]][,t:d][,rrwm:n]"
)


@dataclass(frozen=True, slots=True)
class FlowControlChoice:
    """A publication's flow control.

    `retransmit_window_multiple` 0 means the strategy's own; the rest concerns min and tagged.
    """

    name: str
    retransmit_window_multiple: int = 0
    group_tag: int = -1
    group_min_size: int = 0
    receiver_timeout_ns: int = 0

    @property
    def counts_receivers(self) -> bool:
        """Whether it knows its receivers, and so has a counter of them."""
        return self.name in ("min", "tagged")

    @classmethod
    def of(cls, uri: ChannelUri, config: DriverConfig, is_group: bool) -> FlowControlChoice:
        """`is_group`: multicast or several destinations; a single receiver's `fc` is not looked at.

        Raises InvalidChannelError, naming `fc`, its text and the forms it may have; ConfigError.
        """
        configured = config.multicast_flow_control if is_group else config.unicast_flow_control
        setting = "multicast_flow_control" if is_group else "unicast_flow_control"
        name = _supplier(setting, configured, FLOW_CONTROL_SUPPLIERS)
        values = {
            "group_tag": config.flow_control_group_tag,
            "group_min_size": config.flow_control_group_min_size,
            "receiver_timeout_ns": config.flow_control_receiver_timeout_ns,
        }
        text = uri.flow_control
        if text is not None and is_group:
            name, *options = text.split(",")
            if name not in CHANNEL_FLOW_CONTROLS:
                raise InvalidChannelError("fc", text, FLOW_CONTROL_FORMS)
            for option in options:
                values.update(_option(name, option, text))
        return cls(name, **values)


def strategy_name(supplier: str) -> str:
    """Our name for a configured supplier of either kind; itself when it is not known."""
    name = FLOW_CONTROL_SUPPLIERS.get(supplier)
    return CONGESTION_CONTROL_SUPPLIERS.get(supplier, supplier) if name is None else name


def congestion_control_name(uri: ChannelUri, config: DriverConfig) -> str:
    """`static` or `cubic`. Raises InvalidChannelError or ConfigError."""
    configured = config.congestion_control
    name = _supplier("congestion_control", configured, CONGESTION_CONTROL_SUPPLIERS)
    text = uri.congestion_control
    if text is None:
        return name
    if text not in CHANNEL_CONGESTION_CONTROLS:
        raise InvalidChannelError("cc", text, " or ".join(CHANNEL_CONGESTION_CONTROLS))
    return text


def _supplier(setting: str, supplier: str, names: dict[str, str]) -> str:
    name = names.get(supplier)
    if name is None:
        raise ConfigError(setting, supplier, f"one of {', '.join(names)}")
    return name


def _option(strategy: str, option: str, text: str) -> dict[str, int]:
    """One `key:value` of an `fc` text, as fields of a FlowControlChoice."""
    key, colon, value = option.partition(":")
    try:
        if colon and value:
            if key == "rrwm":
                return {"retransmit_window_multiple": parse_integer(value, 1, INT32_MAX)}
            if key == "t" and strategy != "max":
                return {"receiver_timeout_ns": parse_duration_ns(value)}
            if key == "g" and strategy != "max":
                return _group(value)
    except UnitError as error:
        raise InvalidChannelError(
            "fc", text, f"{FLOW_CONTROL_FORMS}; {option!r} is not: {error}"
        ) from None
    raise InvalidChannelError("fc", text, f"{FLOW_CONTROL_FORMS}; {option!r} is none of these")


def _group(value: str) -> dict[str, int]:
    """`tag`, `tag/n` or `/n`."""
    tag, slash, size = value.partition("/")
    fields = {}
    if tag or not slash:
        fields["group_tag"] = parse_integer(tag, INT64_MIN, INT64_MAX)
    if slash:
        fields["group_min_size"] = parse_integer(size, 0, INT32_MAX)
    return fields
