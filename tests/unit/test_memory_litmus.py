"""Litmus tests of fences and claims: real threads and processes at once, without the GIL.

Amounts are fixed and waiting is bounded inside the loops, so a loaded machine only makes
them slower.
"""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from volans.memory import AtomicCounter, CountersManager, ManyToOneRingBuffer, MappedFile
from volans.testing import litmus

RING_BYTES = 4096 + 768
FULL_RING_BYTES = 512 + 768  # so small that producers wait for each consumed byte


def assert_perfect(verdict, total):
    assert (verdict.received, verdict.damaged, verdict.misordered) == (total, 0, 0)


@pytest.mark.parametrize("ring_bytes", [RING_BYTES, FULL_RING_BYTES])
@pytest.mark.parametrize("producers", [1, 3])
def test_many_threads_write_one_reads(producers, ring_bytes):
    count = 120_000 // producers
    with MappedFile.anonymous(ring_bytes) as memory, ThreadPoolExecutor(producers) as pool:
        written = [
            pool.submit(litmus.produce, memory, i, count, claim_every=7) for i in range(producers)
        ]
        verdict = litmus.consume(memory, producers, count * producers)
        assert [future.result() for future in written] == [count] * producers
    assert_perfect(verdict, count * producers)


def test_one_thread_writes_one_reads():
    count = 100_000
    with MappedFile.anonymous(RING_BYTES) as memory, ThreadPoolExecutor(1) as pool:
        written = pool.submit(litmus.produce, memory, 0, count, many=False)
        verdict = litmus.consume(memory, 1, count, many=False)
        assert written.result() == count
    assert_perfect(verdict, count)


PRODUCER_PROGRAM = """
import sys
from volans.memory import MappedFile
from volans.testing import litmus
path, producer, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with MappedFile.open(path) as memory:
    sys.exit(0 if litmus.produce(memory, producer, count, claim_every=5) == count else 1)
"""


def test_other_processes_write_one_reads(tmp_path):
    """Programs of their own over a file, and forked children over the same mapping."""
    count = 15_000
    with MappedFile.create(tmp_path / "ring", RING_BYTES) as memory:
        programs = [
            subprocess.Popen(
                [sys.executable, "-c", PRODUCER_PROGRAM, tmp_path / "ring", str(i), str(count)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for i in range(2)
        ]
        verdict = litmus.consume(memory, 2, 2 * count)
        assert [program.wait(30) for program in programs] == [0, 0]
    assert_perfect(verdict, 2 * count)


def test_forked_children_write_one_reads():
    count = 20_000
    with MappedFile.anonymous(RING_BYTES) as memory:
        children = []
        for producer in range(2):
            child = os.fork()
            if child == 0:
                os._exit(0 if litmus.produce(memory, producer, count) == count else 1)
            children.append(child)
        verdict = litmus.consume(memory, 2, 2 * count)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert_perfect(verdict, 2 * count)


def test_a_killed_producer_does_not_stop_the_others():
    """One dies holding a claim (kill -9 in the middle): after unblock the others go through."""
    with MappedFile.anonymous(RING_BYTES) as memory:
        child = os.fork()
        if child == 0:
            region = ManyToOneRingBuffer(memory).try_claim(1, 24)
            region.buffer[:8] = b"halfdone"
            os.kill(os.getpid(), 9)
        os.waitpid(child, 0)
        assert litmus.produce(memory, 0, 50) == 50
        assert litmus.consume(memory, 1, 50, patience_ns=0).received == 0
        assert ManyToOneRingBuffer(memory).unblock()
        assert_perfect(litmus.consume(memory, 1, 50), 50)


@pytest.mark.parametrize(
    ("broadcast_bytes", "pause_every"), [(4096 + 128, 20), (4096 + 128, 0), (512 + 128, 0)]
)
def test_broadcast_never_delivers_a_torn_message(broadcast_bytes, pause_every):
    """With pauses receivers keep up most of the time; without they are lapped all the time."""
    count = 20_000 if pause_every else 3_000_000
    with MappedFile.anonymous(broadcast_bytes) as memory, ThreadPoolExecutor(2) as pool:
        started = [pool.submit(litmus.receive, memory, count - 1) for _ in range(2)]
        litmus.transmit(memory, count, pause_every=pause_every)
        for verdict in (future.result() for future in started):
            assert verdict["last"] == count - 1
            assert verdict["received"] > 0
            assert (verdict["damaged"], verdict["backwards"]) == (0, 0)
            assert verdict["unexplained_gaps"] == 0


def test_data_is_visible_before_its_flag():
    rounds = 20_000_000
    with MappedFile.anonymous(256) as memory, ThreadPoolExecutor(1) as pool:
        observer = pool.submit(litmus.observe_messages, memory, rounds)
        litmus.pass_messages(memory, rounds)
        verdict = observer.result()
    assert (verdict["violations"], verdict["last"]) == (0, rounds)


def test_data_is_visible_before_its_flag_across_processes():
    rounds = 20_000_000
    with MappedFile.anonymous(256) as memory:
        child = os.fork()
        if child == 0:
            os._exit(0 if litmus.pass_messages(memory, rounds) == rounds else 1)
        verdict = litmus.observe_messages(memory, rounds)
        assert os.waitpid(child, 0)[1] == 0
    assert (verdict["violations"], verdict["last"]) == (0, rounds)


def test_correlation_ids_are_unique_among_threads():
    ring = ManyToOneRingBuffer(bytearray(1024 + 768))
    with ThreadPoolExecutor(4) as pool:
        taken = pool.map(lambda _: [ring.next_correlation_id() for _ in range(2_000)], range(4))
        ids = [one for batch in taken for one in batch]
    assert sorted(ids) == list(range(8_000))


def test_increments_of_many_threads_add_up():
    manager = CountersManager(bytearray(512), bytearray(128), epoch_clock_ms=lambda: 0)
    counter = AtomicCounter(manager, manager.allocate(1))

    def increment():
        for _ in range(5_000):
            counter.increment()

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value == 20_000


def test_the_judge_notices_damage_loss_and_disorder():
    """The experiments prove nothing unless their judge can find a fault."""
    memory = bytearray(RING_BYTES)
    litmus.produce(memory, 0, 10)
    memory[8 + 16 + 8 + 16] ^= 1  # first derived word of message 1
    verdict = litmus.consume(memory, 1, 10)
    assert (verdict.damaged, verdict.misordered) == (1, 1)
    litmus.produce(memory, 0, 5)  # numbering starts again at 0: doubled messages
    assert litmus.consume(memory, 1, 5).misordered == 0
    litmus.produce(memory, 0, 5)
    litmus.produce(memory, 0, 5)
    assert litmus.consume(memory, 1, 10).misordered == 1
