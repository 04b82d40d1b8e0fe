"""Channel URIs: what is read, what is refused, and how they are put together."""

from __future__ import annotations

import pytest

from volans.protocol.channel_uri import (
    PARAMETERS,
    ChannelUri,
    ChannelUriBuilder,
    InvalidChannelError,
)
from volans.protocol.error_codes import ErrorCode

EVERYTHING = (
    "aeron:udp?endpoint=localhost:40123|interface=127.0.0.1/24|control=localhost:40124"
    "|control-mode=dynamic|tags=3,4|session-id=-7|stream-id=1001|alias=prices|mtu=8k"
    "|term-length=64k|init-term-id=5|term-id=6|term-offset=64|linger=2s|sparse=false|eos=false"
    "|ssc=true|fc=min,g:/2|max-resend=32|pub-wnd=32k|ttl=300|so-sndbuf=2m|so-rcvbuf=1m"
    "|rcv-wnd=256k|reliable=false|tether=false|rejoin=false|group=infer|gtag=9|cc=cubic"
    "|nak-delay=100us|untethered-window-limit-timeout=6s|untethered-linger-timeout=7s"
    "|untethered-resting-timeout=8s|response-endpoint=localhost:1|response-correlation-id=11"
    "|media-rcv-ts-offset=reserved|channel-rcv-ts-offset=0|channel-snd-ts-offset=8|ats=true"
)


def test_every_parameter_is_recognised() -> None:
    uri = ChannelUri.parse(EVERYTHING)
    assert set(uri.params) == set(PARAMETERS)
    assert len(PARAMETERS) == 40
    found = {
        "endpoint": uri.endpoint,
        "interface": uri.interface,
        "control": uri.control,
        "control-mode": uri.control_mode,
        "tags": (uri.channel_tag, uri.entity_tag),
        "session-id": uri.session_id,
        "stream-id": uri.stream_id,
        "alias": uri.alias,
        "mtu": uri.mtu_length,
        "term-length": uri.term_length,
        "start": uri.start_position(65536),
        "linger": uri.linger_timeout_ns,
        "sparse": uri.is_sparse,
        "eos": uri.signal_eos,
        "ssc": uri.spies_simulate_connection,
        "fc": uri.flow_control,
        "max-resend": uri.max_resend,
        "pub-wnd": uri.publication_window_length,
        "ttl": uri.ttl,
        "so-sndbuf": uri.socket_sndbuf_length,
        "so-rcvbuf": uri.socket_rcvbuf_length,
        "rcv-wnd": uri.receiver_window_length,
        "reliable": uri.is_reliable,
        "tether": uri.is_tether,
        "rejoin": uri.is_rejoin,
        "group": uri.group,
        "gtag": uri.group_tag,
        "cc": uri.congestion_control,
        "nak-delay": uri.nak_delay_ns,
        "untethered-window-limit-timeout": uri.untethered_window_limit_timeout_ns,
        "untethered-linger-timeout": uri.untethered_linger_timeout_ns,
        "untethered-resting-timeout": uri.untethered_resting_timeout_ns,
        "response-endpoint": uri.response_endpoint,
        "response-correlation-id": uri.response_correlation_id,
        "media-rcv-ts-offset": uri.media_receive_timestamp_offset,
        "channel-rcv-ts-offset": uri.channel_receive_timestamp_offset,
        "channel-snd-ts-offset": uri.channel_send_timestamp_offset,
        "ats": uri.ats,
    }
    assert found == {
        "endpoint": "localhost:40123",
        "interface": "127.0.0.1/24",
        "control": "localhost:40124",
        "control-mode": "dynamic",
        "tags": (3, 4),
        "session-id": -7,
        "stream-id": 1001,
        "alias": "prices",
        "mtu": 8192,
        "term-length": 65536,
        "start": (5, 6, 64),
        "linger": 2_000_000_000,
        "sparse": False,
        "eos": False,
        "ssc": True,
        "fc": "min,g:/2",
        "max-resend": 32,
        "pub-wnd": 32768,
        "ttl": 255,
        "so-sndbuf": 2 << 20,
        "so-rcvbuf": 1 << 20,
        "rcv-wnd": 262144,
        "reliable": False,
        "tether": False,
        "rejoin": False,
        "group": "infer",
        "gtag": 9,
        "cc": "cubic",
        "nak-delay": 100_000,
        "untethered-window-limit-timeout": 6_000_000_000,
        "untethered-linger-timeout": 7_000_000_000,
        "untethered-resting-timeout": 8_000_000_000,
        "response-endpoint": "localhost:1",
        "response-correlation-id": 11,
        "media-rcv-ts-offset": -8,
        "channel-rcv-ts-offset": 0,
        "channel-snd-ts-offset": 8,
        "ats": True,
    }
    assert str(uri) == EVERYTHING
    uri.validate()


def test_absent_parameters_are_none() -> None:
    uri = ChannelUri.parse("aeron:ipc")
    assert uri.is_ipc
    assert not uri.is_spy
    assert uri.params == {}
    assert uri.mtu_length is None
    assert uri.start_position(65536) is None
    assert uri.get("alias", "none") == "none"
    assert str(uri) == "aeron:ipc"


def test_spies_sessions_by_tag_and_prototypes() -> None:
    spy = ChannelUri.parse("aeron-spy:aeron:udp?endpoint=a:1")
    assert spy.is_spy
    assert spy.is_udp
    assert str(spy) == "aeron-spy:aeron:udp?endpoint=a:1"
    tagged = ChannelUri.parse("aeron:udp?session-id=tag:12|tags=,4")
    assert (tagged.session_id, tagged.session_id_tag) == (None, 12)
    assert (tagged.channel_tag, tagged.entity_tag) == (None, 4)
    assert ChannelUri.parse("aeron:ipc?response-correlation-id=prototype").params
    assert (
        ChannelUri.parse("aeron:ipc?response-correlation-id=prototype").response_correlation_id
        == -2
    )


def test_a_key_is_not_found_by_its_beginning() -> None:
    uri = ChannelUri.parse("aeron:udp?endpoint=a:1|mtu-x=9|term-id=4|lingering=x")
    assert uri.mtu_length is None
    assert uri.linger_timeout_ns is None


def test_what_the_official_driver_lets_pass() -> None:
    assert ChannelUri.parse("aeron:ipc?").params == {}
    assert ChannelUri.parse("aeron:udp?endpoint=a:1|").params == {"endpoint": "a:1"}
    assert ChannelUri.parse("aeron:udp?alias=a=b").alias == "a=b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aeron",
        "aeron:",
        "aeron:tcp?endpoint=a:1",
        "udp?endpoint=a:1",
        "aeron:udpx?endpoint=a:1",
        "AERON:udp?endpoint=a:1",
        "aeron:udp?=x",
        "aeron:udp?endpoint",
        "aeron:udp?endpoint=",
        "aeron:udp?endpoint=|mtu=8k",
        "aeron:udp?endpoint=a:1||mtu=8k",
        "aeron:udp?endpoint=a:1\0",
        "aeron-spy:aeron-spy:aeron:ipc",
        "aeron:ipc?alias=" + "x" * 4080,
    ],
)
def test_broken_uris_are_refused(text: str) -> None:
    with pytest.raises(InvalidChannelError) as caught:
        ChannelUri.parse(text)
    assert caught.value.error_code == ErrorCode.INVALID_CHANNEL
    assert caught.value.value == text
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("mtu", "100"),
        ("mtu", "32"),
        ("mtu", "65536"),
        ("term-length", "32k"),
        ("term-length", "65537"),
        ("term-length", "2g"),
        ("term-offset", "33"),
        ("term-id", "2147483648"),
        ("session-id", "tag:x"),
        ("session-id", "x"),
        ("tags", "a"),
        ("tags", "1,2,3"),
        ("linger", "5m"),
        ("sparse", "yes"),
        ("group", "maybe"),
        ("control-mode", "auto"),
        ("max-resend", "0"),
        ("max-resend", "257"),
        ("ttl", "-1"),
        ("rcv-wnd", "1q"),
        ("response-correlation-id", "-2"),
        ("media-rcv-ts-offset", "somewhere"),
        ("gtag", "9223372036854775808"),
    ],
)
def test_bad_values_name_the_parameter_and_what_is_allowed(parameter: str, value: str) -> None:
    uri = ChannelUri.parse(f"aeron:udp?{parameter}={value}")
    with pytest.raises(InvalidChannelError) as caught:
        uri.validate()
    assert caught.value.parameter == parameter
    assert caught.value.value == value
    assert parameter in str(caught.value)
    assert "allowed: " in str(caught.value)


@pytest.mark.parametrize(
    "start", ["init-term-id=1", "init-term-id=1|term-id=2", "term-offset=64|term-id=2"]
)
def test_a_start_position_is_given_whole_or_not(start: str) -> None:
    with pytest.raises(InvalidChannelError, match="complete set"):
        ChannelUri.parse(f"aeron:ipc?{start}").start_position(65536)


def test_a_start_position_must_fit() -> None:
    before = ChannelUri.parse("aeron:ipc?init-term-id=2|term-id=1|term-offset=0")
    with pytest.raises(InvalidChannelError, match="init-term-id=2"):
        before.start_position(65536)
    wrapped = ChannelUri.parse(
        "aeron:ipc?init-term-id=2147483647|term-id=-2147483648|term-offset=0"
    )
    assert wrapped.start_position(65536) == (2147483647, -2147483648, 0)
    beyond = ChannelUri.parse("aeron:ipc?init-term-id=2|term-id=2|term-offset=65568")
    with pytest.raises(InvalidChannelError, match="65536"):
        beyond.start_position(65536)


def test_the_builder_writes_what_it_was_told() -> None:
    uri = (
        ChannelUriBuilder.udp()
        .endpoint("localhost:40123")
        .control_mode("manual")
        .tags(1, 2)
        .term_length(65536)
        .linger(5_000_000_000)
        .sparse(False)
        .start_position(1, 2, 64)
        .build()
    )
    assert str(uri) == (
        "aeron:udp?endpoint=localhost:40123|control-mode=manual|tags=1,2|term-length=64k"
        "|linger=5s|sparse=false|init-term-id=1|term-id=2|term-offset=64"
    )
    changed = ChannelUriBuilder.of(uri).spy().set("tags", None).build()
    assert changed.is_spy
    assert changed.channel_tag is None
    with pytest.raises(InvalidChannelError, match="mtu"):
        ChannelUriBuilder.ipc().mtu(33).build()
    with pytest.raises(InvalidChannelError):
        ChannelUriBuilder.ipc().alias("a|b")
