"""Log memory that somebody scribbled over: no walker leaves the term, none goes on for ever.

A publication's log is written by its clients, an image's by whatever datagrams overlap; the driver
and the readers walk both.
"""

from __future__ import annotations

import random
import struct

import amount
import hostile
import pytest

from volans.log.inspect import LogFormatError, LogInspector
from volans.testing.log_kit import LogKit, wrap_code

TERM_LENGTH = 65536
SEEDS = 4
ROUNDS = amount.inputs(SEEDS)


def scribble(rng: random.Random, term: memoryview) -> None:
    """Words that could be lengths, everywhere a frame may begin."""
    for offset in range(0, TERM_LENGTH, 32):
        if rng.random() < 0.5:
            length = rng.choice((*hostile.EXTREMES, 32, 64, 96, 1408))
            kind = rng.choice((0, 1, 1, 1, 5))
            struct.pack_into("<ibBhiiii", term, offset, length, 0, 0xC0, kind, offset, 1001, 10, 7)
            struct.pack_into("<q", term, offset + 24, 0)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_walkers_stay_inside_of_the_term(seed):
    rng = random.Random(seed)
    kit = LogKit(term_length=TERM_LENGTH, session_id=1001, stream_id=10, initial_term_id=7)
    for _ in range(ROUNDS):
        index = rng.randrange(3)
        term = kit.term(index)
        if rng.random() < 0.1:
            scribble(rng, term)
        else:
            at = rng.randrange(0, 2048) * 32
            struct.pack_into("<i", term, at, rng.choice(hostile.EXTREMES))
            struct.pack_into("<h", term, at + 6, rng.choice((0, 1)))
        start = rng.randrange(0, 2048) * 32
        limit = rng.randrange(start, TERM_LENGTH + 1) & ~31
        offset, length = kit.gap_scan(index, start, limit)
        assert start <= offset <= limit
        assert length >= 0
        assert offset + length <= limit
        kit.scan_block(index, start, limit)  # its caller judges padding against the term
        available, _padding = kit.scan_available(index, start, limit - start)
        assert available <= limit - start
        position = index * TERM_LENGTH + start
        frames = kit.read(position, limit=100)
        assert frames is not None
        kit.gap_fill(index, 7 + index, start, min(64, TERM_LENGTH - start))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_appending_and_unblocking_on_scribbled_metadata(seed):
    rng = random.Random(seed)
    for _ in range(60):
        kit = LogKit(term_length=TERM_LENGTH, session_id=1001, stream_id=10, initial_term_id=7)
        for _ in range(3):
            kit.append(rng.randbytes(100))
        scribble(rng, kit.term(rng.randrange(3)))
        for index in range(3):
            kit.set_tail(index, rng.choice((7, 8, *hostile.EXTREMES)), rng.choice((0, 64, 65536)))
        if rng.random() < 0.5:
            struct.pack_into("<i", kit.metadata, 24, rng.choice((0, 1, 2, -1, *hostile.EXTREMES)))
        for _ in range(20):
            kit.append(rng.randbytes(rng.randrange(0, 3000)), exclusive=rng.random() < 0.3)
            kit.unblock(rng.randrange(0, 3 * TERM_LENGTH, 32))
            kit.clean(0, rng.randrange(0, 3 * TERM_LENGTH, 32))
            assert kit.producer_position is not None


@pytest.mark.parametrize("seed", range(2))
def test_metadata_of_any_content_is_judged(seed, tmp_path):
    rng = random.Random(seed)
    file_length = 3 * TERM_LENGTH + 4096
    taken = 0
    for _ in range(amount.scaled(1500)):
        log = bytearray(file_length)
        at = 3 * TERM_LENGTH
        struct.pack_into("<qiiii", log, at + 256, 5, 7, 32, 1408, TERM_LENGTH)
        struct.pack_into("<i", log, at + 280, 4096)
        for _ in range(rng.randrange(0, 4)):
            word = at + rng.randrange(0, 128) * 4
            struct.pack_into("<i", log, word, rng.choice(hostile.EXTREMES))
        cut = file_length if rng.random() < 0.7 else rng.choice((0, 1, 4095, 4096, 70000, at))
        log = log[:cut]
        code = wrap_code(log)
        if code == 0:
            taken += 1
        else:
            assert code in (-1, -2, -3)
        try:
            with LogInspector(bytes(log)) as inspector:
                assert inspector.metadata.term_length == TERM_LENGTH
        except LogFormatError as error:
            assert str(error)  # noqa: PT017
    assert 0 < taken < amount.scaled(1500)
