"""Every event's bytes, field by field at the offsets of PROTOCOL.md section 7.2."""

from __future__ import annotations

import struct

import pytest

from volans.protocol import events as e

CORRELATION = 0x2122232425262728
LOG = "/dev/shm/aeron-me/publications/7.logbuffer"


def i32(value: int) -> bytes:
    return struct.pack("<i", value)


def i64(value: int) -> bytes:
    return struct.pack("<q", value)


def text(value: str) -> bytes:
    return i32(len(value)) + value.encode()


PUBLICATION = i64(CORRELATION) + i64(6) + i32(-9) + i32(1001) + i32(31) + i32(32) + text(LOG)
LAYOUTS = [
    (
        0x0F01,
        e.ErrorResponse(CORRELATION, 1, "invalid channel"),
        i64(CORRELATION) + i32(1) + text("invalid channel"),
    ),
    (
        0x0F02,
        e.AvailableImage(CORRELATION, -9, 1001, 44, 55, LOG, "127.0.0.1:40123"),
        i64(CORRELATION)
        + i32(-9)
        + i32(1001)
        + i64(44)
        + i32(55)
        + i32(len(LOG))
        + LOG.encode()
        + bytes(-len(LOG) % 4)
        + text("127.0.0.1:40123"),
    ),
    (0x0F03, e.PublicationReady(CORRELATION, 6, -9, 1001, 31, 32, LOG), PUBLICATION),
    (0x0F04, e.OperationSuccess(CORRELATION), i64(CORRELATION)),
    (
        0x0F05,
        e.UnavailableImage(CORRELATION, 44, 1001, "aeron:ipc"),
        i64(CORRELATION) + i64(44) + i32(1001) + text("aeron:ipc"),
    ),
    (0x0F06, e.ExclusivePublicationReady(CORRELATION, 6, -9, 1001, 31, 32, LOG), PUBLICATION),
    (0x0F07, e.SubscriptionReady(CORRELATION, 33), i64(CORRELATION) + i32(33)),
    (0x0F08, e.CounterReady(CORRELATION, 34), i64(CORRELATION) + i32(34)),
    (0x0F09, e.UnavailableCounter(CORRELATION, 34), i64(CORRELATION) + i32(34)),
    (0x0F0A, e.ClientTimeout(CORRELATION), i64(CORRELATION)),
    (0x0F0B, e.StaticCounterReady(CORRELATION, 35), i64(CORRELATION) + i32(35)),
    (
        0x0F0C,
        e.PublicationErrorEvent(
            CORRELATION, 12, -9, 1001, 99, -1, 1, 40123, bytes([127, 0, 0, 1]) + bytes(12), 13, "no"
        ),
        i64(CORRELATION)
        + i64(12)
        + i32(-9)
        + i32(1001)
        + i64(99)
        + i64(-1)
        + struct.pack("<hH", 1, 40123)
        + bytes([127, 0, 0, 1])
        + bytes(12)
        + i32(13)
        + text("no"),
    ),
    (0x0F0D, e.NextAvailableSessionId(CORRELATION, -77), i64(CORRELATION) + i32(-77)),
]


@pytest.mark.parametrize(("type_id", "event", "expected"), LAYOUTS)
def test_layout_and_way_back(type_id: int, event: e.Event, expected: bytes) -> None:
    assert event.msg_type_id == type_id
    assert event.encode() == expected
    decoded = e.decode_event(type_id, memoryview(expected))
    assert decoded == event
    assert type(decoded) is type(event)


@pytest.mark.parametrize(("type_id", "event", "expected"), LAYOUTS)
def test_every_shorter_message_is_malformed(type_id: int, event: e.Event, expected: bytes) -> None:
    for length in range(len(expected)):
        with pytest.raises(e.MalformedEventError) as caught:
            e.decode_event(type_id, expected[:length])
        assert caught.value.correlation_id == (CORRELATION if length >= 8 else None)


def test_message_offsets_of_a_publication_error() -> None:
    encoded = LAYOUTS[11][2]
    assert encoded[42:44] == struct.pack("<H", 40123)
    assert encoded[44:48] == bytes([127, 0, 0, 1])
    assert encoded[60:64] == i32(13)
    assert encoded[68:] == b"no"


def test_unknown_events_can_be_skipped() -> None:
    with pytest.raises(e.UnknownEventError) as caught:
        e.decode_event(0x0F0E, i64(CORRELATION))
    assert caught.value.correlation_id == CORRELATION
