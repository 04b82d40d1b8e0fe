"""Keys and labels of counters, byte for byte as official tools expect them."""

from __future__ import annotations

import struct

import pytest

from volans.protocol import counter_types as t
from volans.protocol.counter_types import CounterType, SystemCounter, describe
from volans.protocol.system_counters import configuration_suffixes

CHANNEL = "aeron:udp?endpoint=localhost:40123"


def test_stream_counter_key_and_label() -> None:
    key = t.stream_counter_key(7, -9, 1001, CHANNEL)
    assert len(key) == 112
    assert key[:20] == struct.pack("<qiii", 7, -9, 1001, len(CHANNEL))
    assert key[20 : 20 + len(CHANNEL)] == CHANNEL.encode()
    assert not any(key[20 + len(CHANNEL) :])
    label = t.stream_counter_label("sub-pos", 7, -9, 1001, CHANNEL, t.join_position_suffix(4096))
    assert label == f"sub-pos: 7 -9 1001 {CHANNEL} @4096"
    assert describe(CounterType.SUBSCRIBER_POSITION, key) == {
        "registration_id": 7,
        "session_id": -9,
        "stream_id": 1001,
        "channel": CHANNEL,
    }


def test_long_channels_are_cut_in_the_key() -> None:
    channel = CHANNEL + "|alias=" + "x" * 500
    key = t.stream_counter_key(1, 2, 3, channel)
    assert len(key) == 112
    assert struct.unpack_from("<i", key, 16) == (92,)
    assert key[20:] == channel.encode()[:92]
    status = t.channel_status_key(channel)
    assert struct.unpack_from("<i", status) == (108,)
    assert status[4:] == channel.encode()[:108]


@pytest.mark.parametrize(("channel_length", "label_length"), [(100, 113), (366, 379), (367, 380)])
def test_labels_are_cut_where_the_official_driver_cuts(
    channel_length: int, label_length: int
) -> None:
    channel = "x" * channel_length
    label = t.stream_counter_label("n", 111, 2222, 33, channel).encode()
    assert len(f"n: 111 2222 33 {channel}") >= label_length
    full = f"n: 111 2222 33 {channel}".encode()
    if len(full) < 380:
        assert label == full
    else:
        assert label == full[:379] + b"\0"


def test_a_cut_character_leaves_the_label_a_text() -> None:
    label = t.stream_counter_label("n", 1, 2, 3, "é" * 300)
    assert len(label.encode()) == 380
    assert label.encode()[-2:] in (b"?\0", "é".encode()[-1:] + b"\0")


def test_channel_status_and_local_address() -> None:
    assert t.channel_status_label("snd-channel", CHANNEL) == f"snd-channel: {CHANNEL}"
    assert (
        t.channel_status_label("rcv-channel", CHANNEL, "127.0.0.1:40123")
        == f"rcv-channel: {CHANNEL} 127.0.0.1:40123"
    )
    key = t.local_sockaddr_key(37, "127.0.0.1:40123")
    assert key[:8] == struct.pack("<ii", 37, 15)
    assert key[8:24] == b"127.0.0.1:40123\0"
    assert t.local_sockaddr_label("rcv-local-sockaddr", 37, "127.0.0.1:40123") == (
        "rcv-local-sockaddr: 37 127.0.0.1:40123"
    )
    assert describe(14, key) == {
        "channel_status_counter_id": 37,
        "local_address": "127.0.0.1:40123",
    }
    assert struct.unpack_from("<i", t.local_sockaddr_key(1, "y" * 200), 4) == (103,)


def test_client_heartbeat() -> None:
    assert t.client_heartbeat_key(5) == struct.pack("<q", 5)
    assert t.client_heartbeat_label(5) == "client-heartbeat: id=5"
    info = t.client_info("feed", "0.1.0", "abc")
    assert (
        t.client_heartbeat_label(5, info)
        == "client-heartbeat: id=5 name=feed version=0.1.0 commit=abc"
    )
    assert describe(11, t.client_heartbeat_key(5)) == {"client_id": 5}


def test_system_counters() -> None:
    assert len(SystemCounter) == 46
    assert [counter.value for counter in SystemCounter] == list(range(46))
    labels = [counter.label("0.1.0", "abc") for counter in SystemCounter]
    assert len(set(labels)) == 46
    assert labels[0] == "Bytes sent"
    assert labels[15] == "Errors: version=volans 0.1.0 commit=abc"
    assert labels[18] == "Sender flow control limits, i.e. back-pressure events"
    assert labels[34] == "Aeron software: version=volans 0.1.0 commit=abc"
    assert labels[45] == "Failed offers to NativeResourceAgentProxy"
    assert describe(0, t.system_counter_key(34)) == {"system_counter_id": 34}
    assert t.CONTROL_PROTOCOL_VERSION == 65536


def test_a_drivers_configuration_ends_the_labels() -> None:
    suffixes = configuration_suffixes(
        threading_mode="SHARED",
        driver_name="a",
        conductor_cycle_threshold_ns=100_000_000,
        sender_cycle_threshold_ns=1,
        receiver_cycle_threshold_ns=5_000_000_000,
        name_resolver_threshold_ns=1_500_000,
    )
    labels = {int(c): c.label("") + suffix for c, suffix in suffixes.items()}
    # As an official 1.53 driver with these settings shows them.
    assert labels == {
        25: "Resolution changes: driverName=a",
        26: "Conductor max cycle time doing its work in ns: SHARED",
        27: "Conductor work cycle exceeded threshold count: threshold=100ms SHARED",
        28: "Sender max cycle time doing its work in ns: SHARED",
        29: "Sender work cycle exceeded threshold count: threshold=1ns SHARED",
        30: "Receiver max cycle time doing its work in ns: SHARED",
        31: "Receiver work cycle exceeded threshold count: threshold=5s SHARED",
        33: "NameResolver exceeded threshold count: threshold=1500us",
    }


def test_hostile_keys_are_described_without_harm() -> None:
    for length in (-1, 1 << 30, 200):
        key = struct.pack("<qiii", 1, 2, 3, length) + b"abc"
        assert describe(1, key)["channel"] in ("", "abc")
    assert describe(6, b"\x03") == {}
    assert describe(999, b"x" * 112) == {}
