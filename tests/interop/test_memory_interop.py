"""The memory structures against the official C ones, operation by operation, byte by byte.

The official library is loaded into this process from the peer's environment; both sides get
the same seeded operations, on twin buffers or on one shared buffer.
"""

from __future__ import annotations

import ctypes
import os
import random
from pathlib import Path

import pytest

from volans.memory import (
    BroadcastLappedError,
    BroadcastTransmitter,
    CopyBroadcastReceiver,
    CountersManager,
    ManyToOneRingBuffer,
    OneToOneRingBuffer,
)

pytestmark = pytest.mark.interop

CAPACITY = 512
RING_BYTES = CAPACITY + 768
SEEDS = pytest.mark.parametrize("seed", range(8))
RING_FULL = -1

RING_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)


@pytest.fixture(scope="module")
def official(peer_ready) -> ctypes.CDLL:
    site = Path(peer_ready).parent.parent / "lib"
    found = sorted(site.glob("python3.*/site-packages/pyaeron/_pyaeron*.so"))
    if not found:
        pytest.skip(f"no pyaeron library below {site}")
    try:
        # Lazily: of its Python half, which is for another version, nothing is ever called.
        library = ctypes.CDLL(str(found[0]), mode=os.RTLD_LAZY)
    except OSError as error:
        pytest.skip(f"this Python cannot load the official library: {error}")
    if not hasattr(library, "aeron_mpsc_rb_init"):
        pytest.skip(f"{found[0].name} does not export the official structures")
    for kind in ("mpsc", "spsc"):
        getattr(library, f"aeron_{kind}_rb_read").restype = ctypes.c_size_t
    return library


def address_of(buffer):
    return ctypes.addressof((ctypes.c_uint8 * len(buffer)).from_buffer(buffer))


class OfficialRing:
    """The official ring behind the method names of ours."""

    def __init__(self, library, kind, buffer) -> None:
        self.call = lambda name, *args: getattr(library, f"aeron_{kind}_rb_{name}")(
            ctypes.byref(self.state), *args
        )
        self.address = address_of(buffer)
        self.state = (ctypes.c_uint64 * 4)()
        length = ctypes.c_size_t(len(buffer))
        assert self.call("init", ctypes.c_void_p(self.address), length) == 0

    def write(self, type_id, payload) -> bool:
        result = self.call("write", type_id, payload, ctypes.c_size_t(len(payload)))
        assert result in {0, RING_FULL}
        return result == 0

    def try_claim(self, type_id, length):
        offset = self.call("try_claim", type_id, ctypes.c_size_t(length))
        return None if offset < 0 else offset

    def fill(self, offset, payload) -> None:
        ctypes.memmove(self.address + offset, payload, len(payload))

    def read(self, limit):
        messages = []

        def handler(type_id, address, length, _):
            messages.append((type_id, ctypes.string_at(address, length)))

        self.call("read", RING_HANDLER(handler), None, ctypes.c_size_t(limit))
        return messages


def read_ours(ring, limit):
    messages = []
    ring.read(lambda type_id, view: messages.append((type_id, bytes(view))), limit)
    return messages


@SEEDS
def test_many_to_one_ring_has_the_same_bytes_after_every_operation(official, seed):
    choose = random.Random(seed)
    our_bytes, their_bytes = bytearray(RING_BYTES), bytearray(RING_BYTES)
    ours = ManyToOneRingBuffer(our_bytes)
    theirs = OfficialRing(official, "mpsc", their_bytes)
    claims = []
    seen = set()
    for _ in range(1500):
        operation = choose.choice(["write", "write", "claim", "finish", "read", "read", "unblock"])
        payload = choose.randbytes(choose.randrange(CAPACITY // 8 + 1))
        type_id = choose.randrange(1, 2**31)
        if operation == "write":
            written = ours.write(type_id, payload)
            assert written == theirs.write(type_id, payload)
            seen.add("written" if written else "full")
        elif operation == "claim":
            region, offset = ours.try_claim(9, len(payload)), theirs.try_claim(9, len(payload))
            assert (region is None) == (offset is None)
            if region is not None:
                region.buffer[:] = payload
                theirs.fill(offset, payload)
                claims.append((region, offset))
        elif operation == "finish" and claims:
            region, offset = claims.pop(choose.randrange(len(claims)))
            name = choose.choice(["commit", "abort"])
            getattr(region, name)()
            assert theirs.call(name, offset) == 0
        elif operation == "read":
            limit = choose.randrange(1, 6)
            assert read_ours(ours, limit) == theirs.read(limit)
        elif operation == "unblock" and not claims:
            assert ours.unblock() == bool(theirs.call("unblock"))
        assert our_bytes == their_bytes
    assert seen == {"written", "full"}
    assert ours.producer_position > 20 * CAPACITY


@SEEDS
def test_unblock_does_the_same_to_dead_producers(official, seed):
    choose = random.Random(seed)
    for _ in range(200):
        our_bytes, their_bytes = bytearray(RING_BYTES), bytearray(RING_BYTES)
        ours = ManyToOneRingBuffer(our_bytes)
        theirs = OfficialRing(official, "mpsc", their_bytes)
        # Not at index 0: there the official C scan runs on below the buffer and gives up.
        assert ours.write(1, b"") == theirs.write(1, b"")
        assert read_ours(ours, 1) == theirs.read(1)
        held = []
        for _ in range(choose.randrange(1, 6)):
            length = choose.randrange(60)
            kind = choose.choice(["write", "claim", "tail only"])
            if kind == "tail only":  # died between moving the tail and writing a length
                for buffer in (our_bytes, their_bytes):
                    view = memoryview(buffer)[CAPACITY + 128 : CAPACITY + 136].cast("q")
                    view[0] += (length + 15) // 8 * 8
            elif kind == "write":
                assert ours.write(1, bytes(length)) == theirs.write(1, bytes(length))
            else:
                held.append(ours.try_claim(2, length))
                theirs.try_claim(2, length)
        for _ in range(8):
            assert ours.unblock() == bool(official.aeron_mpsc_rb_unblock(theirs.state) & 1)
            assert read_ours(ours, 1) == theirs.read(1)
            assert our_bytes == their_bytes


@SEEDS
@pytest.mark.parametrize("we_write", [True, False])
@pytest.mark.parametrize("kind", ["spsc", "mpsc"])
def test_one_side_writes_what_the_other_reads(official, kind, we_write, seed):
    choose = random.Random(seed)
    buffer = bytearray(RING_BYTES)
    ours = (OneToOneRingBuffer if kind == "spsc" else ManyToOneRingBuffer)(buffer)
    theirs = OfficialRing(official, kind, buffer)
    sent, received = [], []
    for _ in range(2000):
        if choose.random() < 0.6:
            message = (choose.randrange(1, 99), choose.randbytes(choose.randrange(65)))
            if (ours if we_write else theirs).write(*message):
                sent.append(message)
        else:
            limit = choose.randrange(1, 6)
            received += theirs.read(limit) if we_write else read_ours(ours, limit)
    for _ in range(100):
        received += theirs.read(100) if we_write else read_ours(ours, 100)
    assert len(sent) > 500
    assert received == sent


@SEEDS
def test_broadcast_has_the_same_bytes_and_the_same_laps(official, seed):
    choose = random.Random(seed)
    length = CAPACITY + 128
    our_bytes, their_bytes = bytearray(length), bytearray(length)
    ours = BroadcastTransmitter(our_bytes)
    theirs = (ctypes.c_uint64 * 4)()
    their_address = ctypes.c_void_p(address_of(their_bytes))
    size = ctypes.c_size_t(length)
    assert official.aeron_broadcast_transmitter_init(theirs, their_address, size) == 0
    our_receiver = CopyBroadcastReceiver(their_bytes)  # what they send, we receive
    their_receiver = (ctypes.c_uint64 * 16)()
    our_address = ctypes.c_void_p(address_of(our_bytes))
    assert official.aeron_broadcast_receiver_init(their_receiver, our_address, size) == 0
    got_ours, got_theirs = [], []
    laps = 0

    def handle(type_id, address, payload_length, _):
        got_theirs.append((type_id, ctypes.string_at(address, payload_length)))

    handler = RING_HANDLER(handle)
    for _ in range(1500):
        if choose.random() < 0.55:
            type_id, payload = choose.randrange(1, 99), choose.randbytes(choose.randrange(65))
            ours.transmit(type_id, payload)
            result = official.aeron_broadcast_transmitter_transmit(
                theirs, type_id, payload, ctypes.c_size_t(len(payload))
            )
            assert result == 0
        else:
            their_result = official.aeron_broadcast_receiver_receive(their_receiver, handler, None)
            try:
                our_receiver.receive(lambda type_id, view: got_ours.append((type_id, bytes(view))))
                assert their_result >= 0
            except BroadcastLappedError:
                laps += 1
                assert their_result == -1
                # The official receiver gives the latest message up with the lap, ours delivers it.
                got_before = len(got_ours)
                our_receiver.receive(lambda *message: got_ours.append(message))
                assert len(got_ours) == got_before + 1
                got_ours.pop()
        assert our_bytes == their_bytes
        assert got_ours == got_theirs
    official.aeron_broadcast_receiver_close(their_receiver)
    assert laps > 0
    assert len(got_ours) > 200


@SEEDS
def test_counters_have_the_same_bytes_after_every_operation(official, seed):
    choose = random.Random(seed)
    count = 16
    ours_at = (bytearray(count * 512), bytearray(count * 128))
    theirs_at = (bytearray(count * 512), bytearray(count * 128))
    now_ms = 1_000_000
    ours = CountersManager(*ours_at, free_to_reuse_timeout_ms=500, epoch_clock_ms=lambda: now_ms)
    clock = ctypes.create_string_buffer(256)
    theirs = (ctypes.c_uint64 * 16)()
    result = official.aeron_counters_manager_init(
        theirs,
        ctypes.c_void_p(address_of(theirs_at[0])),
        ctypes.c_size_t(count * 512),
        ctypes.c_void_p(address_of(theirs_at[1])),
        ctypes.c_size_t(count * 128),
        clock,
        ctypes.c_int64(500),
    )
    assert result == 0
    live = []
    reused = 0
    for _ in range(1500):
        now_ms += choose.randrange(120)
        official.aeron_clock_update_cached_epoch_time(clock, ctypes.c_int64(now_ms))
        operation = choose.choice(["allocate", "free", "label", "ids"])
        if operation == "allocate" and len(live) < count // 2:
            key, label = choose.randbytes(choose.randrange(113)), "x" * choose.randrange(1, 300)
            freed = {i for i in range(count) if ours.state(i) == -1}
            counter_id = official.aeron_counters_manager_allocate(
                theirs,
                77,
                key,
                ctypes.c_size_t(len(key)),
                label.encode(),
                ctypes.c_size_t(len(label)),
            )
            if counter_id < 0:
                continue
            assert ours.allocate(77, key, label) == counter_id
            reused += counter_id in freed
            live.append(counter_id)
        elif operation == "free" and live:
            counter_id = live.pop(choose.randrange(len(live)))
            assert official.aeron_counters_manager_free(theirs, counter_id) == 0
            ours.free(counter_id)
        elif operation == "label" and live:
            counter_id, text = choose.choice(live), "y" * choose.randrange(1, 150)
            official.aeron_counters_manager_append_to_label(
                theirs, counter_id, ctypes.c_size_t(len(text)), text.encode()
            )
            ours.append_to_label(counter_id, text)
        elif operation == "ids" and live:
            counter_id = choose.choice(live)
            for name in ("registration_id", "owner_id", "reference_id"):
                value = choose.randrange(-(2**63), 2**63)
                getattr(ours, f"set_{name}")(counter_id, value)
                getattr(official, f"aeron_counters_manager_counter_{name}")(
                    theirs, counter_id, ctypes.c_int64(value)
                )
        assert ours_at == theirs_at
    official.aeron_counters_manager_close(theirs)
    assert reused > 10
