"""Streams go on while others come and go, with and without the GIL."""

from __future__ import annotations

import threading

import pytest
from client_driver import await_that, client, driver, errors, poll_until, stream_id

import volans

__all__ = ["client", "driver", "errors", "stream_id"]

bench_loops = pytest.importorskip("volans.testing.bench_loops")


def test_images_come_and_go_under_a_poll_without_the_gil(driver, client, stream_id):
    loops = bench_loops.Loops(str(driver.directory), "aeron:ipc", "", stream_id)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(loops.one_way(300_000, 32)))
    thread.start()
    rounds = 0
    while thread.is_alive() and rounds < 200:
        publication = client.add_exclusive_publication("aeron:ipc", stream_id)
        publication.close()
        rounds += 1
    thread.join(60)
    loops.close()
    assert done
    assert done[0] > 0
    assert rounds > 0


def test_images_come_and_go_under_a_python_poll(client, stream_id):
    subscription = client.add_subscription("aeron:ipc", stream_id)
    steady = client.add_exclusive_publication("aeron:ipc", stream_id)
    await_that(lambda: steady.is_connected)
    seen: dict[int, list[int]] = {}

    def handler(buffer, header):
        seen.setdefault(header.session_id, []).append(buffer.get_int32(0))

    for number in range(60):
        passing = client.add_exclusive_publication("aeron:ipc", stream_id)
        await_that(lambda p=passing: p.is_connected)
        passing.publish(number.to_bytes(4, "little"), timeout=20)
        steady.publish(number.to_bytes(4, "little"), timeout=20)
        passing.close()
        subscription.poll(handler)
    poll_until(subscription.poll, handler, lambda: len(seen[steady.session_id]) == 60)
    poll_until(subscription.poll, handler, lambda: subscription.image_count == 1)
    assert seen.pop(steady.session_id) == list(range(60))
    assert sorted(seen.values()) == [[number] for number in range(60)]


def test_threads_share_a_publication(client, stream_id):
    subscription = client.add_subscription("aeron:ipc", stream_id)
    publication = client.add_publication("aeron:ipc", stream_id)
    await_that(lambda: publication.is_connected)
    threads = [
        threading.Thread(
            target=lambda name=name: [
                publication.publish(bytes([name]) + number.to_bytes(4, "little"), timeout=60)
                for number in range(2000)
            ]
        )
        for name in range(3)
    ]
    for thread in threads:
        thread.start()
    got: dict[int, list[int]] = {0: [], 1: [], 2: []}

    def handler(buffer, _header):
        got[buffer[0]].append(int.from_bytes(buffer[1:], "little"))

    poll_until(subscription.poll, handler, lambda: sum(map(len, got.values())) == 6000)
    for thread in threads:
        thread.join(10)
    assert list(got.values()) == [list(range(2000))] * 3


def test_an_embedded_driver_lives_and_dies_with_its_client():
    media_driver = pytest.importorskip("volans.driver.media_driver")
    assert volans.MediaDriver is media_driver.MediaDriver
    with volans.connect(embedded=True) as bus:
        directory = bus.directory
        assert bus.driver is not None
        subscription = bus.add_subscription("aeron:ipc", 10)
        publication = bus.add_publication("aeron:ipc", 10)
        publication.publish(b"hello", timeout=20)
        for message in subscription.messages(timeout=20):
            assert bytes(message.buffer) == b"hello"
            break
    with pytest.raises(volans.DriverNotRunningError):
        volans.connect(directory, driver_timeout=0.01)
