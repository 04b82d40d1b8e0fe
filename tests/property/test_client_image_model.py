"""Images read any sequence of frames as a naive model does, in every way of reading."""

from __future__ import annotations

import ctypes
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.client.image import Image
from volans.client.log_file import CorruptLogError, LogFile, LogFileError
from volans.client.results import ControlledAction
from volans.memory.mapped import MappedFile
from volans.testing.log_kit import LogKit, file_length

TERM_LENGTH = 65536
FIRST_TERM_ID = -3
BEGIN, END, PAD = 0x80, 0x40, 0
HEADER = struct.Struct("<ibBhiiiiq")


class Stream:
    """A log file, its subscriber position and an image over both."""

    def __init__(self, directory: str) -> None:
        path = str(Path(directory, "1.logbuffer"))
        self.mapped = MappedFile.create(path, file_length(TERM_LENGTH, 4096))
        self.kit = LogKit(
            TERM_LENGTH, initial_term_id=FIRST_TERM_ID, buffer=self.mapped, image=True
        )
        self.counter = ctypes.c_int64(0)
        self.image = Image(
            None,
            None,
            LogFile(path),
            ctypes.addressof(self.counter),
            self,
            7,
            1001,
            10,
            3,
            "model",
        )
        self.end = 0

    def write(self, payload: bytes, flags: int, frame_type: int = 1, length: int = 0) -> None:
        """One committed frame behind the last; padding says its length."""
        frame_length = length or 32 + len(payload)
        offset = self.end % TERM_LENGTH
        header = HEADER.pack(
            frame_length, 0, flags, frame_type, offset, 1001, 10, FIRST_TERM_ID, self.end
        )
        self.kit.term(0)[offset : offset + 32 + len(payload)] = header + payload
        self.end += -(-frame_length // 32) * 32

    def skip(self, length: int) -> None:
        """A gap that was filled: padding."""
        self.write(b"", 0xC0, PAD, length)

    def close(self) -> None:
        self.image._close()
        self.image._release()
        self.kit = None
        self.mapped.close()


@dataclass
class Piece:
    flags: int
    payload: bytes
    gap_before: bool


pieces = st.builds(
    Piece,
    st.sampled_from([BEGIN | END, BEGIN | END, BEGIN, BEGIN, 0, END, END]),
    st.binary(max_size=70),
    st.sampled_from([False, False, False, True]),
)


def expected(stream: list[Piece]) -> list[bytes]:
    """What whole messages those pieces make."""
    messages: list[bytes] = []
    open_message: bytes | None = None
    for piece in stream:
        whole = piece.flags == BEGIN | END
        if whole:
            messages.append(piece.payload)
            # It lies between the fragments: what follows does not continue them.
            open_message = None
            continue
        if piece.flags & BEGIN:
            open_message = piece.payload
            continue
        if open_message is None:
            continue
        if piece.gap_before:
            open_message = None
            continue
        open_message += piece.payload
        if piece.flags & END:
            messages.append(open_message)
            open_message = None
    return messages


@settings(max_examples=150, deadline=None)
@given(stream=st.lists(pieces, max_size=30), limits=st.lists(st.integers(1, 5), min_size=1))
def test_every_way_of_reading_gives_the_same_messages(stream, limits):
    for way in ("poll", "batch", "controlled"):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
            model = Stream(directory)
            for piece in stream:
                if piece.gap_before:
                    model.skip(64)
                model.write(piece.payload, piece.flags)
            got: list[bytes] = []
            positions: list[int] = []
            turn = 0

            def handler(buffer, header, got=got, positions=positions):
                got.append(bytes(buffer))
                positions.append(header.position)
                assert header.frame_length == 32 + len(buffer)
                assert header.flags & 0xC0 == 0xC0

            while model.image.position < model.end:
                before = model.image.position
                limit = limits[turn % len(limits)]
                turn += 1
                if way == "poll":
                    assert model.image.poll(handler, limit) <= limit
                    assert model.counter.value == model.image.position
                elif way == "controlled":
                    model.image.controlled_poll(handler, limit)
                else:
                    batch = model.image.poll_batch(limit)
                    assert len(batch) <= limit
                    got.extend(batch.tolist())
                    positions.extend(batch.header(index).position for index in range(len(batch)))
                    assert model.counter.value <= batch.position
                    if batch and batch.equal_size is not None:
                        rows = memoryview(batch)
                        assert rows.tobytes() == b"".join(got[-len(batch) :])
                assert model.image.position > before
            assert got == expected(stream)
            assert positions == sorted(positions)
            model.close()


@settings(max_examples=100, deadline=None)
@given(
    stream=st.lists(pieces, max_size=20),
    answers=st.lists(st.sampled_from([1, 1, 2, 3, 4]), min_size=1, max_size=40),
)
def test_controlled_poll_repeats_what_was_aborted(stream, answers):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        model = Stream(directory)
        for piece in stream:
            if piece.gap_before:
                model.skip(32)
            model.write(piece.payload, piece.flags)
        wanted = expected(stream)
        accepted: list[bytes] = []
        script = list(answers)

        def handler(buffer, _header):
            assert bytes(buffer) == wanted[len(accepted)]
            action = ControlledAction(script.pop(0)) if script else ControlledAction.CONTINUE
            if action is not ControlledAction.ABORT:
                accepted.append(bytes(buffer))
            return action

        for _ in range(200):
            model.image.controlled_poll(handler)
            assert model.counter.value == model.image.position
            if model.image.position == model.end:
                break
        assert accepted == wanted
        model.close()


def test_fragments_come_as_they_are(tmp_path):
    model = Stream(str(tmp_path))
    model.write(b"begin", BEGIN)
    model.write(b"middle", 0)
    model.write(b"end", END)
    got = []
    assert model.image.poll(lambda b, h: got.append((bytes(b), h.flags)), fragments=True) == 3
    assert got == [(b"begin", BEGIN), (b"middle", 0), (b"end", END)]
    assert len(model.image.poll_batch(fragments=True)) == 0
    model.close()


@pytest.mark.parametrize("length", [1, 31, TERM_LENGTH + 32, 2**31 - 1])
@pytest.mark.parametrize("way", ["poll", "controlled_poll", "poll_batch"])
def test_impossible_frame_lengths_are_errors(tmp_path, length, way):
    model = Stream(str(tmp_path))
    model.write(b"good", 0xC0)
    model.kit.term(0)[64:68] = struct.pack("<i", length)
    read = getattr(model.image, way)
    got = []
    arguments = () if way == "poll_batch" else (lambda b, _h: got.append(bytes(b)),)
    if way == "poll_batch":
        assert read().tolist() == [b"good"]
    with pytest.raises(CorruptLogError, match=str(length)):
        read(*arguments)
    assert model.image.position == 64
    model.close()


def test_uncommitted_frames_are_not_read(tmp_path):
    model = Stream(str(tmp_path))
    model.write(b"good", 0xC0)
    model.kit.term(0)[64:68] = struct.pack("<i", -40)
    assert model.image.poll(lambda *_: None) == 1
    assert model.image.poll(lambda *_: None) == 0
    assert model.image.block_poll(lambda *_: None) == 0
    model.close()


@pytest.mark.parametrize("content", [b"\0" * 4096, b"\xff" * 8192, b"\0" * (3 * 65536 + 4096)])
def test_what_is_no_log_is_refused(tmp_path, content):
    path = tmp_path / "bad.logbuffer"
    path.write_bytes(content)
    with pytest.raises(LogFileError, match=r"bad\.logbuffer"):
        LogFile(str(path))
