"""A dead producer's half-written messages, of every kind, are skipped; committed ones never are."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.log_kit import LogKit

TERM_LENGTH = 65536


def pad_header(kit: LogKit, index: int, offset: int) -> tuple:
    return struct.unpack_from("<ibBhiiiiq", kit.term(index), offset)


def test_a_claim_that_was_begun_becomes_padding_of_its_length():
    kit = LogKit(session_id=21, stream_id=22, initial_term_id=23)
    at = kit.append(b"before")
    kit.claim(100)
    kit.append(b"after")
    assert kit.unblock(at)
    assert pad_header(kit, 0, at) == (132, 0, 0xC0, 0, at, 21, 22, 23, 0)
    assert [f.payload for f in kit.read(0)[0]] == [b"before", b"after"]


def test_room_that_was_reserved_and_never_begun_is_padded_up_to_the_next_frame():
    kit = LogKit(session_id=21, stream_id=22, initial_term_id=23)
    at = kit.append(b"before")
    kit.set_tail(0, 23, at + 320)
    end = kit.append(b"after")
    assert kit.read(at) == ([], at)
    assert kit.unblock(at)
    assert pad_header(kit, 0, at) == (320, 0, 0xC0, 0, at, 21, 22, 23, 0)
    fragments, position = kit.read(at)
    assert ([f.payload for f in fragments], position) == ([b"after"], end)


def test_the_next_frame_may_be_uncommitted_itself():
    kit = LogKit()
    kit.set_tail(0, 0, 64)
    kit.claim(10)
    assert kit.unblock(0)
    assert kit.read(0) == ([], 64)
    assert kit.unblock(64)
    assert kit.read(64) == ([], 128)


def test_reserved_room_that_nothing_follows_yet_is_left_alone():
    kit = LogKit()
    kit.set_tail(0, 0, 4096)
    before = bytes(kit.memory)
    assert not kit.unblock(0)
    assert bytes(kit.memory) == before


@pytest.mark.parametrize("tail_offset", [TERM_LENGTH, TERM_LENGTH + 96])
def test_reserved_to_the_end_of_the_term_is_padded_and_rotated(tail_offset):
    kit = LogKit()
    at = kit.append(b"before")
    kit.set_tail(0, 0, tail_offset)
    assert kit.unblock(at)
    assert pad_header(kit, 0, at)[0] == TERM_LENGTH - at
    assert kit.active_term_count == 1
    assert kit.read(at) == ([], TERM_LENGTH)
    assert kit.append(b"next") == TERM_LENGTH + 64


def test_the_last_slot_of_a_term_is_not_padded_while_nobody_reserved_it():
    kit = LogKit(start_term_offset=TERM_LENGTH - 32)
    before = bytes(kit.memory)
    assert not kit.unblock(TERM_LENGTH - 32)
    assert bytes(kit.memory) == before


def test_a_complete_term_that_was_never_rotated():
    kit = LogKit(start_term_offset=TERM_LENGTH - 64)
    assert kit.append(b"last") == TERM_LENGTH
    assert kit.unblock(TERM_LENGTH)
    assert kit.active_term_count == 1
    assert kit.append(b"next") == TERM_LENGTH + 64


def test_a_rotation_that_stopped_between_its_two_steps():
    kit = LogKit(start_term_offset=TERM_LENGTH - 64)
    kit.append(b"last")
    kit.set_tail(1, 1, 0)
    assert kit.unblock(TERM_LENGTH)
    assert kit.active_term_count == 1
    assert kit.append(b"next") == TERM_LENGTH + 64


def test_a_corrupt_negative_length_gives_up_the_rest_of_the_term_and_no_more():
    for length in (-1, -(2**31), -TERM_LENGTH - 32):
        kit = LogKit()
        at = kit.append(b"x")
        kit.set_tail(0, 0, at + 64)
        struct.pack_into("<i", kit.term(0), at, length)
        assert kit.unblock(at)
        assert pad_header(kit, 0, at)[0] == TERM_LENGTH - at


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 300), min_size=1, max_size=20),
    exclusive=st.booleans(),
    dirty_position=st.integers(0, 8).map(lambda i: i * TERM_LENGTH),
)
def test_committed_messages_are_never_unblocked(lengths, exclusive, dirty_position):
    kit = LogKit(start_term_id=dirty_position // TERM_LENGTH)
    positions = [dirty_position]
    for length in lengths:
        positions.append(kit.append(bytes(length), exclusive=exclusive))
    before = bytes(kit.memory)
    for position in positions:
        assert not kit.unblock(position)
    # Positions of other rounds of the same partition are not this term.
    assert not kit.unblock(dirty_position + 3 * TERM_LENGTH + 32)
    assert bytes(kit.memory) == before


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["good", "begun", "reserved"]), st.integers(0, 1000)),
        min_size=1,
        max_size=60,
    )
)
def test_whoever_died_the_others_messages_get_through(steps):
    kit = LogKit(65536)
    sent = []
    for number, (kind, length) in enumerate([*steps, ("good", 1)]):
        payload = bytes([number]) * length
        while True:
            if kind == "good":
                result = kit.append(payload)
            elif kind == "begun":
                result, _ = kit.claim(length)
            else:
                term_id, offset = kit.tails[kit.active_term_count % 3]
                if offset + 64 > 65536:
                    result = kit.append(payload)  # ends the term properly
                else:
                    kit.set_tail(term_id % 3, term_id, offset + 64)
                    break
            if result > 0:
                if kind == "good" or (kind == "reserved"):
                    sent.append(payload)
                break
    received = []
    position = 0
    while position < kit.producer_position:
        fragments, moved = kit.read(position, limit=3)
        received += [f.payload for f in fragments]
        if moved == position:
            assert kit.unblock(position)
        position = moved
    assert received == sent
