"""What is encoded is decoded to the same, for values nobody thought of."""

from __future__ import annotations

import dataclasses
import types
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.protocol import commands, events, frames
from volans.protocol.channel_uri import ChannelUri
from volans.protocol.units import (
    INT64_MAX,
    format_duration_ns,
    format_size,
    parse_duration_ns,
    parse_size,
)

I32 = st.integers(-(1 << 31), (1 << 31) - 1)
I64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.binary(max_size=80).map(lambda raw: raw.decode("utf-8", "surrogateescape"))

NARROW = {
    "stream_id",
    "session_id",
    "type_id",
    "error_code",
    "counter_id",
    "next_session_id",
    "position_limit_counter_id",
    "channel_status_counter_id",
    "subscriber_position_counter_id",
    "term_offset",
    "term_id",
    "initial_term_id",
    "active_term_id",
    "term_length",
    "mtu_length",
    "ttl",
    "consumption_term_id",
    "consumption_term_offset",
    "receiver_window_length",
    "length",
    "response_session_id",
}


def field(name: str, kind: object) -> st.SearchStrategy[object]:
    special: dict[str, st.SearchStrategy[object]] = {
        "address_type": st.integers(-(1 << 15), (1 << 15) - 1),
        "source_port": st.integers(0, 65535),
        "source_address": st.binary(min_size=16, max_size=16),
        "flags": st.integers(0, 255),
        "frame_length": st.just(-1),
    }
    if name in special:
        return special[name]
    if name in NARROW:
        return I32
    kinds: dict[object, st.SearchStrategy[object]] = {
        int: I64,
        bool: st.booleans(),
        str: TEXT,
        bytes: st.binary(max_size=80),
        (int | None): st.none() | I64,
    }
    return kinds[kind]


def messages(cls: type) -> st.SearchStrategy[typing.Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{f.name: field(f.name, hints[f.name]) for f in dataclasses.fields(cls)})


def concrete(module: types.ModuleType, base: type) -> list[type]:
    return [
        cls
        for name, cls in vars(module).items()
        if isinstance(cls, type)
        and issubclass(cls, base)
        and cls is not base
        and not name.startswith("_")
    ]


COMMANDS = concrete(commands, commands.Command)
EVENTS = concrete(events, events.Event)
CONTROL_FRAMES = [
    cls
    for cls in concrete(frames, frames.Frame)
    if cls not in (frames.DataFrame, frames.PadFrame, frames.ResolutionFrame)
]


def test_all_messages_are_here() -> None:
    assert sorted(cls.msg_type_id for cls in COMMANDS) == list(range(1, 0x13))
    assert sorted(cls.msg_type_id for cls in EVENTS) == list(range(0x0F01, 0x0F0E))
    assert len(CONTROL_FRAMES) == 6


@pytest.mark.parametrize("cls", COMMANDS, ids=lambda cls: cls.__name__)
def test_commands(cls: type) -> None:
    @settings(max_examples=20, deadline=None)
    @given(messages(cls))
    def check(message: commands.Command) -> None:
        assert commands.decode_command(message.msg_type_id, message.encode()) == message

    check()


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
def test_events(cls: type) -> None:
    @settings(max_examples=20, deadline=None)
    @given(messages(cls))
    def check(message: events.Event) -> None:
        assert events.decode_event(message.msg_type_id, message.encode()) == message

    check()


@pytest.mark.parametrize("cls", CONTROL_FRAMES, ids=lambda cls: cls.__name__)
def test_control_frames(cls: type) -> None:
    @settings(max_examples=20, deadline=None)
    @given(messages(cls))
    def check(frame: frames.Frame) -> None:
        assert frames.decode_frame(frame.encode()) == frame

    check()


@settings(max_examples=200, deadline=None)
@given(st.lists(messages(frames.DataFrame), min_size=1, max_size=5))
def test_data_frames(sent: list[frames.DataFrame]) -> None:
    datagram = b"".join(frame.encode() for frame in sent)
    received = list(frames.decode_datagram(datagram))
    assert [dataclasses.replace(frame, frame_length=-1) for frame in received] == sent


KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters="=|", exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=20,
)
VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="|", exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["udp", "ipc"]), st.booleans(), st.dictionaries(KEYS, VALUES, max_size=8))
def test_channel_uris(media: str, is_spy: bool, params: dict[str, str]) -> None:
    uri = ChannelUri(media, is_spy, params)
    parsed = ChannelUri.parse(str(uri))
    assert parsed == uri
    assert list(parsed.params) == list(params)
    assert str(parsed) == str(uri)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, INT64_MAX))
def test_units(value: int) -> None:
    assert parse_size(format_size(value)) == value
    assert parse_duration_ns(format_duration_ns(value)) == value
