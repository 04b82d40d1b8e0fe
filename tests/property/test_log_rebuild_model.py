"""Terms rebuilt from packets in any order, and their holes, against naive models."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.log_kit import LogKit

TERM_LENGTH = 65536


def frame_lengths(term) -> dict[int, int]:
    """Offset to aligned frame length, walking the committed frames."""
    offsets = {}
    offset = 0
    while offset < TERM_LENGTH:
        (length,) = struct.unpack_from("<i", term, offset)
        if length <= 0:
            break
        offsets[offset] = (length + 31) // 32 * 32
        offset += offsets[offset]
    return offsets


def sender_packets(kit: LogKit, index: int, mtu_length: int, end: int) -> list[tuple[int, bytes]]:
    """What a sender makes of a term: datagrams of whole frames, padding as its header alone."""
    packets = []
    offset = 0
    term = kit.term(index)
    while offset < end:
        available, padding = kit.scan_available(
            index, offset, min(mtu_length, TERM_LENGTH - offset)
        )
        assert available > 0
        packets.append((offset, bytes(term[offset : offset + available])))
        offset += available + padding
    assert offset == end
    return packets


def fill_term(kit: LogKit, lengths: list[int]) -> int:
    position = 0
    for number, length in enumerate(lengths):
        result = kit.append(bytes((number + i) % 251 for i in range(length)), number)
        if result < 0:
            return TERM_LENGTH  # tripped: the term ends in padding
        position = result
        if position >= TERM_LENGTH:
            break
    return position


@settings(max_examples=60, deadline=None)
@given(data=st.data(), lengths=st.lists(st.integers(0, 4000), min_size=1, max_size=60))
def test_packets_in_any_order_with_duplicates_rebuild_the_same_bytes(data, lengths):
    mtu_length = data.draw(st.sampled_from([256, 1408, 4096]))
    source = LogKit(TERM_LENGTH, mtu_length)
    end = fill_term(source, lengths)
    packets = sender_packets(source, 0, mtu_length, end)
    order = data.draw(st.permutations(packets))
    again = data.draw(st.lists(st.sampled_from(packets), max_size=5))
    target = LogKit(TERM_LENGTH, mtu_length, image=True)
    arrived: set[int] = set()
    sizes = frame_lengths(source.term(0))
    for offset, packet in [*order, *again]:
        target.insert(0, offset, packet)
        arrived.update(at for at in sizes if offset <= at < offset + len(packet))
        gap_offset, gap_length = target.gap_scan(0, 0, end)
        missing = [at for at in sizes if at not in arrived]
        assert gap_offset == (missing[0] if missing else end)
        if missing:
            following = [at for at in arrived if at > gap_offset]
            assert gap_length == (min(following) if following else end) - gap_offset
        else:
            assert gap_length == 0
    assert target.term(0) == source.term(0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), lengths=st.lists(st.integers(0, 1500), min_size=2, max_size=40))
def test_filling_every_gap_makes_the_term_readable_to_its_end(data, lengths):
    source = LogKit(TERM_LENGTH, 1408)
    end = fill_term(source, lengths)
    packets = sender_packets(source, 0, 1408, end)
    kept = data.draw(st.sets(st.sampled_from(range(len(packets)))))
    target = LogKit(TERM_LENGTH, 1408, session_id=77, stream_id=88, image=True)
    for index in kept:
        target.insert(0, *packets[index])
    fills = 0
    while True:
        gap_offset, gap_length = target.gap_scan(0, 0, end)
        if gap_length == 0:
            break
        assert target.gap_fill(0, 0, gap_offset, gap_length)
        header = struct.unpack_from("<ibBhiiiiq", target.term(0), gap_offset)
        assert header == (gap_length, 0, 0xC0, 0, gap_offset, 77, 88, 0, 0)
        # What was lost may come late: it finds its place taken.
        late = [packet for packet in packets if packet[0] == gap_offset]
        for offset, packet in late:
            target.insert(0, offset, packet)
        assert struct.unpack_from("<ibBhiiiiq", target.term(0), gap_offset) == header
        fills += 1
    assert gap_offset == end
    fragments, position = target.read(0)
    assert position == end
    expected = [
        fragment
        for index in sorted(kept)
        for fragment in source.read(packets[index][0], packets[index][0] + len(packets[index][1]))[
            0
        ]
    ]
    assert fragments == expected


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, 63).map(lambda i: i * 32),
    length=st.integers(1, 64).map(lambda i: i * 32),
    late=st.integers(0, 63),
)
def test_a_gap_is_filled_only_while_it_is_empty(at, length, late):
    target = LogKit(TERM_LENGTH, 1408, image=True)
    offset = at + (late * 32) % length
    struct.pack_into("<i", target.term(0), offset, 32)
    before = bytes(target.memory)
    assert not target.gap_fill(0, 0, at, length)
    assert bytes(target.memory) == before


@settings(max_examples=60, deadline=None)
@given(
    begin=st.integers(0, 3 * 2048 - 1).map(lambda i: i * 32),
    length=st.integers(0, 4096).map(lambda i: i * 32),
    max_bytes=st.integers(0, 70000),
)
def test_cleaning_zeroes_exactly_its_range(begin, length, max_bytes):
    kit = LogKit(TERM_LENGTH)
    kit.memory[: 3 * TERM_LENGTH] = b"\xaa" * (3 * TERM_LENGTH)
    metadata = bytes(kit.metadata)
    end = kit.clean(begin, begin + length, max_bytes)
    rest_of_term = TERM_LENGTH - begin % TERM_LENGTH
    assert end - begin == min(length, rest_of_term, max_bytes // 32 * 32)
    expected = bytearray(b"\xaa" * (3 * TERM_LENGTH))
    expected[begin:end] = bytes(end - begin)
    assert kit.memory[: 3 * TERM_LENGTH] == expected
    assert bytes(kit.metadata) == metadata


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 1376), min_size=1, max_size=40),
    max_length=st.one_of(st.integers(0, 50), st.integers(0, 2048)).map(lambda i: i * 32),
    padding_at=st.integers(0, 40),
)
def test_scans_for_datagrams_and_blocks_agree_with_a_walk(lengths, max_length, padding_at):
    kit = LogKit(TERM_LENGTH, 1408)
    for index, length in enumerate(lengths):
        if index == padding_at:
            kit.reopen()
            kit.append_padding(length)
        kit.append(bytes(length))
    sizes = frame_lengths(kit.term(0))
    total = padding = 0
    block = 0
    block_open = True
    for offset, size in sizes.items():
        kind = struct.unpack_from("<h", kit.term(0), offset + 6)[0]
        on_wire = size if kind == 1 else 32
        if total + on_wire > max_length:
            if total == 0 and max_length > 0:
                total = -on_wire
            break
        total += on_wire
        if kind == 0:
            padding = size - 32
            break
    for offset, size in sizes.items():
        kind = struct.unpack_from("<h", kit.term(0), offset + 6)[0]
        if offset >= max_length or not block_open:
            break
        if kind == 0:
            block = size if offset == 0 else block
            block_open = False
        elif block + size > max_length:
            block_open = False
        else:
            block += size
    assert kit.scan_available(0, 0, max_length) == (total, padding)
    assert kit.scan_block(0, 0, max_length) == block


def test_a_first_frame_too_long_for_the_datagram_is_told_apart_from_nothing():
    kit = LogKit(TERM_LENGTH, 1408)
    assert kit.scan_available(0, 0, 1408) == (0, 0)
    kit.append(bytes(100))
    assert kit.scan_available(0, 0, 128) == (-160, 0)
    assert kit.scan_available(0, 0, 160) == (160, 0)
    kit.claim(10)
    assert kit.scan_available(0, 0, 1408) == (160, 0)
    assert kit.scan_available(0, 160, 1408) == (0, 0)
