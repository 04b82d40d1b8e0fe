"""Whatever is appended, by whichever way, is read back, byte for byte as a naive model has it."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.log_kit import LogKit

ADMIN_ACTION = -3
HEADER = struct.Struct("<ibBhiiiiq")
SESSION_ID = -7
STREAM_ID = 1234


def align(length: int) -> int:
    return (length + 31) // 32 * 32


class NaiveLog:
    """Bytes of an endless stream of terms, as PROTOCOL.md section 3 describes them."""

    def __init__(self, term_length: int, mtu_length: int, initial_term_id: int, position: int):
        self.term_length = term_length
        self.max_payload = mtu_length - 32
        self.initial_term_id = initial_term_id
        self.position = position
        self.fragments: list[tuple] = []
        self.image: dict[int, bytes] = {}

    def term_id(self) -> int:
        count = self.position // self.term_length
        return (self.initial_term_id + count + 2**31) % 2**32 - 2**31

    def frame(self, frame_length, flags, kind, reserved, payload):
        header = HEADER.pack(
            frame_length,
            0,
            flags,
            kind,
            self.position % self.term_length,
            SESSION_ID,
            STREAM_ID,
            self.term_id(),
            reserved,
        )
        self.image[self.position] = header + payload
        if kind == 1:
            self.fragments.append((payload, flags, reserved))
        self.position += align(frame_length)

    def framed(self, length: int) -> int:
        if length <= self.max_payload:
            return align(length + 32)
        whole, rest = divmod(length, self.max_payload)
        return whole * align(self.max_payload + 32) + (align(rest + 32) if rest else 0)

    def trips(self, framed: int) -> bool:
        rest = -self.position % self.term_length
        if self.at_end_of_term:
            self.at_end_of_term = False
            return True
        if framed <= rest or rest == 0:
            self.at_end_of_term = framed == rest or (rest == 0 and framed == self.term_length)
            return False
        self.frame(rest, 0xC0, 0, 0, b"")
        return True

    at_end_of_term = False

    def message(self, payload: bytes, reserved: int) -> None:
        if len(payload) <= self.max_payload:
            self.frame(len(payload) + 32, 0xC0, 1, reserved, payload)
            return
        pieces = [
            payload[i : i + self.max_payload] for i in range(0, len(payload), self.max_payload)
        ]
        for index, piece in enumerate(pieces):
            flags = (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0)
            self.frame(len(piece) + 32, flags, 1, reserved, piece)

    def skip(self, length: int) -> None:
        self.frame(length + 32, 0xC0, 0, 0, b"")


def payload_of(number: int, length: int) -> bytes:
    return bytes((number * 37 + i * 11) % 256 for i in range(min(length, 300))).ljust(length, b"~")


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["append", "gather", "claim", "abort", "batch", "padding"]),
        st.one_of(st.integers(0, 200), st.integers(0, 8192)),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(1, 5),
    ),
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(
    operations=OPERATIONS,
    exclusive=st.booleans(),
    term_length=st.sampled_from([65536, 131072]),
    mtu_length=st.sampled_from([64, 96, 1408, 8192, 65504]),
    initial_term_id=st.sampled_from([0, 5, -1, 2**31 - 2, -(2**31)]),
    start_count=st.integers(0, 7),
    start_offset=st.sampled_from([0, 32, 65536 - 64, 65536 - 4096]),
)
def test_every_way_of_appending_agrees_with_the_model(
    operations, exclusive, term_length, mtu_length, initial_term_id, start_count, start_offset
):
    start = start_count * term_length + start_offset
    model = NaiveLog(term_length, mtu_length, initial_term_id, start)
    kit = LogKit(
        term_length,
        mtu_length,
        session_id=SESSION_ID,
        stream_id=STREAM_ID,
        initial_term_id=initial_term_id,
        start_term_id=model.term_id(),
        start_term_offset=start_offset,
    )
    assert kit.position(exclusive) == start
    read_position = start
    clean_position = start
    read: list[tuple] = []

    def drain() -> None:
        nonlocal read_position, clean_position
        while True:
            fragments, position = kit.read(read_position, limit=7)
            if position == read_position:
                break
            assert position // term_length in (
                read_position // term_length,
                read_position // term_length + (position % term_length == 0),
            )
            read.extend((f.payload, f.flags, f.reserved_value) for f in fragments)
            read_position = position
        for at, expected in model.image.items():
            term = kit.term(at // term_length)
            assert bytes(term[at % term_length :][: len(expected)]) == expected
        model.image.clear()
        while clean_position < read_position:
            clean_position = kit.clean(clean_position, read_position)

    for number, (kind, length, reserved, count) in enumerate(operations):
        length = min(length, kit.max_message_length)
        if kind in ("claim", "abort", "batch"):
            length = min(length, model.max_payload)
        if kind == "padding" and not exclusive:
            continue
        payload = payload_of(number, length)
        framed = model.framed(length) if kind != "padding" else align(length + 32)
        if kind == "batch":
            stride = length + 3
            messages = b"".join(payload_of(number + i, length) + b"###" for i in range(count))
            sent = 0
            while sent < count:
                accepted, code = kit.batch(
                    messages[sent * stride :], length, stride, exclusive=exclusive
                )
                for _ in range(accepted):
                    assert not model.trips(framed)
                    model.message(payload_of(number + sent, length), 0)
                    sent += 1
                if sent < count:
                    assert code == ADMIN_ACTION
                    assert model.trips(framed)
                else:
                    assert code == model.position
            drain()
            continue
        while True:
            handle = None
            if kind == "append":
                result = kit.append(payload, reserved, exclusive)
            elif kind == "gather":
                cut = length // count
                parts = [payload[:cut], b"", payload[cut : cut * 2], payload[cut * 2 :]]
                result = kit.gather(parts, reserved, exclusive)
            elif kind == "padding":
                result = kit.append_padding(length)
            else:
                result, handle = kit.claim(length, exclusive)
            if not model.trips(framed):
                break
            assert result == ADMIN_ACTION
        if kind in ("append", "gather"):
            model.message(payload, reserved)
        elif kind == "padding":
            model.skip(length)
        else:
            before, at = kit.read(read_position)
            handle.write(payload)
            assert kit.read(read_position) == (before, at), "an uncommitted claim is visible"
            if kind == "claim":
                handle.commit()
                model.message(payload, 0)
            else:
                handle.abort()
                at = model.position
                model.skip(length)
                model.image[at] = model.image[at][:32]
        assert result == model.position
        assert kit.position(exclusive) == result
        assert kit.producer_position == result
        drain()
    assert read == model.fragments
    assert read_position == model.position


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 500), min_size=1, max_size=40),
    limit=st.integers(0, 12),
    bound=st.integers(0, 20000),
)
def test_reading_stops_at_the_fragment_limit_and_at_the_position_limit(lengths, limit, bound):
    kit = LogKit()
    positions = [0]
    for length in lengths:
        positions.append(kit.append(bytes(length)))
    fragments, position = kit.read(0, limit_position=bound, limit=limit)
    # A frame that begins before the bound is read whole.
    expected = min(limit, sum(1 for at in positions[:-1] if at < bound))
    assert len(fragments) == expected
    assert position == positions[expected]
    assert [len(f.payload) for f in fragments] == lengths[:expected]


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 300), min_size=1, max_size=30),
    actions=st.lists(st.integers(1, 4), max_size=30),
)
def test_controlled_reading_obeys_every_action(lengths, actions):
    kit = LogKit()
    ends = [kit.append(bytes(length)) for length in lengths]
    count, seen, position = kit.read_controlled(0, actions)
    handed = expected_count = 0
    expected_position = 0
    for index, end in enumerate(ends):
        handed += 1
        action = actions[index] if index < len(actions) else 4
        if action == 1:  # ABORT: as if it had not been seen
            break
        expected_count += 1
        expected_position = end
        if action == 2:  # BREAK: this one counts, nothing more
            break
    assert len(seen) == handed
    assert (count, position) == (expected_count, expected_position)
