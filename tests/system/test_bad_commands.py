"""Hostile commands in the ring of a running driver: answered, logged, and it goes on serving."""

from __future__ import annotations

import os
import random
import struct

import pytest
from bad_input import await_that, driver_fixture, error_texts, free_port, log_files, stream_id

import volans
from volans.memory import CopyBroadcastReceiver, ManyToOneRingBuffer
from volans.protocol import commands as c
from volans.protocol import events
from volans.protocol.cnc import CncFile
from volans.protocol.counter_types import SystemCounter

__all__ = ["stream_id"]

driver = driver_fixture(AERON_THREADING_MODE="DEDICATED", AERON_CLIENT_LIVENESS_TIMEOUT="1s")


class RawClient:
    """The two buffers between clients and driver, without manners."""

    def __init__(self, directory) -> None:
        self.cnc = CncFile.attach(directory)
        self.ring = ManyToOneRingBuffer(self.cnc.to_driver_buffer)
        self.broadcast = CopyBroadcastReceiver(self.cnc.to_clients_buffer)
        self.client_id = self.ring.next_correlation_id()

    def answer(self, correlation_id: int) -> events.Event:
        found: list[events.Event] = []

        def take(msg_type_id: int, payload: memoryview) -> None:
            event = events.decode_event(msg_type_id, bytes(payload))
            if correlation_id in (
                getattr(event, "correlation_id", None),
                getattr(event, "offending_correlation_id", None),
            ):
                found.append(event)

        return await_that(lambda: self.broadcast.receive(take) and found and found[0])

    def ask(self, command: c.Command) -> events.Event:
        await_that(lambda: self.ring.write(command.msg_type_id, command.encode()))
        return self.answer(command.correlation_id)

    def next_id(self) -> int:
        return self.ring.next_correlation_id()


@pytest.fixture
def raw(driver):
    client = RawClient(driver.directory)
    yield client
    client.cnc.close()


def serves(driver, stream_id: int) -> None:
    with volans.connect(driver.directory) as client:
        subscription = client.add_subscription("aeron:ipc", stream_id)
        publication = client.add_publication("aeron:ipc", stream_id)
        publication.publish(b"served", timeout=20)
        got = []
        await_that(lambda: subscription.poll(lambda buffer, _h: got.append(bytes(buffer))))
        assert got == [b"served"]


def test_refusals_reach_the_client_and_the_error_log(driver, raw, stream_id):
    client_id = raw.client_id
    for make in (
        lambda i: c.AddPublication(client_id, i, 1, "aeron:ipc?term-length=5"),
        lambda i: c.AddSubscription(client_id, i, 1, "\udcff\udcfe"),
        lambda i: c.AddSubscription(client_id, i, 1, "aeron:udp?endpoint=nowhere.invalid:4000"),
        lambda i: c.AddExclusivePublication(client_id, i, 1, "aeron:ipc?" + "x" * 4200),
        lambda i: c.RemovePublication(client_id, i, 1 << 50),
        lambda i: c.RemoveSubscription(-7, i, -7),
        lambda i: c.AddCounter(client_id, i, 1001, bytes(113), "key too long"),
        lambda i: c.AddCounter(client_id, i, 1001, b"", "\u00fc" * 381),
    ):
        answer = raw.ask(make(raw.next_id()))
        assert isinstance(answer, events.ErrorResponse), answer
        assert len(answer.message) > 10
        assert any(answer.message[:40] in text for text in error_texts(driver.directory))
    serves(driver, stream_id)


def test_a_registration_id_in_use_is_refused(driver, raw, stream_id):
    channel = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    number = raw.next_id()
    for command in (
        c.AddPublication(raw.client_id, number, stream_id, channel),
        c.AddPublication(raw.client_id, number, stream_id, channel),
        c.AddSubscription(raw.client_id + 1000, number, stream_id, "aeron:ipc"),
    ):
        answer = raw.ask(command)
    assert isinstance(answer, events.ErrorResponse)
    assert "in use" in answer.message
    serves(driver, stream_id)
    await_that(lambda: log_files(driver.directory) == [])  # the raw client has fallen silent


def test_a_command_never_committed_is_unblocked(driver, raw, stream_id):
    before = unblocked(raw)
    region = raw.ring.try_claim(c.AddPublication.msg_type_id, 64)
    await_that(lambda: unblocked(raw) == before + 1)
    serves(driver, stream_id)
    region.abort()
    serves(driver, stream_id + 10_000)


def unblocked(raw: RawClient) -> int:
    from volans.memory import CountersReader

    reader = CountersReader(raw.cnc.counters_metadata_buffer, raw.cnc.counters_values_buffer)
    return reader.value(SystemCounter.UNBLOCKED_COMMANDS)


def test_a_corrupt_record_is_skipped_and_told(driver, raw, stream_id):
    region = raw.ring.try_claim(c.AddPublication.msg_type_id, 56)
    at = (raw.ring.producer_position - 64) % raw.ring.capacity
    with raw.cnc.to_driver_buffer as buffer, buffer[at : at + 4].cast("i") as length:
        length[0] = 0x7FFF_FFFF
    await_that(lambda: any("corrupt record" in text for text in error_texts(driver.directory)))
    serves(driver, stream_id)
    region.abort()


def test_noise_of_many_commands(driver, raw, stream_id):
    rng = random.Random(stream_id)
    words = (0, 1, -1, 16, 4095, 1 << 20, (1 << 31) - 1, -(1 << 31))
    for _ in range(3000):
        payload = b"".join(struct.pack("=i", rng.choice(words)) for _ in range(rng.randrange(16)))
        msg_type_id = rng.choice((*range(1, 21), 0x7FFFFFFF))
        if msg_type_id != c.TerminateDriver.msg_type_id:
            await_that(lambda: raw.ring.write(msg_type_id, payload))  # noqa: B023
    await_that(lambda: raw.ring.size == 0)
    serves(driver, stream_id)
    await_that(lambda: log_files(driver.directory) == [])
    assert os.path.exists(f"/proc/{driver.process.pid}")  # noqa: PTH110
