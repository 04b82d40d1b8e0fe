"""Which flow and congestion control a channel and the configuration choose."""

import pytest

from volans.driver.conductor.strategies import FlowControlChoice, congestion_control_name
from volans.driver.config import DriverConfig
from volans.errors import ConfigError
from volans.protocol.channel_uri import ChannelUri, InvalidChannelError

GROUP = "aeron:udp?endpoint=224.20.30.39:24326"


def choice(parameters="", is_group=True, **settings):
    uri = ChannelUri.parse(GROUP + parameters)
    return FlowControlChoice.of(uri, DriverConfig(**settings), is_group)


def test_defaults_are_max_for_groups_and_unicast_for_one_receiver():
    assert choice().name == "max"
    assert choice(is_group=False).name == "unicast"


def test_plain_unicast_does_not_look_at_the_channels_text():
    assert choice("|fc=nonsense", is_group=False).name == "unicast"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max", FlowControlChoice("max", 0, -1, 0, 5_000_000_000)),
        ("max,rrwm:8", FlowControlChoice("max", 8, -1, 0, 5_000_000_000)),
        ("min", FlowControlChoice("min", 0, -1, 0, 5_000_000_000)),
        ("min,g:/3,t:2s", FlowControlChoice("min", 0, -1, 3, 2_000_000_000)),
        ("min,t:100ms,rrwm:2", FlowControlChoice("min", 2, -1, 0, 100_000_000)),
        ("tagged,g:77", FlowControlChoice("tagged", 0, 77, 0, 5_000_000_000)),
        ("tagged,g:-5/2,t:1s", FlowControlChoice("tagged", 0, -5, 2, 1_000_000_000)),
    ],
)
def test_texts_of_a_channel(text, expected):
    assert choice(f"|fc={text}") == expected


@pytest.mark.parametrize(
    "text",
    [
        ",g:/1",
        "unicast",
        "maximum",
        "max,g:/2",
        "max,t:1s",
        "max,rrwm:0",
        "max,rrwm:4x",
        "min,g:",
        "min,g:x",
        "min,g:1/",
        "min,g:/-1",
        "min,t:1 day",
        "min,",
        "min,unknown:1",
        "tagged,g:9223372036854775808",
    ],
)
def test_bad_text_is_named_with_what_is_allowed(text):
    with pytest.raises(InvalidChannelError) as caught:
        choice(f"|fc={text}")
    assert caught.value.parameter == "fc"
    assert caught.value.value == text
    assert "tagged[,g:tag[/n]]" in caught.value.allowed


def test_settings_fill_what_the_channel_does_not_say():
    settings = {
        "multicast_flow_control": "aeron_tagged_flow_control_strategy_supplier",
        "flow_control_group_tag": 9,
        "flow_control_group_min_size": 4,
        "flow_control_receiver_timeout_ns": 7_000_000_000,
    }
    assert choice(**settings) == FlowControlChoice("tagged", 0, 9, 4, 7_000_000_000)
    assert choice("|fc=min,g:/1", **settings) == FlowControlChoice("min", 0, 9, 1, 7_000_000_000)


@pytest.mark.parametrize(
    ("supplier", "name"),
    [
        ("multicast_min", "min"),
        ("io.aeron.driver.TaggedMulticastFlowControlSupplier", "tagged"),
        ("aeron_max_multicast_flow_control_strategy_supplier", "max"),
    ],
)
def test_official_names_of_suppliers(supplier, name):
    assert choice(multicast_flow_control=supplier).name == name


def test_unknown_supplier_is_a_config_error():
    with pytest.raises(ConfigError, match="multicast_flow_control='fastest' is invalid: one of"):
        choice(multicast_flow_control="fastest")


def congestion(parameters="", **settings):
    return congestion_control_name(ChannelUri.parse(GROUP + parameters), DriverConfig(**settings))


def test_congestion_control_of_channel_and_settings():
    assert congestion() == "static"
    assert congestion("|cc=cubic") == "cubic"
    cubic = "aeron_cubic_congestion_control_strategy_supplier"
    assert congestion(congestion_control=cubic) == "cubic"
    assert congestion("|cc=static", congestion_control=cubic) == "static"


def test_unknown_congestion_control_is_refused():
    with pytest.raises(InvalidChannelError, match="cc='bbr', allowed: static or cubic"):
        congestion("|cc=bbr")
    with pytest.raises(ConfigError, match="congestion_control='bbr' is invalid"):
        congestion(congestion_control="bbr")
