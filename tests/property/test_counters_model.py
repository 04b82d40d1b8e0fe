"""Counters against a dict: allocation, reuse time-out, labels, ids, bytes of the records."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from volans.memory import (
    AtomicCounter,
    CounterLimitError,
    CountersExhaustedError,
    CountersManager,
    CountersReader,
)

COUNT = 6
TIMEOUT_MS = 1000
IN_USE_MS = 2**63 - 1
i64s = st.integers(-(2**63), 2**63 - 1)


class Counters(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 50_000
        self.metadata = bytearray(COUNT * 512)
        self.values = bytearray(COUNT * 128)
        self.manager = CountersManager(
            self.metadata,
            self.values,
            free_to_reuse_timeout_ms=TIMEOUT_MS,
            epoch_clock_ms=lambda: self.now_ms,
        )
        self.reader = CountersReader(bytes_view(self.metadata), bytes_view(self.values))
        self.live: dict[int, dict] = {}
        self.freed: list[tuple[int, int]] = []  # (deadline, id) in the order of freeing
        self.ever_used = 0

    def expected_id(self):
        if self.freed and self.freed[0][0] <= self.now_ms:
            return self.freed.pop(0)[1]
        if self.ever_used < COUNT:
            self.ever_used += 1
            return self.ever_used - 1
        return None

    @rule(
        type_id=st.integers(0, 3),
        key=st.binary(max_size=112),
        label=st.text(max_size=90),
        registration_id=st.integers(0, 3),
        owner_id=i64s,
        reference_id=i64s,
    )
    def allocate(self, type_id, key, label, registration_id, owner_id, reference_id):
        ids = {
            "registration_id": registration_id,
            "owner_id": owner_id,
            "reference_id": reference_id,
        }
        expected = self.expected_id()
        if expected is None:
            with pytest.raises(CountersExhaustedError, match=f"all {COUNT} counters"):
                self.manager.allocate(type_id, key, label, **ids)
            return
        assert self.manager.allocate(type_id, key, label, **ids) == expected
        self.live[expected] = {
            "id": expected,
            "type_id": type_id,
            "value": 0,
            "label": label,
            "key": key.ljust(112, b"\0"),
            **ids,
        }

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def free(self, data):
        counter_id = data.draw(st.sampled_from(sorted(self.live)))
        self.manager.free(counter_id)
        del self.live[counter_id]
        self.freed.append((self.now_ms + TIMEOUT_MS, counter_id))
        with pytest.raises(ValueError, match="not allocated"):
            self.manager.free(counter_id)

    @rule(delta_ms=st.sampled_from([0, 1, 400, 999, 1000]))
    def pass_time(self, delta_ms):
        self.now_ms += delta_ms

    @precondition(lambda self: self.live)
    @rule(data=st.data(), value=i64s)
    def set_value(self, data, value):
        counter_id = data.draw(st.sampled_from(sorted(self.live)))
        self.manager.set_value(counter_id, value)
        self.live[counter_id]["value"] = value

    @precondition(lambda self: self.live)
    @rule(data=st.data(), text=st.text("abc:=", max_size=200))
    def append_to_label(self, data, text):
        counter_id = data.draw(st.sampled_from(sorted(self.live)))
        before = self.live[counter_id]["label"]
        after = (before.encode() + text.encode())[:380].decode()
        added = self.manager.append_to_label(counter_id, text)
        assert added == len(after.encode()) - len(before.encode())
        self.live[counter_id]["label"] = after

    @rule()
    def restart_manager(self):
        """A manager over used buffers goes on with what it finds."""
        self.manager = CountersManager(
            self.metadata,
            self.values,
            free_to_reuse_timeout_ms=TIMEOUT_MS,
            epoch_clock_ms=lambda: self.now_ms,
        )
        self.freed.sort()

    @invariant()
    def readers_see_the_model(self):
        assert [c._asdict() for c in self.reader] == [self.live[i] for i in sorted(self.live)]
        assert len(self.reader) == len(self.live)
        for type_id in range(4):
            of_type = [i for i in sorted(self.live) if self.live[i]["type_id"] == type_id]
            assert self.reader.find_by_type(type_id) == of_type
            for registration_id in range(4):
                matching = [
                    i for i in of_type if self.live[i]["registration_id"] == registration_id
                ]
                found = self.reader.find(type_id, registration_id)
                assert found == (matching[0] if matching else None)

    @invariant()
    def freed_ids_wait(self):
        for deadline_ms, counter_id in self.freed:
            assert self.reader.state(counter_id) == -1
            assert self.reader.free_for_reuse_deadline_ms(counter_id) == deadline_ms
            assert self.reader.key(counter_id) == bytes(112)


def bytes_view(buffer):
    return memoryview(buffer).toreadonly()


Counters.TestCase.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
TestCounters = Counters.TestCase


@pytest.fixture
def manager():
    return CountersManager(bytearray(4 * 512), bytearray(4 * 128), epoch_clock_ms=lambda: 0)


def test_bytes_of_the_records():
    metadata, values = bytearray(2 * 512), bytearray(2 * 128)
    manager = CountersManager(
        metadata, values, free_to_reuse_timeout_ms=250, epoch_clock_ms=lambda: 1_000
    )
    manager.allocate(0)
    counter_id = manager.allocate(
        11, b"key!", "a label", registration_id=21, owner_id=22, reference_id=23
    )
    manager.set_value(counter_id, 20)
    assert struct.unpack_from("<qqqq", values, 128) == (20, 21, 22, 23)
    assert struct.unpack_from("<iiq", metadata, 512) == (1, 11, IN_USE_MS)
    assert metadata[512 + 16 : 512 + 128] == b"key!".ljust(112, b"\0")
    assert struct.unpack_from("<i", metadata, 512 + 128) == (7,)
    assert metadata[512 + 132 : 512 + 139] == b"a label"
    manager.set_owner_id(counter_id, 32)
    manager.set_reference_id(counter_id, 33)
    assert struct.unpack_from("<qqqq", values, 128) == (20, 21, 32, 33)
    manager.free(counter_id)
    assert struct.unpack_from("<iiq", metadata, 512) == (-1, 11, 1_250)
    assert not any(metadata[512 + 16 : 512 + 128])


def test_limits_are_named(manager):
    with pytest.raises(CounterLimitError, match="key of 113 bytes: at most 112"):
        manager.allocate(1, bytes(113))
    with pytest.raises(CounterLimitError, match="label of 381 bytes: at most 380"):
        manager.allocate(1, b"", "x" * 381)
    counter_id = manager.allocate(1, bytes(112), "x" * 380)
    assert (counter_id, len(manager.label(counter_id))) == (0, 380)
    with pytest.raises(CounterLimitError, match="label of 381 bytes"):
        manager.set_label(counter_id, "x" * 381)
    assert manager.append_to_label(counter_id, "more") == 0


def test_exhaustion_names_the_configured_size(manager):
    for _ in range(4):
        manager.allocate(1)
    with pytest.raises(CountersExhaustedError, match="values buffer is 512 bytes"):
        manager.allocate(1)


@pytest.mark.parametrize("counter_id", [-1, 4, 2**40])
def test_id_outside_is_refused(manager, counter_id):
    for call in (manager.value, manager.label, manager.key, manager.state, manager.free):
        with pytest.raises(IndexError, match=str(counter_id)):
            call(counter_id)
    with pytest.raises(IndexError):
        AtomicCounter(manager, counter_id)


def test_wrong_buffers_are_refused():
    with pytest.raises(ValueError, match="100 and 128"):
        CountersReader(bytearray(100), bytearray(128))
    with pytest.raises(ValueError, match="writable"):
        CountersManager(bytes(512), bytearray(128), epoch_clock_ms=lambda: 0)
    with pytest.raises(TypeError, match="epoch_clock_ms"):
        CountersManager(bytearray(512), bytearray(128), epoch_clock_ms=5)


def test_atomic_counter(manager):
    counter = AtomicCounter(manager, manager.allocate(1, b"", "hits"))
    assert counter.increment() == 0
    assert counter.add(4) == 1
    counter.add_release(-2)
    assert counter.get() == counter.value == manager.value(0) == 3
    assert counter.compare_and_set(3, 10)
    assert not counter.compare_and_set(3, 11)
    assert counter.propose_max(12)
    assert not counter.propose_max(12)
    counter.set(-1)
    assert counter.value == -1
    assert counter.label == "hits"


def test_atomic_counter_over_read_only_memory_only_reads():
    counter = AtomicCounter(CountersReader(bytes(512), bytes(128)), 0)
    assert counter.get() == 0
    for write in (counter.set, counter.add, counter.add_release, counter.propose_max):
        with pytest.raises(ValueError, match="read-only"):
            write(1)


@settings(max_examples=200, deadline=None)
@given(record=st.binary(min_size=300, max_size=300), state=st.sampled_from([1, -1, 0, 77]))
def test_any_metadata_can_be_read(record, state):
    metadata = bytearray(512)
    metadata[4:304] = record
    struct.pack_into("<i", metadata, 0, state)
    reader = CountersReader(metadata, bytes(128))
    for counter in reader:
        assert len(counter.key) == 112
        assert len(counter.label) <= 380
