"""Broadcast against a list of messages: order, content, laps, bytes, hostile content."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from volans.memory import (
    BroadcastLappedError,
    BroadcastTransmitter,
    CopyBroadcastReceiver,
    MessageTooLongError,
)

TRAILER = 128


def align(length: int) -> int:
    return (length + 7) // 8 * 8


class Reader:
    """A receiver and the position the model says it stands at."""

    def __init__(self, receiver, position: int) -> None:
        self.receiver = receiver
        self.position = position
        self.laps = 0


class Broadcast(RuleBasedStateMachine):
    @initialize(capacity=st.sampled_from([64, 128, 1024]))
    def make(self, capacity: int) -> None:
        self.capacity = capacity
        self.buffer = bytearray(capacity + TRAILER)
        self.transmitter = BroadcastTransmitter(self.buffer)
        self.messages: list[tuple[int, int, bytes]] = []  # (start, type, payload)
        self.tail = 0
        self.readers = [Reader(CopyBroadcastReceiver(self.buffer), 0)]

    @rule(type_id=st.integers(1, 2**31 - 1), data=st.data())
    def transmit(self, type_id: int, data) -> None:
        payload = data.draw(st.binary(max_size=self.transmitter.max_message_length))
        required = align(8 + len(payload))
        padding_position = self.tail
        to_end = self.capacity - self.tail % self.capacity
        if to_end < required:
            self.tail += to_end
        start = self.tail
        self.tail += required
        self.transmitter.transmit(type_id, payload)
        self.messages.append((start, type_id, payload))
        counters = struct.unpack_from("<qqq", self.buffer, self.capacity)
        assert counters == (self.tail, self.tail, start)
        offset = start % self.capacity
        assert struct.unpack_from("<ii", self.buffer, offset) == (8 + len(payload), type_id)
        assert self.buffer[offset + 8 : offset + 8 + len(payload)] == payload
        if start != padding_position:
            padding = struct.unpack_from("<ii", self.buffer, padding_position % self.capacity)
            assert padding == (to_end, -1)

    @rule()
    def join(self) -> None:
        if len(self.readers) < 3:
            self.readers.append(Reader(CopyBroadcastReceiver(self.buffer), self.latest()))

    def latest(self) -> int:
        return self.messages[-1][0] if self.messages else 0

    @rule(which=st.integers(0, 2))
    def receive(self, which: int) -> None:
        reader = self.readers[which % len(self.readers)]
        received: list[tuple[int, bytes]] = []

        def handler(type_id, view):
            received.append((type_id, bytes(view)))

        if reader.position == self.tail:
            assert reader.receiver.receive(handler) == 0
            assert received == []
        elif reader.position + self.capacity <= self.tail:
            with pytest.raises(BroadcastLappedError, match="keep up"):
                reader.receiver.receive(handler)
            assert received == []
            reader.laps += 1
            reader.position = self.latest()
        else:
            start, type_id, payload = next(m for m in self.messages if m[0] >= reader.position)
            assert reader.receiver.receive(handler) == 1
            assert received == [(type_id, payload)]
            reader.position = start + align(8 + len(payload))
        assert reader.receiver.lapped_count == reader.laps

    @rule()
    def reject(self) -> None:
        limit = self.transmitter.max_message_length
        with pytest.raises(MessageTooLongError, match=f"limit is {limit}"):
            self.transmitter.transmit(1, bytes(limit + 1))
        with pytest.raises(ValueError, match="msg_type_id is -1"):
            self.transmitter.transmit(-1, b"")


Broadcast.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestBroadcast = Broadcast.TestCase


def test_limit_takes_several_in_one_call():
    buffer = bytearray(1024 + TRAILER)
    transmitter, receiver = BroadcastTransmitter(buffer), CopyBroadcastReceiver(buffer)
    for i in range(5):
        transmitter.transmit(i + 1, bytes([i]))
    received = []
    assert receiver.receive(lambda type_id, view: received.append(bytes(view)), 3) == 3
    assert receiver.receive(lambda type_id, view: received.append(bytes(view)), 10) == 2
    assert received == [bytes([i]) for i in range(5)]


def test_an_overwrite_between_copy_and_check_is_noticed():
    """The intent alone, before any byte changed, already makes a slow receiver give up."""
    buffer = bytearray(1024 + TRAILER)
    transmitter, receiver = BroadcastTransmitter(buffer), CopyBroadcastReceiver(buffer)
    transmitter.transmit(1, b"first")
    struct.pack_into("<q", buffer, 1024, 16 + 1024)
    with pytest.raises(BroadcastLappedError):
        receiver.receive(lambda *_: pytest.fail("a torn message was delivered"))


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(min_size=256, max_size=256),
    words=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    small=st.lists(st.integers(0, 600), min_size=3, max_size=3),
    use_small=st.booleans(),
)
def test_any_garbage_is_survived(content, words, small, use_small):
    memory = bytearray(64 + 256 + TRAILER + 64)
    memory[:64] = memory[-64:] = b"\xa5" * 64
    view = memoryview(memory)[64:-64]
    view[:256] = content
    receiver = CopyBroadcastReceiver(view)
    struct.pack_into("<qqq", view, 256, *(small if use_small else words))
    transmitter = BroadcastTransmitter(view)
    for _ in range(8):
        try:
            receiver.receive(lambda type_id, message: bytes(message))
        except BroadcastLappedError:
            transmitter.transmit(1, bytes(20))
    assert memory[:64] == memory[-64:] == b"\xa5" * 64


@pytest.mark.parametrize("length", [1, 128, 128 + 32, 128 + 100])
def test_wrong_buffer_length_is_named(length):
    for face in (BroadcastTransmitter, CopyBroadcastReceiver):
        with pytest.raises(ValueError, match=f"{length} bytes"):
            face(bytearray(length))
