"""Counters: type ids, keys and labels (PROTOCOL.md section 6).

Keys and labels are made byte for byte as the official C driver makes them, truncation included.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from volans.protocol.messages import encode_text
from volans.protocol.system_counters import SystemCounter

__all__ = [
    "ChannelStatus",
    "CounterType",
    "SystemCounter",
    "channel_status_key",
    "channel_status_label",
    "client_heartbeat_key",
    "client_heartbeat_label",
    "client_info",
    "describe",
    "join_position_suffix",
    "local_sockaddr_key",
    "local_sockaddr_label",
    "stream_counter_key",
    "stream_counter_label",
    "system_counter_key",
]

MAX_KEY_LENGTH: Final = 112
MAX_LABEL_LENGTH: Final = 380
MAX_CLIENT_NAME_LENGTH: Final = 100
CONTROL_PROTOCOL_VERSION: Final = 0x10000  # 1.0.0, the value of system counter 43

_STREAM_KEY: Final = struct.Struct("=qiii")
_I32: Final = struct.Struct("=i")
_TWO_I32: Final = struct.Struct("=ii")
_I64: Final = struct.Struct("=q")
_STREAM_KEY_CHANNEL_BYTES: Final = MAX_KEY_LENGTH - _STREAM_KEY.size
_CHANNEL_KEY_CHANNEL_BYTES: Final = MAX_KEY_LENGTH - _I32.size
_ADDRESS_KEY_TEXT_BYTES: Final = MAX_KEY_LENGTH - _TWO_I32.size


class CounterType(IntEnum):
    """Type ids of a media driver's counters; below 1000 all are the official driver's."""

    SYSTEM = 0
    PUBLISHER_LIMIT = 1
    SENDER_POSITION = 2
    RECEIVER_HWM = 3
    SUBSCRIBER_POSITION = 4
    RECEIVER_POSITION = 5
    SEND_CHANNEL_STATUS = 6
    RECEIVE_CHANNEL_STATUS = 7
    SENDER_LIMIT = 9
    PER_IMAGE = 10
    CLIENT_HEARTBEAT = 11
    PUBLISHER_POSITION = 12
    SENDER_BPE = 13
    LOCAL_SOCKADDR = 14
    NAME_RESOLVER_NEIGHBORS = 15
    NAME_RESOLVER_CACHE_ENTRIES = 16
    FLOW_CONTROL_RECEIVERS = 17
    MDC_DESTINATIONS = 18
    SENDER_NAKS_RECEIVED = 19
    RECEIVER_NAKS_SENT = 20
    NAME_RESOLVER_BOOTSTRAP_NEIGHBOR = 21
    NAME_ENTRY = 2001  # of the csv_table resolver
    SLOW_SUBSCRIBER = 22092  # of Volans alone: "VL"


# What the label of a stream counter starts with.
PUBLISHER_LIMIT_NAME: Final = "pub-lmt"
SENDER_POSITION_NAME: Final = "snd-pos"
RECEIVER_HWM_NAME: Final = "rcv-hwm"
SUBSCRIBER_POSITION_NAME: Final = "sub-pos"
RECEIVER_POSITION_NAME: Final = "rcv-pos"
SEND_CHANNEL_STATUS_NAME: Final = "snd-channel"
RECEIVE_CHANNEL_STATUS_NAME: Final = "rcv-channel"
SENDER_LIMIT_NAME: Final = "snd-lmt"
CLIENT_HEARTBEAT_NAME: Final = "client-heartbeat"
PUBLISHER_POSITION_CONCURRENT_NAME: Final = "pub-pos (concurrent)"
PUBLISHER_POSITION_EXCLUSIVE_NAME: Final = "pub-pos (exclusive)"
SENDER_BPE_NAME: Final = "snd-bpe"
SEND_LOCAL_SOCKADDR_NAME: Final = "snd-local-sockaddr"
RECEIVE_LOCAL_SOCKADDR_NAME: Final = "rcv-local-sockaddr"
FLOW_CONTROL_RECEIVERS_NAME: Final = "fc-receivers"
MDC_DESTINATIONS_NAME: Final = "mdc-num-dest"
SENDER_NAKS_RECEIVED_NAME: Final = "snd-naks-received"
RECEIVER_NAKS_SENT_NAME: Final = "rcv-naks-sent"
SLOW_SUBSCRIBER_NAME: Final = "slow-subscriber"
CUBIC_RTT_NAME: Final = "rcv-cc-cubic-rtt"
CUBIC_WINDOW_NAME: Final = "rcv-cc-cubic-wnd"

STREAM_COUNTER_TYPES: Final = frozenset(
    {
        CounterType.PUBLISHER_LIMIT,
        CounterType.SENDER_POSITION,
        CounterType.RECEIVER_HWM,
        CounterType.SUBSCRIBER_POSITION,
        CounterType.RECEIVER_POSITION,
        CounterType.SENDER_LIMIT,
        CounterType.PER_IMAGE,
        CounterType.PUBLISHER_POSITION,
        CounterType.SENDER_BPE,
        CounterType.FLOW_CONTROL_RECEIVERS,
        CounterType.SENDER_NAKS_RECEIVED,
        CounterType.RECEIVER_NAKS_SENT,
        CounterType.SLOW_SUBSCRIBER,
    }
)
CHANNEL_COUNTER_TYPES: Final = frozenset(
    {
        CounterType.SEND_CHANNEL_STATUS,
        CounterType.RECEIVE_CHANNEL_STATUS,
        CounterType.MDC_DESTINATIONS,
    }
)


class ChannelStatus(IntEnum):
    """Values of the channel status counters."""

    ERRORED = -1
    INITIALIZING = 0
    ACTIVE = 1
    CLOSING = 2


def stream_counter_key(
    registration_id: int, session_id: int, stream_id: int, channel: str | bytes
) -> bytes:
    """The 112-byte key of a stream's counter; at most 92 bytes of the channel fit."""
    data = _bytes(channel)[:_STREAM_KEY_CHANNEL_BYTES]
    key = _STREAM_KEY.pack(registration_id, session_id, stream_id, len(data)) + data
    return key.ljust(MAX_KEY_LENGTH, b"\0")


def stream_counter_label(
    name: str,
    registration_id: int,
    session_id: int,
    stream_id: int,
    channel: str | bytes,
    suffix: str = "",
) -> str:
    """The label of a stream's counter, cut to 380 bytes."""
    head = f"{name}: {registration_id} {session_id} {stream_id} ".encode()
    return _label(head + _bytes(channel) + suffix.encode())


def join_position_suffix(join_position: int) -> str:
    """What the label of a subscriber position ends with."""
    return f" @{join_position}"


def channel_status_key(channel: str | bytes) -> bytes:
    """The 112-byte key of a channel's status or destinations counter."""
    data = _bytes(channel)[:_CHANNEL_KEY_CHANNEL_BYTES]
    return (_I32.pack(len(data)) + data).ljust(MAX_KEY_LENGTH, b"\0")


def channel_status_label(name: str, channel: str | bytes, bound: str = "") -> str:
    """The label of a channel's status counter; ``bound`` is the address once it is known."""
    tail = f" {bound}".encode() if bound else b""
    return _label(f"{name}: ".encode() + _bytes(channel) + tail)


def local_sockaddr_key(channel_status_counter_id: int, address: str) -> bytes:
    """The 112-byte key of a bound local address; at most 103 bytes of text fit."""
    data = address.encode()[: _ADDRESS_KEY_TEXT_BYTES - 1]
    return (_TWO_I32.pack(channel_status_counter_id, len(data)) + data).ljust(MAX_KEY_LENGTH, b"\0")


def local_sockaddr_label(name: str, channel_status_counter_id: int, address: str) -> str:
    """The label of a bound local address."""
    return _label(f"{name}: {channel_status_counter_id} {address}".encode())


def client_heartbeat_key(client_id: int) -> bytes:
    """The key of a client's heartbeat counter."""
    return _I64.pack(client_id)


def client_heartbeat_label(client_id: int, info: str = "") -> str:
    """The label of a client's heartbeat counter; the client appends ``info`` itself."""
    tail = f" {info}" if info else ""
    return _label(f"{CLIENT_HEARTBEAT_NAME}: id={client_id}{tail}".encode())


def client_info(name: str, version: str, commit: str) -> str:
    """What a client appends to its heartbeat label."""
    return f"name={name} version={version} commit={commit}"


def system_counter_key(counter_id: int) -> bytes:
    """The key of a system counter: its id."""
    return _I32.pack(counter_id)


def describe(type_id: int, key: bytes | bytearray | memoryview) -> dict[str, int | str]:
    """The fields of a counter's key, for tools; empty when the type is not known.

    Lengths inside the key are not trusted: a text ends where the key does.
    """
    data = bytes(key)
    if type_id == CounterType.SYSTEM and len(data) >= _I32.size:
        return {"system_counter_id": _I32.unpack_from(data)[0]}
    if type_id in STREAM_COUNTER_TYPES and len(data) >= _STREAM_KEY.size:
        registration_id, session_id, stream_id, length = _STREAM_KEY.unpack_from(data)
        return {
            "registration_id": registration_id,
            "session_id": session_id,
            "stream_id": stream_id,
            "channel": _text(data, _STREAM_KEY.size, length),
        }
    if type_id in CHANNEL_COUNTER_TYPES and len(data) >= _I32.size:
        return {"channel": _text(data, _I32.size, _I32.unpack_from(data)[0])}
    if type_id == CounterType.LOCAL_SOCKADDR and len(data) >= _TWO_I32.size:
        channel_status_id, length = _TWO_I32.unpack_from(data)
        return {
            "channel_status_counter_id": channel_status_id,
            "local_address": _text(data, _TWO_I32.size, length),
        }
    if type_id == CounterType.CLIENT_HEARTBEAT and len(data) >= _I64.size:
        return {"client_id": _I64.unpack_from(data)[0]}
    if type_id == CounterType.NAME_RESOLVER_BOOTSTRAP_NEIGHBOR and len(data) >= _I32.size:
        return {"neighbor_index": _I32.unpack_from(data)[0]}
    return {}


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else encode_text(text)


def _text(data: bytes, start: int, length: int) -> str:
    return data[start : start + max(0, length)].decode("utf-8", "backslashreplace")


def _label(label: bytes) -> str:
    # The C driver formats into a buffer of 380 bytes with a NUL at its end, yet takes 380.
    if len(label) >= MAX_LABEL_LENGTH:
        label = label[: MAX_LABEL_LENGTH - 1] + b"\0"
    # Bytes that are no UTF-8, as of a character cut in two, become question marks.
    return label.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
