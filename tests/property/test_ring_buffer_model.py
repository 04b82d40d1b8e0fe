"""Ring buffers against a list of records with positions."""

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from volans.memory import ManyToOneRingBuffer, MessageTooLongError, OneToOneRingBuffer

HEADER = 8
TRAILER = 768
PADDING = "padding"
PENDING = "pending"
MESSAGE = "message"


def align(length: int) -> int:
    return (length + 7) // 8 * 8


@dataclass
class Record:
    position: int
    end: int
    kind: str
    type_id: int = 0
    payload: bytes = b""


class NaiveRing:
    """Positions and records; `extra` is what the one-to-one kind keeps free after a record."""

    def __init__(self, capacity: int, extra: int) -> None:
        self.capacity = capacity
        self.extra = extra
        self.head = self.tail = 0
        self.records: deque[Record] = deque()

    def append(self, kind: str, type_id: int, payload: bytes) -> Record | None:
        required = align(len(payload) + HEADER)
        to_end = self.capacity - self.tail % self.capacity
        if required + self.extra > self.capacity - (self.tail - self.head):
            return None
        fits = required + self.extra <= to_end or (self.extra and required == to_end)
        if not fits:
            if required + self.extra > self.head % self.capacity:
                return None
            self.records.append(Record(self.tail, self.tail + to_end, PADDING))
            self.tail += to_end
        record = Record(self.tail, self.tail + required, kind, type_id, payload)
        self.records.append(record)
        self.tail += required
        return record

    def read(self, limit: int) -> list[tuple[int, bytes]]:
        block_end = (self.head // self.capacity + 1) * self.capacity
        messages: list[tuple[int, bytes]] = []
        while self.records and len(messages) < limit:
            record = self.records[0]
            if record.position >= block_end or record.kind == PENDING:
                break
            self.records.popleft()
            self.head = record.end
            if record.kind == MESSAGE:
                messages.append((record.type_id, record.payload))
        return messages


class HandlerError(Exception):
    pass


class ManyToOne(RuleBasedStateMachine):
    ring_type = ManyToOneRingBuffer
    extra = 0

    @initialize(capacity=st.sampled_from([32, 64, 128, 512]))
    def make(self, capacity: int) -> None:
        self.buffer = bytearray(capacity + TRAILER)
        self.ring = self.ring_type(self.buffer)
        self.model = NaiveRing(capacity, self.extra)
        self.claims: list[tuple[object, Record]] = []

    @rule(type_id=st.integers(1, 2**31 - 1), data=st.data())
    def write(self, type_id: int, data) -> None:
        payload = data.draw(st.binary(max_size=self.ring.max_message_length))
        expected = self.model.append(MESSAGE, type_id, payload)
        assert self.ring.write(type_id, payload) is (expected is not None)

    @rule(data=st.data())
    def claim(self, data) -> None:
        payload = data.draw(st.binary(max_size=self.ring.max_message_length))
        record = self.model.append(PENDING, 7, payload)
        region = self.ring.try_claim(7, len(payload))
        assert (region is None) is (record is None)
        if region is not None:
            assert len(region) == len(payload)
            region.buffer[:] = payload
            self.claims.append((region, record))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), commit=st.booleans())
    def finish(self, data, commit: bool) -> None:
        region, record = self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1)))
        view = region.buffer
        if commit:
            region.commit()
            record.kind = MESSAGE
        else:
            region.abort()
            record.kind = PADDING
        with pytest.raises(ValueError, match="released"):
            bytes(view)
        with pytest.raises(ValueError, match="already"):
            region.commit()

    @rule(limit=st.integers(0, 6))
    def read(self, limit: int) -> None:
        received = []
        count = self.ring.read(lambda type_id, view: received.append((type_id, bytes(view))), limit)
        assert received == self.model.read(limit)
        assert count == len(received)

    @rule(limit=st.integers(1, 6))
    def read_with_failing_handler(self, limit: int) -> None:
        """The message the handler failed on, and those before, are consumed; nothing more."""
        received = []

        def handler(type_id, view):
            received.append((type_id, bytes(view)))
            if len(received) == limit:
                raise HandlerError

        expected = self.model.read(limit)
        if len(expected) == limit:
            with pytest.raises(HandlerError):
                self.ring.read(handler)
        else:
            self.ring.read(handler, limit)
        assert received == expected

    @rule()
    def reject(self) -> None:
        with pytest.raises(MessageTooLongError, match=str(self.ring.max_message_length)):
            self.ring.write(1, bytes(self.ring.max_message_length + 1))
        with pytest.raises(MessageTooLongError):
            self.ring.try_claim(1, 2**40)
        with pytest.raises(ValueError, match="msg_type_id is 0"):
            self.ring.write(0, b"")

    @rule()
    def unblock(self) -> None:
        records = self.model.records
        blocked = bool(records) and records[0].kind == PENDING and self.extra == 0
        assert self.ring.unblock() is blocked
        if blocked:
            records[0].kind = PADDING
            index = next(i for i, c in enumerate(self.claims) if c[1] is records[0])
            region, _ = self.claims.pop(index)
            region.commit()  # a producer that was only slow must change nothing any more

    @invariant()
    def positions_agree(self) -> None:
        assert self.ring.producer_position == self.model.tail
        assert self.ring.consumer_position == self.model.head
        assert self.ring.size == self.model.tail - self.model.head
        assert self.ring.corrupt_record_count == 0

    @invariant()
    def free_bytes_are_zero(self) -> None:
        if self.extra == 0:
            capacity, head, tail = self.model.capacity, self.model.head, self.model.tail
            free = [self.buffer[i % capacity] for i in range(tail, head + capacity)]
            assert not any(free)


class OneToOne(ManyToOne):
    ring_type = OneToOneRingBuffer
    extra = HEADER


ManyToOne.TestCase.settings = OneToOne.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None
)
TestManyToOneRingBuffer = ManyToOne.TestCase
TestOneToOneRingBuffer = OneToOne.TestCase
