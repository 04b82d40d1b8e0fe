"""Ring buffers: bytes as PROTOCOL.md section 4 has them, hostile content, views, limits."""

import gc
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.memory import ManyToOneRingBuffer, OneToOneRingBuffer

CAPACITY = 1024
TRAILER = 768
TAIL, HEAD_CACHE, HEAD, CORRELATION, HEARTBEAT = (
    CAPACITY + offset for offset in (128, 256, 384, 512, 640)
)
KINDS = pytest.mark.parametrize("ring_type", [ManyToOneRingBuffer, OneToOneRingBuffer])


def i64(buffer, offset):
    return struct.unpack_from("<q", buffer, offset)[0]


def record(buffer, index):
    return struct.unpack_from("<ii", buffer, index)


def drain(ring, limit=2**31 - 1):
    messages = []
    ring.read(lambda type_id, view: messages.append((type_id, bytes(view))), limit)
    return messages


@pytest.fixture
def buffer():
    return bytearray(CAPACITY + TRAILER)


@KINDS
def test_record_and_trailer_words(ring_type, buffer):
    ring = ring_type(buffer)
    assert ring.write(0x0B, b"hello")
    assert record(buffer, 0) == (13, 0x0B)
    assert buffer[8:13] == b"hello"
    assert (i64(buffer, TAIL), i64(buffer, HEAD)) == (16, 0)
    assert ring.next_correlation_id() == 0
    assert ring.next_correlation_id() == 1
    assert i64(buffer, CORRELATION) == 2
    ring.consumer_heartbeat_ms = 1_700_000_000_123
    assert i64(buffer, HEARTBEAT) == ring.consumer_heartbeat_ms == 1_700_000_000_123
    assert drain(ring) == [(0x0B, b"hello")]
    assert i64(buffer, HEAD) == ring.consumer_position == 16
    assert (ring.capacity, ring.max_message_length) == (CAPACITY, CAPACITY // 8)


@KINDS
def test_claim_shows_a_negative_length_until_it_is_committed(ring_type, buffer):
    ring = ring_type(buffer)
    region = ring.try_claim(5, 10)
    assert record(buffer, 0) == (-18, 5)
    assert drain(ring) == []
    region.buffer[:] = b"0123456789"
    region.commit()
    assert record(buffer, 0) == (18, 5)
    region = ring.try_claim(6, 3)
    region.abort()
    assert record(buffer, 24) == (11, -1)
    assert drain(ring) == [(5, b"0123456789")]
    assert ring.size == 0


@KINDS
def test_claim_is_aborted_by_an_exception_and_by_neglect(ring_type, buffer):
    ring = ring_type(buffer)
    with pytest.raises(KeyError), ring.try_claim(5, 8):
        raise KeyError
    assert record(buffer, 0) == (16, -1)
    ring.try_claim(5, 8)
    gc.collect()
    assert record(buffer, 16) == (16, -1)


@KINDS
def test_padding_fills_the_end(ring_type, buffer):
    ring = ring_type(buffer)
    for _ in range(8):
        assert ring.write(1, bytes(112))
        drain(ring)
    assert ring.producer_position == 960
    assert ring.write(2, bytes(100))
    assert record(buffer, 960) == (64, -1)
    assert record(buffer, 0) == (108, 2)
    assert i64(buffer, TAIL) == CAPACITY + 112
    assert drain(ring) + drain(ring) == [(2, bytes(100))]


def test_consumed_bytes_are_zeroed(buffer):
    ring = ManyToOneRingBuffer(buffer)
    ring.write(1, b"\xff" * 100)
    drain(ring)
    assert not any(buffer[:CAPACITY])


def test_full_then_room_again(buffer):
    ring = ManyToOneRingBuffer(buffer)
    while ring.write(1, bytes(120)):
        pass
    assert ring.size == CAPACITY
    assert ring.try_claim(1, 0) is None
    assert len(drain(ring, 1)) == 1
    assert ring.write(1, bytes(120))


def test_unblock_steps_over_a_producer_that_died_before_its_length(buffer):
    ring = ManyToOneRingBuffer(buffer)
    assert ring.unblock() is False
    struct.pack_into("<q", buffer, TAIL, 48)  # the claim of a process that is gone
    assert ring.unblock() is False  # nothing behind it says where it ends
    ring.write(3, b"next")
    assert ring.unblock() is True
    assert record(buffer, 0) == (48, -1)
    assert drain(ring) == [(3, b"next")]
    assert ring.unblock() is False


def test_unblock_waits_while_a_message_is_there(buffer):
    ring = ManyToOneRingBuffer(buffer)
    ring.write(3, b"ready")
    assert ring.unblock() is False
    assert drain(ring) == [(3, b"ready")]


@pytest.mark.parametrize("length", [1, 7, CAPACITY + 8, 2**31 - 1, 992 + 8])
def test_impossible_length_is_skipped_and_counted(buffer, length):
    ring = ManyToOneRingBuffer(buffer)
    ring.write(1, bytes(24))
    ring.write(2, bytes(24))
    struct.pack_into("<i", buffer, 32, length)
    assert drain(ring) == [(1, bytes(24))]
    assert ring.corrupt_record_count == 1
    assert ring.size == 0
    assert ring.write(4, b"goes on")
    assert drain(ring) == [(4, b"goes on")]


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(min_size=256, max_size=256),
    words=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
)
def test_any_garbage_is_survived(content, words):
    """A hostile process can write anything anywhere: reading and writing stay inside."""
    memory = bytearray(64 + 256 + TRAILER + 64)
    memory[:64] = memory[-64:] = b"\xa5" * 64
    view = memoryview(memory)[64:-64]
    view[:256] = content
    for offset, word in zip((128, 256, 384), words, strict=True):
        struct.pack_into("<q", view, 256 + offset, word)
    ring = ManyToOneRingBuffer(view)
    for _ in range(20):
        ring.read(lambda type_id, message: bytes(message), 8)
        ring.write(1, bytes(30))
        ring.unblock()
        _ = ring.size
    assert memory[:64] == memory[-64:] == b"\xa5" * 64


@KINDS
@pytest.mark.parametrize("length", [0, 1, 767, 768, 768 + 100, 768 + 4])
def test_wrong_buffer_length_is_named(ring_type, length):
    with pytest.raises(ValueError, match=f"{length} bytes|empty"):
        ring_type(bytearray(length))


def test_unsuitable_buffers_are_refused():
    with pytest.raises(ValueError, match="writable"):
        ManyToOneRingBuffer(bytes(CAPACITY + TRAILER))
    with pytest.raises(TypeError, match="not int"):
        ManyToOneRingBuffer(5)
    with pytest.raises(ValueError, match="contiguous"):
        ManyToOneRingBuffer(memoryview(bytearray(4000))[::2])
    with pytest.raises(ValueError, match="aligned"):
        ManyToOneRingBuffer(memoryview(bytearray(CAPACITY + TRAILER + 8))[1:-7])


def test_view_is_invalid_after_the_handler(buffer):
    ring = ManyToOneRingBuffer(buffer)
    ring.write(1, b"abc")
    views = []
    ring.read(lambda type_id, view: views.append(view))
    with pytest.raises(ValueError, match="released"):
        bytes(views[0])


def test_view_given_to_the_handler_is_read_only(buffer):
    ring = ManyToOneRingBuffer(buffer)
    ring.write(1, b"abc")
    seen = []
    ring.read(lambda type_id, view: seen.append(view.readonly))
    assert seen == [True]


def test_read_inside_its_own_handler_is_refused(buffer):
    ring = ManyToOneRingBuffer(buffer)
    ring.write(1, b"abc")
    with pytest.raises(RuntimeError, match="own handler"):
        ring.read(lambda type_id, view: ring.read(print))
    assert ring.size == 0


def test_handler_may_write_to_the_ring_it_reads(buffer):
    ring = ManyToOneRingBuffer(buffer)
    ring.write(1, b"a")
    ring.read(lambda type_id, view: ring.write(2, view), 1)
    assert drain(ring) == [(2, b"a")]


def test_ring_keeps_its_buffer_alive(buffer):
    ring = ManyToOneRingBuffer(bytearray(CAPACITY + TRAILER))
    gc.collect()
    assert ring.write(1, b"still there")
    assert drain(ring) == [(1, b"still there")]
