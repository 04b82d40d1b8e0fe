"""The distinct error log: distinctness, counting, layout, hostile contents, many threads."""

import struct
import threading

import pytest

from volans.memory.clocks import ManualClock
from volans.memory.error_log import DistinctErrorLog, ErrorLogReader


def make_log(capacity_bytes=4096):
    clock = ManualClock(epoch_at_zero_ms=1_000)
    buffer = bytearray(capacity_bytes)
    return DistinctErrorLog(buffer, clock.epoch_ms), buffer, clock


def test_a_repeated_error_is_one_observation_with_a_count_and_both_times():
    log, buffer, clock = make_log()
    assert log.record("disk on fire")
    clock.advance(5_000_000)
    assert log.record("disk on fire")
    assert log.record("disk on fire!")
    first, second = ErrorLogReader(buffer)
    assert first == (2, 1_000, 1_005, "disk on fire")
    assert second == (1, 1_005, 1_005, "disk on fire!")


def test_the_bytes_are_those_of_the_official_layout():
    log, buffer, _ = make_log()
    log.record("abc")
    log.record("defgh")
    assert struct.unpack_from("<iiqq3s", buffer, 0) == (27, 1, 1_000, 1_000, b"abc")
    assert struct.unpack_from("<iiqq5s", buffer, 32) == (29, 1, 1_000, 1_000, b"defgh")
    assert struct.unpack_from("<i", buffer, 64) == (0,)


def test_an_exception_is_recorded_with_its_traceback():
    log, buffer, _ = make_log()
    with pytest.raises(ValueError) as caught:
        raise ValueError("no such stream: 7")
    assert log.record(caught.value)
    (observation,) = ErrorLogReader(buffer)
    assert observation.text.startswith("Traceback")
    assert observation.text.endswith("ValueError: no such stream: 7\n")


def test_a_full_log_refuses_new_errors_and_still_counts_known_ones():
    log, buffer, _ = make_log(64)
    assert log.record("x" * 8)
    assert log.record("y" * 8)
    assert not log.record("z")
    assert not log.record("z" * 10_000)
    assert log.record("y" * 8)
    assert [o.observation_count for o in ErrorLogReader(buffer)] == [1, 2]


def test_an_existing_buffer_is_continued_after_its_last_record():
    log, buffer, clock = make_log()
    log.record("one")
    again = DistinctErrorLog(buffer, clock.epoch_ms)
    again.record("two")
    again.record("one")
    assert [(o.observation_count, o.text) for o in ErrorLogReader(buffer)] == [
        (2, "one"),
        (1, "two"),
    ]


@pytest.mark.parametrize("length", [-1, 1, 23, 5_000, 2**31 - 1, -(2**31)])
def test_reading_ends_at_a_length_that_cannot_be(length):
    log, buffer, _ = make_log()
    log.record("good")
    log.record("bad")
    struct.pack_into("<i", buffer, 32, length)
    reader = ErrorLogReader(buffer)
    assert [o.text for o in reader] == ["good"]
    assert reader.corrupt_offset == 32
    # A writer goes on where the damage begins, and what it leaves behind can be read.
    again = DistinctErrorLog(buffer, lambda: 5)
    assert again.record("after")
    assert [o.text for o in reader] == ["good", "after"]
    assert reader.corrupt_offset is None


def test_reading_can_begin_at_a_time():
    log, buffer, clock = make_log()
    log.record("old")
    clock.advance(1_000_000_000)
    log.record("new")
    assert [o.text for o in ErrorLogReader(buffer).read(since_timestamp_ms=1_500)] == ["new"]


@pytest.mark.parametrize("buffer", [b"\0" * 64, memoryview(bytearray(64))[1:], bytearray(), "text"])
def test_memory_that_cannot_hold_a_log_is_refused(buffer):
    with pytest.raises((ValueError, TypeError), match="an error log needs"):
        DistinctErrorLog(buffer, lambda: 0)


def test_threads_lose_no_observation():
    log, buffer, _ = make_log(1 << 16)
    threads_count, rounds = 4, 500

    def record():
        for round_number in range(rounds):
            assert log.record(f"error {round_number % 10}")

    threads = [threading.Thread(target=record) for _ in range(threads_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    observations = list(ErrorLogReader(buffer))
    assert sorted(o.text for o in observations) == [f"error {n}" for n in range(10)]
    assert {o.observation_count for o in observations} == {threads_count * rounds // 10}
