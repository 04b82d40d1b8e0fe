"""Wire frames: bytes at the offsets of PROTOCOL.md section 10, and the way back."""

from __future__ import annotations

import struct

import pytest

from volans.protocol import frames as f

FRAMES = [
    (
        f.SetupFrame(0x40, 64, -9, 1001, 5, 6, 65536, 1408, 3),
        struct.pack("<ibBhiiiiiiii", 40, 0, 0x40, 5, 64, -9, 1001, 5, 6, 65536, 1408, 3),
    ),
    (
        f.StatusMessage(0x80, -9, 1001, 5, 64, 131072, 77),
        struct.pack("<ibBhiiiiiq", 36, 0, 0x80, 3, -9, 1001, 5, 64, 131072, 77),
    ),
    (
        f.StatusMessage(0, -9, 1001, 5, 64, 131072, 77, -5),
        struct.pack("<ibBhiiiiiqq", 44, 0, 0, 3, -9, 1001, 5, 64, 131072, 77, -5),
    ),
    (
        f.NakFrame(0, -9, 1001, 5, 64, 1408),
        struct.pack("<ibBhiiiii", 28, 0, 0, 2, -9, 1001, 5, 64, 1408),
    ),
    (
        f.ErrorFrame(8, -9, 1001, 77, 4, 13, "no"),
        struct.pack("<ibBhiiqqii2s", 42, 0, 8, 4, -9, 1001, 77, 4, 13, 2, b"no"),
    ),
    (
        f.RttMeasurement(0x80, -9, 1001, 123456789, 0, 77),
        struct.pack("<ibBhiiqqq", 40, 0, 0x80, 6, -9, 1001, 123456789, 0, 77),
    ),
    (
        f.ResponseSetup(0, -9, 1001, 12),
        struct.pack("<ibBhiii", 20, 0, 0, 0x0B, -9, 1001, 12),
    ),
]


@pytest.mark.parametrize(("frame", "expected"), FRAMES)
def test_control_frames(frame: f.Frame, expected: bytes) -> None:
    assert frame.encode() == expected
    assert f.decode_frame(expected) == frame
    for length in range(len(expected)):
        with pytest.raises(f.FrameError):
            f.decode_frame(expected[:length])


def test_data_frames_in_one_datagram() -> None:
    first = f.DataFrame(0xC0, 0, -9, 1001, 5, 17, b"hello")
    second = f.DataFrame(0x80, 64, -9, 1001, 5, 0, b"x" * 64)
    pad = f.PadFrame(0xC0, 160, -9, 1001, 5)
    datagram = first.encode() + second.encode() + pad.encode()
    assert first.encode()[:32] == struct.pack("<ibBhiiiiq", 37, 0, 0xC0, 1, 0, -9, 1001, 5, 17)
    assert len(first.encode()) == 64
    decoded = list(f.decode_datagram(datagram))
    assert [type(x) for x in decoded] == [f.DataFrame, f.DataFrame, f.PadFrame]
    assert decoded[0].payload == b"hello"
    assert decoded[0].frame_length == 37
    assert decoded[1].payload == b"x" * 64


def test_heartbeat_and_padding_beyond_the_datagram() -> None:
    heartbeat = f.DataFrame(0xE0, 96, -9, 1001, 5, frame_length=0)
    assert len(heartbeat.encode()) == 32
    assert f.decode_frame(heartbeat.encode()).is_heartbeat
    pad = f.PadFrame(0xC0, 0, -9, 1001, 5, frame_length=4096)
    assert f.decode_frame(pad.encode()).frame_length == 4096


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [(0, "<i", -1), (0, "<i", 31), (0, "<i", 4096), (4, "<b", 1), (6, "<h", 99), (6, "<h", -1)],
)
def test_wrong_headers(offset: int, layout: str, value: int) -> None:
    data = bytearray(f.DataFrame(0xC0, 0, -9, 1001, 5, 0, b"hello").encode())
    struct.pack_into(layout, data, offset, value)
    with pytest.raises(f.FrameError, match=str(value)):
        f.decode_frame(data)
