"""Every command's bytes, field by field at the offsets of PROTOCOL.md section 7.1."""

from __future__ import annotations

import struct

import pytest

from volans.protocol import commands as c
from volans.protocol.error_codes import ErrorCode

CHANNEL = "aeron:udp?endpoint=localhost:40123"
CLIENT, CORRELATION = 0x1112131415161718, 0x2122232425262728


def i32(value: int) -> bytes:
    return struct.pack("<i", value)


def i64(value: int) -> bytes:
    return struct.pack("<q", value)


def text(value: str) -> bytes:
    return i32(len(value)) + value.encode()


# (type id, message, bytes from offset 16 on)
LAYOUTS = [
    (0x01, c.AddPublication(CLIENT, CORRELATION, 1001, CHANNEL), i32(1001) + text(CHANNEL)),
    (0x02, c.RemovePublication(CLIENT, CORRELATION, 77), i64(77) + i64(0)),
    (0x02, c.RemovePublication(CLIENT, CORRELATION, 77, True), i64(77) + i64(1)),
    (0x03, c.AddExclusivePublication(CLIENT, CORRELATION, -5, CHANNEL), i32(-5) + text(CHANNEL)),
    (
        0x04,
        c.AddSubscription(CLIENT, CORRELATION, 1001, CHANNEL),
        i64(-1) + i32(1001) + text(CHANNEL),
    ),
    (0x05, c.RemoveSubscription(CLIENT, CORRELATION, 78), i64(78)),
    (0x06, c.ClientKeepalive(CLIENT, CORRELATION), b""),
    (0x07, c.AddDestination(CLIENT, CORRELATION, 79, CHANNEL), i64(79) + text(CHANNEL)),
    (0x08, c.RemoveDestination(CLIENT, CORRELATION, 79, CHANNEL), i64(79) + text(CHANNEL)),
    (
        0x09,
        c.AddCounter(CLIENT, CORRELATION, 1005, b"key!!", "label"),
        i32(1005) + i32(5) + b"key!!\0\0\0" + text("label"),
    ),
    (0x0A, c.RemoveCounter(CLIENT, CORRELATION, 80), i64(80)),
    (0x0B, c.ClientClose(CLIENT, CORRELATION), b""),
    (0x0C, c.AddReceiveDestination(CLIENT, CORRELATION, 81, CHANNEL), i64(81) + text(CHANNEL)),
    (0x0D, c.RemoveReceiveDestination(CLIENT, CORRELATION, 81, CHANNEL), i64(81) + text(CHANNEL)),
    (0x0E, c.TerminateDriver(CLIENT, CORRELATION, b"token"), i32(5) + b"token"),
    (
        0x0F,
        c.AddStaticCounter(CLIENT, CORRELATION, 82, 1005, b"key", ""),
        i64(82) + i32(1005) + i32(3) + b"key\0" + i32(0),
    ),
    (
        0x10,
        c.RejectImage(CLIENT, CORRELATION, 83, 4096, "bad data"),
        i64(83) + i64(4096) + text("bad data"),
    ),
    (0x11, c.RemoveDestinationById(CLIENT, CORRELATION, 84, 85), i64(84) + i64(85)),
    (0x12, c.GetNextAvailableSessionId(CLIENT, CORRELATION, 1001), i32(1001)),
]


@pytest.mark.parametrize(("type_id", "command", "rest"), LAYOUTS)
def test_layout_and_way_back(type_id: int, command: c.Command, rest: bytes) -> None:
    encoded = command.encode()
    assert command.msg_type_id == type_id
    assert encoded[:8] == i64(CLIENT)
    assert encoded[8:16] == i64(CORRELATION)
    assert encoded[16:] == rest
    assert c.decode_command(type_id, encoded) == command
    assert type(c.decode_command(type_id, memoryview(encoded))) is type(command)
    assert c.decode_command(type_id, encoded + b"more") == command or type_id == 0x02


@pytest.mark.parametrize(("type_id", "command", "rest"), LAYOUTS)
def test_every_shorter_message_is_malformed(type_id: int, command: c.Command, rest: bytes) -> None:
    encoded = command.encode()
    old_remove_publication = {24} if type_id == 0x02 else set()
    for length in set(range(len(encoded))) - old_remove_publication:
        with pytest.raises(c.MalformedCommandError) as caught:
            c.decode_command(type_id, encoded[:length])
        error = caught.value
        assert error.msg_type_id == type_id
        assert error.error_code == ErrorCode.MALFORMED_COMMAND
        known = length >= 16
        assert error.client_id == (CLIENT if known else None)
        assert error.correlation_id == (CORRELATION if known else None)


def test_remove_publication_without_flags_is_of_an_older_client() -> None:
    encoded = c.RemovePublication(CLIENT, CORRELATION, 77, True).encode()[:24]
    assert c.decode_command(2, encoded) == c.RemovePublication(CLIENT, CORRELATION, 77)
    with pytest.raises(c.MalformedCommandError):
        c.decode_command(2, encoded + bytes(4))


def test_a_short_reason_is_filled_up_for_official_drivers_and_read_without() -> None:
    command = c.RejectImage(CLIENT, CORRELATION, 83, 4096, "x")
    assert len(command.encode()) == 40
    assert c.decode_command(0x10, command.encode()) == command
    assert c.decode_command(0x10, command.encode()[:37]) == command


@pytest.mark.parametrize(
    ("type_id", "offset"),
    [(1, 20), (3, 20), (4, 28), (7, 24), (9, 20), (14, 16), (15, 28), (16, 32)],
)
@pytest.mark.parametrize("length", [-1, -(1 << 31), (1 << 31) - 1, 1000])
def test_lengths_are_not_believed(type_id: int, offset: int, length: int) -> None:
    (command,) = [x for t, x, _ in LAYOUTS if t == type_id][:1]
    encoded = bytearray(command.encode())
    struct.pack_into("<i", encoded, offset, length)
    with pytest.raises(c.MalformedCommandError, match=str(length)) as caught:
        c.decode_command(type_id, encoded)
    assert caught.value.correlation_id == CORRELATION


@pytest.mark.parametrize("type_id", [0, -1, 0x13, 0x0F01, 1 << 30])
def test_unknown_commands_tell_who_asked(type_id: int) -> None:
    with pytest.raises(c.UnknownCommandError, match=str(type_id)) as caught:
        c.decode_command(type_id, i64(CLIENT) + i64(CORRELATION))
    assert caught.value.msg_type_id == type_id
    assert caught.value.client_id == CLIENT
    assert caught.value.correlation_id == CORRELATION
    assert caught.value.error_code == ErrorCode.UNKNOWN_COMMAND_TYPE_ID


def test_close_has_no_correlation_id() -> None:
    assert c.ClientClose(CLIENT).encode() == i64(CLIENT) + i64(-1)


def test_bytes_that_are_no_text_survive() -> None:
    raw = i64(1) + i64(2) + i32(3) + i32(2) + b"\xff\xfe"
    command = c.decode_command(1, raw)
    assert command.encode() == raw
