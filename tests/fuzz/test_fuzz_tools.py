"""What tools and clients read of a driver's files, after somebody scribbled over them.

Whatever the bytes are: a reader comes to an end, stays inside of its buffer, and says a typed error
or nothing. Every input is a sound buffer with a few words changed, so most decode far.
"""

# ruff: noqa: PT017 - whether an error comes is open, what it says when it comes is not

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import amount
import hostile
import pytest

from volans.cli.counter_rows import read_rows
from volans.cli.stream_rows import backlog_rows, group_by_stream, stream_rows
from volans.driver.config import ConfigError, DriverConfig
from volans.driver.config_table import SETTINGS
from volans.log.inspect import LogFormatError, LogInspector
from volans.memory import (
    BroadcastTransmitter,
    CopyBroadcastReceiver,
    CountersManager,
    CountersReader,
    DistinctErrorLog,
    ErrorLogReader,
    LossReport,
    LossReportReader,
    ManyToOneRingBuffer,
    OneToOneRingBuffer,
)
from volans.memory.errors import BroadcastLappedError
from volans.protocol import counter_types

SEEDS = 2
TERM_LENGTH = 65536
TEXTS = ("no such channel", "a" * 300, "\u00fc", "x")


def scribbles(seed: int, sound: bytes, regions: list[tuple[int, int]]) -> Callable[[], bytearray]:
    """A source of inputs: the sound buffer with some words of some regions changed."""
    rng = random.Random(seed)

    def make() -> bytearray:
        data = bytearray(sound)
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            begin, end = rng.choice(regions)
            at = rng.randrange(begin, end - 7)
            if rng.random() < 0.7:
                struct.pack_into("<i", data, at & ~3, rng.choice(hostile.EXTREMES))
            elif rng.random() < 0.5:
                struct.pack_into("<q", data, at & ~7, rng.choice(hostile.INT64_EXTREMES))
            else:
                data[at] = rng.randrange(256)
        return data

    return make


@pytest.mark.parametrize("seed", range(SEEDS))
def test_error_logs(seed: int) -> None:
    sound = bytearray(4096)
    log = DistinctErrorLog(sound, lambda: 77)
    for text in TEXTS:
        log.record(text)
    make = scribbles(seed, bytes(sound), [(0, 800)])
    corrupt = 0
    for _ in range(amount.inputs(SEEDS)):
        reader = ErrorLogReader(make())
        observations = reader.read()
        assert len(observations) <= 4096 // 24
        assert sum(len(each.text) for each in observations) <= 2 * 4096
        corrupt += reader.corrupt_offset is not None
    assert corrupt > 0


@pytest.mark.parametrize("seed", range(SEEDS))
def test_loss_reports(seed: int) -> None:
    sound = bytearray(8192)
    report = LossReport(sound)
    for number in range(5):
        report.create_entry(100, 5, number, 10, f"aeron:udp?alias={'c' * number}", "10.0.0.1:5")
    make = scribbles(seed, bytes(sound), [(0, 900)])
    corrupt = 0
    for _ in range(amount.inputs(SEEDS)):
        reader = LossReportReader(make())
        entries = reader.read()
        assert len(entries) <= 8192 // 64
        corrupt += reader.corrupt_offset is not None
    assert corrupt > 0


@pytest.mark.parametrize("seed", range(SEEDS))
def test_counters_as_the_tools_show_them(seed: int) -> None:
    """Labels, keys and states of any content, through every table that is made of them."""
    count = 8
    metadata, values = bytearray(512 * count), bytearray(128 * count)
    manager = CountersManager(metadata, values, epoch_clock_ms=lambda: 5)
    stream_key = struct.pack("<qiii", 7, 1001, 10, 40) + b"aeron:udp?endpoint=10.0.0.1:40123    "
    for type_id in (0, 1, 2, 3, 4, 9, 10, 11):
        manager.allocate(type_id, stream_key, f"label of {type_id}", registration_id=type_id)
    make = scribbles(
        seed, bytes(metadata), [(512 * n, 512 * n + 160) for n in range(count)] + [(0, 512 * count)]
    )
    for _ in range(amount.inputs(SEEDS)):
        reader = CountersReader(make(), values)
        assert len(list(reader)) <= count
        rows = list(read_rows(reader))
        streams = group_by_stream(rows)
        stream_rows(streams)
        backlog_rows(streams)
        for row in rows:
            row.as_json()


def test_counter_keys() -> None:
    rng = random.Random(6)
    for _ in range(amount.inputs()):
        type_id = rng.choice((*range(-2, 24), *hostile.EXTREMES))
        counter_types.describe(type_id, rng.randbytes(rng.randrange(0, 113)))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_log_files(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    at = 3 * TERM_LENGTH
    sound = bytearray(at + 4096)
    struct.pack_into("<qiiii", sound, at + 256, 5, 7, 32, 1408, TERM_LENGTH)
    struct.pack_into("<i", sound, at + 280, 4096)
    struct.pack_into("<qqq", sound, at, (7 << 32) | 4096, 4 << 32, 5 << 32)
    for offset in range(0, 4096, 128):
        sound[offset : offset + 128] = hostile.data(1001, 10, 7, offset, b"p" * 96)
    make = scribbles(seed, bytes(sound[at:]), [(0, 512), (0, 64), (256, 300)])
    judged = 0
    for _ in range(amount.inputs(SEEDS)):
        sound[at:] = make()
        struct.pack_into(
            "<i", sound, rng.randrange(0, 32) * 128, rng.choice((*hostile.EXTREMES, 128, 128))
        )
        try:
            with LogInspector(sound) as inspector:
                frames = list(inspector.frames())
                assert len(frames) <= 3 * TERM_LENGTH // 32
                judged += bool(frames)
        except LogFormatError as error:
            assert str(error)
        for offset in range(0, 4096, 128):
            struct.pack_into("<i", sound, offset, 128)
    assert judged > 0


@pytest.mark.parametrize("kind", [ManyToOneRingBuffer, OneToOneRingBuffer])
def test_rings(kind: type) -> None:
    """The driver's side of the command ring, which any client can write anything into."""
    sound = bytearray(1024 + 768)
    ring = kind(sound)
    for length in (8, 24, 100, 8):
        assert ring.write(5, b"m" * length)
    make = scribbles(3, bytes(sound), [(0, 256), (0, 1024)])
    taken = 0
    for _ in range(amount.inputs(2)):
        ring = kind(make())
        lengths: list[int] = []
        for _ in range(3):
            ring.read(lambda _type, payload: lengths.append(len(payload)), 100)  # noqa: B023
        ring.unblock()
        assert sum(lengths) <= 3 * 1024
        taken += bool(lengths)
    assert taken > 0


def test_broadcasts() -> None:
    """The client's side of the driver's events."""
    sound = bytearray(1024 + 128)
    transmitter = BroadcastTransmitter(sound)
    for length in (8, 24, 100, 8):
        transmitter.transmit(5, b"e" * length)
    make = scribbles(4, bytes(sound), [(0, 256), (0, 1024), (1024, 1024 + 128)])
    taken = 0
    for _ in range(amount.inputs()):
        buffer = bytearray(len(sound))
        receiver = CopyBroadcastReceiver(buffer)
        buffer[:] = make()
        lengths: list[int] = []
        for _ in range(6):
            try:
                receiver.receive(lambda _type, payload: lengths.append(len(payload)))  # noqa: B023
            except BroadcastLappedError:
                break
        assert all(length <= 1024 for length in lengths)
        taken += bool(lengths)
    assert taken > 0


def test_settings() -> None:
    rng = random.Random(8)
    alphabet = "0123456789kmgsnu-.=,|:x \u00fc\0true"
    taken = 0
    for _ in range(amount.inputs()):
        setting = rng.choice(SETTINGS)
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(0, 9)))
        try:
            DriverConfig.from_environment({setting.variable: text})
            taken += 1
        except ConfigError as error:
            assert "\n" not in str(error)
    assert taken > 0
