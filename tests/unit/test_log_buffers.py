"""Wrapping a log file, its first state, and corrupt words that must not lead out of it."""

from __future__ import annotations

import struct

import pytest

from volans.testing.log_kit import LogKit, file_length, wrap_code

INT64_MAX = 2**63 - 1


def test_file_length_is_aligned_to_the_page_size():
    assert file_length(65536, 4096) == 3 * 65536 + 4096
    assert file_length(65536, 2 << 20) == 2 << 20
    assert file_length(1 << 30, 4096) == (3 << 30) + 4096


def test_metadata_is_the_last_4096_bytes_also_with_large_pages():
    kit = LogKit(page_size=2 << 20, stream_id=99)
    assert len(kit.memory) == 2 << 20
    assert struct.unpack_from("<ii", kit.memory, (2 << 20) - 4096 + 276) == (65536, 2 << 20)
    assert wrap_code(kit.memory) == 0
    kit.append(b"x")
    assert kit.read(0)[0][0].stream_id == 99


def test_metadata_of_a_new_publication():
    kit = LogKit(131072, 1408, 8192, session_id=-5, stream_id=17, initial_term_id=41)
    section = kit.metadata
    assert struct.unpack_from("<qqqi", section, 0) == (41 << 32, 39 << 32, 40 << 32, 0)
    assert struct.unpack_from("<qii", section, 128) == (INT64_MAX, 0, 0)
    assert struct.unpack_from("<iiiii", section, 264) == (41, 32, 1408, 131072, 8192)
    assert struct.unpack_from("<ibBhiiiiq", section, 320) == (0, 0, 0xC0, 1, 0, -5, 17, 41, 0)
    assert section[497] == 0


@pytest.mark.parametrize(
    ("initial", "start", "tails", "count"),
    [
        (0, 0, [0, -2, -1], 0),
        (0, 1, [0, 1, -1], 1),
        (0, 5, [3, 4, 5], 5),
        (2**31 - 1, -(2**31), [2**31 - 1, -(2**31), 2**31 - 2], 1),
    ],
)
def test_tails_of_a_publication_that_starts_in_a_later_term(initial, start, tails, count):
    kit = LogKit(initial_term_id=initial, start_term_id=start, start_term_offset=64)
    active = count % 3
    assert kit.tails == [(term, 64 if index == active else 0) for index, term in enumerate(tails)]
    assert kit.active_term_count == count
    assert kit.producer_position == count * 65536 + 64


def test_an_image_has_no_tails():
    kit = LogKit(image=True, initial_term_id=3)
    assert kit.tails == [(0, 0)] * 3
    assert kit.metadata[497] == 2


@pytest.mark.parametrize(
    ("offset", "value", "code"),
    [
        (276, 0, -1),
        (276, -65536, -1),
        (276, 65536 + 32, -1),
        (276, 32768, -1),
        (276, -(2**31), -1),
        (276, 131072, -3),
        (276, 1 << 30, -3),
        (280, 0, -2),
        (280, 2048, -2),
        (280, 4097, -2),
        (280, -4096, -2),
        (280, 1 << 20, -3),
    ],
)
def test_bad_lengths_in_the_metadata_are_refused(offset, value, code):
    kit = LogKit()
    struct.pack_into("<i", kit.metadata, offset, value)
    assert wrap_code(kit.memory) == code


@pytest.mark.parametrize("length", [0, 4095, 4096, 65536 * 3, 65536 * 3 + 4095, 65536 * 3 + 8192])
def test_a_file_of_another_length_is_refused(length):
    content = bytearray(LogKit().memory[-4096:])
    data = bytearray(max(length - 4096, 0)) + content
    assert wrap_code(data[len(data) - length :] if length else b"") == -3


@pytest.mark.parametrize("count", [-1, -(2**31), 2**31 - 1])
def test_a_corrupt_active_term_count_stays_inside_the_log(count):
    kit = LogKit()
    struct.pack_into("<i", kit.metadata, 24, count)
    assert kit.append(b"x") == -3
    kit.producer_position  # noqa: B018 - must not crash
    kit.reopen()


@pytest.mark.parametrize("frame_length", [1, 31, 65537, 65536 - 32, 2**31 - 1, -(2**31), -1])
def test_a_reader_stops_at_a_length_no_frame_can_have(frame_length):
    kit = LogKit()
    end = kit.append(b"good")
    struct.pack_into("<i", kit.term(0), end, frame_length)
    fragments, position = kit.read(0)
    assert ([f.payload for f in fragments], position) == ([b"good"], end)
    count, _, position = kit.read_controlled(0, [])
    assert (count, position) == (1, end)


def test_a_frame_may_fill_the_term_to_its_end_but_not_one_byte_more():
    kit = LogKit()
    struct.pack_into("<ibBh", kit.term(0), 65536 - 64, 64, 0, 0xC0, 1)
    assert kit.read(65536 - 64)[1] == 65536
    struct.pack_into("<i", kit.term(0), 65536 - 64, 65)
    assert kit.read(65536 - 64) == ([], 65536 - 64)
