"""The inspector tells what is in a log file and refuses, typed and bounded, what is none."""

from __future__ import annotations

import os
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.log.inspect import LogFormatError, LogInspector
from volans.testing.log_kit import LogKit

METADATA = 3 * 65536


def test_metadata_and_frames_from_a_file(tmp_path):
    kit = LogKit(session_id=-3, stream_id=8, initial_term_id=70)
    kit.is_connected = True
    kit.append(b"hello", 99)
    kit.reopen()
    kit.append_padding(0)
    kit.append(b"x" * 100)
    kit.claim(10)
    struct.pack_into("<q", kit.metadata, 256, 4711)
    struct.pack_into("<5q", kit.metadata, 448, 1, 2, 3, 4, 5)
    struct.pack_into("<q", kit.metadata, 500, 6)
    kit.metadata[491] = 1
    kit.metadata[496] = 1
    path = tmp_path / "17.logbuffer"
    path.write_bytes(kit.memory)
    with LogInspector(path) as inspector:
        metadata = inspector.metadata
        frames = list(inspector.frames(payload_limit=10))
    assert (metadata.term_length, metadata.page_size, metadata.mtu_length) == (65536, 4096, 1408)
    assert (metadata.session_id, metadata.stream_id, metadata.initial_term_id) == (-3, 8, 70)
    assert metadata.correlation_id == 4711
    assert metadata.entity_tag == 1
    assert metadata.response_correlation_id == 2
    assert metadata.linger_timeout_ns == 3
    assert metadata.untethered_window_limit_timeout_ns == 4
    assert metadata.untethered_resting_timeout_ns == 5
    assert metadata.untethered_linger_timeout_ns == 6
    assert metadata.reliable
    assert metadata.is_publication_revoked
    assert metadata.is_connected
    assert not metadata.tether
    assert metadata.type_name == "concurrent"
    assert metadata.end_of_stream_position == 2**63 - 1
    assert metadata.producer_position == kit.producer_position
    assert [(f.offset, f.type_name, f.frame_length, f.payload) for f in frames] == [
        (0, "DATA", 37, b"hello"),
        (64, "PAD", 32, b""),
        (96, "DATA", 132, b"x" * 10),
        (256, "DATA", -42, b""),
    ]
    assert frames[0].reserved_value == 99
    assert (frames[0].term_id, frames[0].term_offset, frames[0].flags) == (70, 0, 0xC0)
    assert [f.is_committed for f in frames] == [True, True, True, False]


def test_frames_come_from_the_oldest_term_to_the_newest():
    kit = LogKit(initial_term_id=-1, start_term_id=0)
    for _ in range(2):
        while kit.append(bytes(1000)) > 0:
            pass
    kit.append(b"in the newest")
    with LogInspector(kit.memory) as inspector:
        terms = [frame.term_id for frame in inspector.frames()]
        assert terms == sorted(terms)
        assert set(terms) == {0, 1, 2}
        assert {f.partition_index for f in inspector.frames(0)} == {0}
        with pytest.raises(ValueError, match="partition 3"):
            next(inspector.frames(3))


def test_refresh_sees_the_log_move():
    kit = LogKit()
    with LogInspector(kit.memory) as inspector:
        assert inspector.metadata.producer_position == 0
        end = kit.append(b"x")
        assert inspector.refresh().producer_position == end


@pytest.mark.parametrize("length", [0, 1, 4096, METADATA, METADATA + 4095])
def test_a_short_file_is_refused(tmp_path, length):
    path = tmp_path / "short.logbuffer"
    path.write_bytes(bytes(LogKit().memory)[:length])
    with pytest.raises(LogFormatError, match=f"{length} bytes"):
        LogInspector(path)


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (276, 65535, "term length 65535"),
        (276, -1, "term length -1"),
        (276, 131072, "make 397312"),
        (280, 0, "page size 0"),
        (280, 1 << 20, "make 1048576"),
    ],
)
def test_impossible_metadata_is_refused_and_named(offset, value, what):
    kit = LogKit()
    struct.pack_into("<i", kit.metadata, offset, value)
    with pytest.raises(LogFormatError, match=what):
        LogInspector(kit.memory)


def test_a_corrupt_length_is_named_after_the_good_frames():
    kit = LogKit()
    end = kit.append(b"good")
    for length in (31, 2**31 - 1, -(2**31), 65536):
        struct.pack_into("<i", kit.term(0), end, length)
        with LogInspector(kit.memory) as inspector:
            frames = inspector.frames(0)
            assert next(frames).payload == b"good"
            with pytest.raises(LogFormatError, match=f"frame length {length} at offset {end}"):
                next(frames)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        LogInspector(tmp_path / "none")
    with pytest.raises(LogFormatError, match="not a regular file"):
        LogInspector(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogFormatError, match="not a regular file"):
        LogInspector(tmp_path / "pipe")


def test_a_file_cut_off_while_open(tmp_path):
    kit = LogKit()
    kit.append(b"x")
    path = tmp_path / "cut.logbuffer"
    path.write_bytes(kit.memory)
    with LogInspector(path) as inspector:
        os.truncate(path, 16)
        with pytest.raises(LogFormatError, match="cut off"):
            list(inspector.frames(0))


@settings(max_examples=150, deadline=None)
@given(
    places=st.lists(
        st.tuples(
            st.one_of(st.integers(0, 2000), st.integers(METADATA, METADATA + 512)),
            st.binary(min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_garbage_gives_frames_or_the_typed_error(places):
    kit = LogKit()
    for number in range(10):
        kit.append(bytes(number * 20))
    for at, data in places:
        kit.memory[at : at + len(data)] = data
    with suppress(LogFormatError), LogInspector(kit.memory) as inspector:
        repr((inspector.metadata, inspector.metadata.producer_position))
        assert sum(1 for _ in inspector.frames()) <= 3 * 2048
