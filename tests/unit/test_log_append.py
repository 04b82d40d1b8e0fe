"""Why an append is refused, the ends of terms and of the stream, batches, claims and blocks."""

from __future__ import annotations

import struct

import pytest

from volans.testing.log_kit import LogKit

NOT_CONNECTED, BACK_PRESSURED, ADMIN_ACTION = -1, -2, -3
MAX_POSITION_EXCEEDED, MESSAGE_TOO_LONG = -5, -6
TERM_LENGTH = 65536
LAST_COUNT = 2**31 - 1

both = pytest.mark.parametrize("exclusive", [False, True])


def header_at(kit: LogKit, index: int, offset: int) -> tuple:
    return struct.unpack_from("<ibBhiiiiq", kit.term(index), offset)


def ways(kit: LogKit, length: int, exclusive: bool):
    yield kit.append(bytes(length), exclusive=exclusive)
    yield kit.gather([bytes(length)], exclusive=exclusive)
    yield kit.claim(min(length, kit.max_payload_length), exclusive)[0]
    yield kit.batch(bytes(length), length, exclusive=exclusive)[1]
    if exclusive:
        yield kit.append_padding(length)


@both
def test_frame_bytes(exclusive):
    kit = LogKit(session_id=0x11223344, stream_id=0x55667788, initial_term_id=9)
    assert kit.append(b"hello", 0x0102030405060708, exclusive) == 64
    assert (
        bytes(kit.term(0)[:40])
        == bytes.fromhex("25000000 00 c0 0100 00000000 44332211 88776655 09000000 0807060504030201")
        + b"hello\0\0\0"
    )


@both
def test_nothing_is_touched_at_the_limit_and_the_reason_is_told(exclusive):
    kit = LogKit()
    kit.position_limit = 0
    before = bytes(kit.memory)
    assert set(ways(kit, 100, exclusive)) == {NOT_CONNECTED}
    kit.is_connected = True
    assert set(ways(kit, 100, exclusive)) == {BACK_PRESSURED}
    kit.is_connected = False
    assert bytes(kit.memory) == before
    kit.position_limit = 1
    assert kit.append(b"x", exclusive=exclusive) == 64


@both
def test_too_long_is_told_before_anything_is_touched(exclusive):
    kit = LogKit()
    kit.is_connected = True
    assert kit.max_message_length == 8192
    for limit in (0, 2**60):
        kit.position_limit = limit
        before = bytes(kit.memory)
        assert kit.append(bytes(8193), exclusive=exclusive) == MESSAGE_TOO_LONG
        assert kit.gather([bytes(8000), bytes(193)], exclusive=exclusive) == MESSAGE_TOO_LONG
        assert kit.claim(1377, exclusive) == (MESSAGE_TOO_LONG, None)
        assert kit.claim(-1, exclusive) == (MESSAGE_TOO_LONG, None)
        assert kit.batch(bytes(8193 * 2), 8193, exclusive=exclusive) == (0, MESSAGE_TOO_LONG)
        assert kit.append_padding(8193) == MESSAGE_TOO_LONG
        assert bytes(kit.memory) == before
    assert kit.append(bytes(8192), exclusive=exclusive) > 0


def test_max_message_length_is_an_eighth_of_the_term_and_never_above_16_mib():
    assert LogKit(1 << 20).max_message_length == 1 << 17
    assert LogKit(1 << 28).max_message_length == 16 << 20


@both
def test_who_trips_pads_the_rest_and_rotates(exclusive):
    kit = LogKit(session_id=3, stream_id=4, initial_term_id=100, start_term_offset=65536 - 96)
    assert kit.append(bytes(100), exclusive=exclusive) == ADMIN_ACTION
    assert header_at(kit, 0, 65536 - 96) == (96, 0, 0xC0, 0, 65536 - 96, 3, 4, 100, 0)
    assert kit.active_term_count == 1
    assert kit.tails[1] == (101, 0)
    assert kit.position(exclusive) == kit.producer_position == 65536
    assert kit.append(bytes(100), exclusive=exclusive) == 65536 + 160
    assert header_at(kit, 1, 0)[4:8] == (0, 3, 4, 101)


@both
def test_a_term_filled_to_its_last_byte_needs_no_padding(exclusive):
    kit = LogKit(start_term_offset=65536 - 96)
    assert kit.append(bytes(64), exclusive=exclusive) == 65536
    before = bytes(kit.term(0))
    assert kit.active_term_count == 0
    assert kit.append(b"", exclusive=exclusive) == ADMIN_ACTION
    assert bytes(kit.term(0)) == before
    assert kit.append(b"", exclusive=exclusive) == 65536 + 32


def test_a_producer_that_comes_behind_the_one_who_tripped_only_rotates():
    kit = LogKit()
    # Another one reserved up to and past the end and has done nothing yet.
    kit.set_tail(0, 0, TERM_LENGTH + 64)
    before = bytes(kit.term(0))
    assert kit.append(b"x") == ADMIN_ACTION
    assert bytes(kit.term(0)) == before
    assert kit.active_term_count == 1


def test_while_another_producer_rotates_one_is_told_to_try_again():
    kit = LogKit()
    kit.append(b"x")
    for count in range(1, 3):
        kit.rotate(count - 1, count - 1)
    # The count says term 2, the tail of its partition still belongs to the round before.
    kit.set_tail(2, -1, 0)
    before = bytes(kit.memory)
    assert kit.append(b"x") == ADMIN_ACTION
    assert kit.claim(1)[0] == ADMIN_ACTION
    assert kit.batch(b"x", 1) == (0, ADMIN_ACTION)
    assert bytes(kit.memory) == before


def test_rotation_happens_once_however_many_ask_for_it():
    kit = LogKit(initial_term_id=-1)
    assert kit.rotate(0, -1)
    assert not kit.rotate(0, -1)
    assert kit.active_term_count == 1
    assert kit.tails == [(-1, 0), (0, 0), (-2, 0)]


@both
def test_the_stream_ends_at_the_max_position(exclusive):
    initial = 7
    last = (initial + LAST_COUNT + 2**31) % 2**32 - 2**31
    kit = LogKit(initial_term_id=initial, start_term_id=last, start_term_offset=65536 - 128)
    kit.is_connected = True
    end = TERM_LENGTH << 31
    assert kit.append(b"", exclusive=exclusive) == end - 96
    assert kit.append(bytes(1000), exclusive=exclusive) == MAX_POSITION_EXCEEDED
    padding_index = LAST_COUNT % 3
    assert header_at(kit, padding_index, 65536 - 96)[:4] == (96, 0, 0xC0, 0)
    assert kit.active_term_count == LAST_COUNT
    kit.position_limit = end
    before = bytes(kit.memory)
    for result in ways(kit, 10, exclusive):
        assert result == MAX_POSITION_EXCEEDED
    if exclusive:
        assert kit.append_block(bytes(64)) == MAX_POSITION_EXCEEDED
    assert bytes(kit.memory) == before


@both
def test_back_pressure_so_near_the_end_of_the_stream_that_nothing_can_follow(exclusive):
    last = -1 + LAST_COUNT
    kit = LogKit(initial_term_id=-1, start_term_id=last, start_term_offset=65536 - 64)
    kit.is_connected = True
    kit.position_limit = 0
    assert kit.append(bytes(32), exclusive=exclusive) == MAX_POSITION_EXCEEDED
    kit = LogKit(initial_term_id=-1, start_term_id=last, start_term_offset=65536 - 128)
    kit.is_connected = True
    kit.position_limit = 0
    assert kit.append(bytes(32), exclusive=exclusive) == BACK_PRESSURED


@both
def test_a_batch_stops_at_the_limit_and_tells_why(exclusive):
    kit = LogKit()
    kit.is_connected = True
    kit.position_limit = 64 * 3 + 1
    messages = b"".join(bytes([i]) * 32 for i in range(10))
    assert kit.batch(messages, 32, exclusive=exclusive) == (4, BACK_PRESSURED)
    fragments, position = kit.read(0)
    assert [f.payload[0] for f in fragments] == [0, 1, 2, 3]
    assert position == kit.producer_position == 256
    kit.position_limit = 64 * 6
    assert kit.batch(messages, 32, exclusive=exclusive) == (2, BACK_PRESSURED)
    assert kit.producer_position == 64 * 6


@both
def test_a_batch_delivers_its_beginning_when_the_term_ends(exclusive):
    kit = LogKit(start_term_offset=65536 - 224)
    assert kit.batch(bytes(32 * 10), 32, exclusive=exclusive) == (3, ADMIN_ACTION)
    fragments, position = kit.read(65536 - 224)
    assert len(fragments) == 3
    assert position == 65536
    assert kit.batch(bytes(32 * 7), 32, exclusive=exclusive) == (7, 65536 + 7 * 64)


@both
def test_a_batch_of_fragmented_messages(exclusive):
    kit = LogKit()
    payload = bytes(range(250)) * 8
    accepted, code = kit.batch(payload * 3, 2000, exclusive=exclusive)
    assert (accepted, code) == (3, kit.producer_position)
    fragments, _ = kit.read(0)
    assert b"".join(f.payload for f in fragments) == payload * 3
    assert [f.flags for f in fragments] == [0x80, 0x40] * 3


def test_a_claim_is_invisible_until_committed_and_an_aborted_one_is_skipped():
    kit = LogKit()
    _, first = kit.claim(5)
    _, second = kit.claim(6)
    kit.append(b"third")
    assert kit.read(0) == ([], 0)
    assert header_at(kit, 0, 0)[0] == -37
    second.write(b"second")
    second.commit()
    assert kit.read(0) == ([], 0)
    first.abort()
    assert header_at(kit, 0, 0)[:4] == (37, 0, 0xC0, 0)
    fragments, position = kit.read(0)
    assert [f.payload for f in fragments] == [b"second", b"third"]
    assert position == 192


def test_a_block_goes_in_as_it_is_and_the_first_length_commits_it():
    source = LogKit()
    source.append(b"one")
    source.append(bytes(5000))
    end = source.append(b"three")
    kit = LogKit()
    assert kit.append_block(source.term(0)[:end]) == end
    assert kit.memory[:65536] == source.memory[:65536]
    assert kit.position(True) == kit.producer_position == end
    assert kit.append_block(bytes(65536 - end + 32)) == MESSAGE_TOO_LONG
    assert kit.append_block(bytes(31)) == MESSAGE_TOO_LONG
    kit.position_limit = end
    assert kit.append_block(bytes(64)) == NOT_CONNECTED


def test_a_block_for_a_full_term_begins_the_next():
    kit = LogKit(start_term_offset=65536 - 32)
    assert kit.append(b"", exclusive=True) == 65536
    frame = struct.pack("<ibBhiiiiq", 40, 0, 0xC0, 1, 0, 1001, 10, 1, 0).ljust(64, b"!")
    assert kit.append_block(frame) == 65536 + 64
    assert bytes(kit.term(1)[:64]) == frame


def test_an_exclusive_appender_goes_on_where_the_log_stands():
    kit = LogKit(initial_term_id=50, start_term_id=54, start_term_offset=4096)
    assert kit.tails == [(53, 0), (54, 4096), (52, 0)]
    assert kit.append(b"a", exclusive=True) == 4 * 65536 + 4096 + 64
    kit.reopen()
    assert kit.append(b"b", exclusive=True) == 4 * 65536 + 4096 + 128
