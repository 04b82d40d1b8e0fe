"""Churn of clients, publications and subscriptions leaves nothing: mappings, descriptors, files."""

from __future__ import annotations

import gc
import os

import pytest
from bad_input import (
    await_that,
    descriptors_of,
    driver_fixture,
    free_port,
    log_files,
    mappings_of,
    stream_id,
)

import volans

__all__ = ["stream_id"]

ROUNDS = 12

driver = driver_fixture(AERON_THREADING_MODE="DEDICATED", AERON_IMAGE_LIVENESS_TIMEOUT="300ms")


def churn(directory, channels, stream_id: int) -> None:
    """One client with a few streams of each kind, used, some closed and some left to the close."""
    with volans.connect(directory) as client:
        for number, channel in enumerate(channels):
            stream = stream_id + number
            subscription = client.add_subscription(channel, stream)
            shared = client.add_publication(channel, stream)
            own = client.add_exclusive_publication(channel, stream)
            client.add_counter(1001, "churn")
            got = []
            await_that(lambda: len(subscription.images) == 2)  # noqa: B023
            shared.publish(b"s" * 3000, timeout=20)
            own.publish(b"o", timeout=20)

            def all_came() -> bool:
                subscription.poll(lambda buffer, _header: got.append(bytes(buffer)))  # noqa: B023
                return len(got) == 2  # noqa: B023

            await_that(all_came)
            with pytest.raises(volans.RegistrationError):
                client.add_publication(channel + "|term-length=7", stream)
            if number % 2:
                own.close()
                subscription.close()


def resources(pid: int, directory) -> dict[str, list[str]]:
    gc.collect()
    return {"mappings": mappings_of(pid, directory), "descriptors": descriptors_of(pid)}


def test_churn_leaves_nothing_on_either_side(driver, stream_id):
    udp = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    channels = ["aeron:ipc?alias=a", udp, "aeron:ipc?alias=b", f"{udp}|alias=b"]
    pids = (driver.process.pid, os.getpid())
    churn(driver.directory, channels, stream_id)  # what is made once and kept

    def is_quiet() -> bool:
        gc.collect()
        return log_files(driver.directory) == [] and mappings_of(pids[1], driver.directory) == []

    await_that(is_quiet, 30)
    base = [resources(pid, driver.directory) for pid in pids]
    with volans.connect(driver.directory) as watching:
        counters = len(watching.counters)
    del watching
    for _ in range(ROUNDS):
        churn(driver.directory, channels, stream_id)
    await_that(is_quiet, 30)

    def is_as_before() -> bool:
        return [resources(pid, driver.directory) for pid in pids] == base

    try:
        await_that(is_as_before, 20)
    except AssertionError:
        assert [resources(pid, driver.directory) for pid in pids] == base
    with volans.connect(driver.directory) as watching:
        await_that(lambda: len(watching.counters) == counters, 20)


def test_failed_connects_leave_nothing(tmp_path):
    before = resources(os.getpid(), tmp_path)
    (tmp_path / "cnc.dat").write_bytes(b"\x01" * 5000)
    for _ in range(20):
        with pytest.raises(volans.VolansError):
            volans.connect(tmp_path, driver_timeout=0.001)
        with pytest.raises(volans.VolansError):
            volans.connect(tmp_path / "none", driver_timeout=0.001)
    assert resources(os.getpid(), tmp_path) == before
