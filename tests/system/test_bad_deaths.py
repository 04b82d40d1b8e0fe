"""Sudden deaths: of a client in the middle of an append, of a driver under its clients."""

from __future__ import annotations

import gc
import os
import signal
import struct
import subprocess
import sys
import time

import pytest
from bad_input import (
    await_that,
    driver_fixture,
    error_texts,
    free_port,
    log_files,
    mappings_of,
    peer,
    run_driver,
    stream_id,
)
from client_driver import connected_pair

import volans
from volans.protocol.counter_types import SystemCounter

__all__ = ["stream_id"]

DRIVER_TIMEOUT_S = 2.0
BEFORE = [b"before-%d" % number for number in range(5)]
AFTER = [b"after-%d" % number for number in range(5)]

# Publishes, claims, and dies by a signal nobody can handle before it commits.
DYING_PUBLISHER = """
import os, signal, sys, time
import volans
directory, channel, stream_id, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
client = volans.connect(directory)
add = client.add_publication if kind == "concurrent" else client.add_exclusive_publication
publication = add(channel, stream_id)
for number in range(5):
    publication.publish(b"before-%d" % number, timeout=20)
claim = publication.try_claim(200)
assert claim, claim
claim.buffer[:4] = b"half"
print(publication.session_id, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""

driver = driver_fixture()


class DyingPublisher:
    """The process above."""

    def __init__(self, driver: peer.Driver, channel: str, stream_id: int, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DYING_PUBLISHER]  # noqa: RUF005
            + [str(driver.directory), channel, str(stream_id), kind],
            env=peer.volans_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def await_claim(self) -> int:
        """Its session id, once it is in the middle of an append."""
        return int(self.process.stdout.readline())

    def die(self) -> None:
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        assert self.process.wait(20) == -signal.SIGKILL
        self.process.stdin.close()
        self.process.stdout.close()


def channels() -> dict[str, str]:
    return {"ipc": "aeron:ipc", "udp": f"aeron:udp?endpoint=127.0.0.1:{free_port()}"}


def test_a_client_killed_in_an_append_blocks_nobody_for_long(driver, stream_id):
    """Concurrent: who shares the log goes on. Exclusive: what was committed arrives, and ends."""
    with volans.connect(driver.directory) as client:
        cases = []
        for number, (media, kind) in enumerate(
            [(m, k) for m in ("ipc", "udp") for k in ("concurrent", "exclusive")]
        ):
            channel, stream = channels()[media], stream_id + 1000 + number
            got, gone = [], []
            subscription = client.add_subscription(
                channel, stream, on_unavailable_image=lambda image, gone=gone: gone.append(image)
            )
            own = client.add_publication(channel, stream) if kind == "concurrent" else None
            dying = DyingPublisher(driver, channel, stream, kind)
            cases.append((media, kind, subscription, own, dying, got, gone))
        unblocked_before = client.counters.value(SystemCounter.UNBLOCKED_PUBLICATIONS)
        bystander = client.add_publication("aeron:ipc", stream_id)
        listener = client.add_subscription("aeron:ipc", stream_id)

        def poll_all() -> None:
            for _media, _kind, subscription, _own, _dying, got, _gone in cases:
                subscription.poll(lambda buffer, _header, got=got: got.append(bytes(buffer)))

        def all_have_begun() -> bool:
            poll_all()
            return all(case[5] == BEFORE for case in cases)

        await_that(all_have_begun)
        for *_, own, dying, _got, _gone in cases:
            session_id = dying.await_claim()
            if own is not None:
                assert own.session_id == session_id, "not the same log"
                for message in AFTER:
                    own.publish(message, timeout=20)
            dying.die()
        bystander.publish(b"unharmed", timeout=20)
        heard = []
        await_that(lambda: listener.poll(lambda buffer, _h: heard.append(bytes(buffer))))
        assert heard == [b"unharmed"]

        def all_went_on() -> bool:
            poll_all()
            return all(
                got == BEFORE + AFTER if kind == "concurrent" else len(gone) == 1
                for _media, kind, _subscription, _own, _dying, got, gone in cases
            )

        await_that(all_went_on, 40)
        for media, kind, subscription, own, _dying, got, _gone in cases:
            assert got == BEFORE + (AFTER if kind == "concurrent" else []), (media, kind)
            if own is not None:
                own.publish(b"more", timeout=20)
                await_that(lambda: poll_all() or got[-1] == b"more")  # noqa: B023
            else:
                assert not subscription.images
        unblocked = client.counters.value(SystemCounter.UNBLOCKED_PUBLICATIONS) - unblocked_before
        assert unblocked >= 2
        assert client.counters.value(SystemCounter.CLIENT_TIMEOUTS) >= len(cases)
    assert error_texts(driver.directory) == []
    await_that(lambda: log_files(driver.directory) == [])


def test_space_reserved_and_never_begun_is_unblocked_too(driver, stream_id):
    """Killed between moving the tail and writing the length: nothing tells how long it was."""
    with volans.connect(driver.directory) as client:
        publication = client.add_publication("aeron:ipc", stream_id)
        subscription = client.add_subscription("aeron:ipc", stream_id)
        publication.publish(b"before", timeout=10)
        [log] = (driver.directory / "publications").glob(f"{publication.registration_id}.*")
        with open(log, "r+b", buffering=0) as file:
            tail_at = 3 * 65536
            index = next(
                index
                for index in range(3)
                if struct.unpack("<q", os.pread(file.fileno(), 8, tail_at + 8 * index))[0]
                & 0xFFFFFFFF
            )
            (tail,) = struct.unpack("<q", os.pread(file.fileno(), 8, tail_at + 8 * index))
            os.pwrite(file.fileno(), struct.pack("<q", tail + 256), tail_at + 8 * index)
        publication.publish(b"after", timeout=10)
        got = []

        def both() -> bool:
            subscription.poll(lambda buffer, _header: got.append(bytes(buffer)))
            return len(got) == 2

        await_that(both, 30)
        assert got == [b"before", b"after"]


@pytest.mark.parametrize("threading_mode", ["SHARED", "DEDICATED"])
def test_clients_of_a_killed_driver_get_a_clear_error_in_time(stream_id, threading_mode):
    with run_driver(AERON_THREADING_MODE=threading_mode) as driver:
        errors, closed = [], []
        client = volans.connect(
            driver.directory, driver_timeout=DRIVER_TIMEOUT_S, error_handler=errors.append
        )
        client.add_close_handler(lambda: closed.append(time.monotonic()))
        pairs = []
        for channel in channels().values():
            pairs.append(connected_pair(client, stream_id, channel))
            pairs[-1][0].publish(b"alive", timeout=20)
        driver.process.kill()
        driver.process.wait(20)
        killed = time.monotonic()
        outcomes: set[object] = set()
        # The logs stay mapped: offers and polls must not crash meanwhile.
        while not client.is_closed:
            for publication, subscription in pairs:
                try:
                    outcomes.add(publication.offer(b"x" * 100))
                    subscription.poll(lambda _buffer, _header: None)
                except volans.VolansError as error:
                    outcomes.add(type(error))
            assert time.monotonic() < killed + 30
            time.sleep(0.001)
        assert time.monotonic() - killed >= DRIVER_TIMEOUT_S / 2
        await_that(lambda: closed)
        assert [type(error) for error in errors] == [volans.DriverTimeoutError]
        message = str(errors[0])
        assert "driver" in message
        assert " s" in message, f"no time named: {message}"
        for publication, subscription in pairs:
            assert not publication.is_connected
            with pytest.raises(volans.VolansError):
                publication.offer(b"y")
            try:
                subscription.poll(lambda _buffer, _header: None)
            except volans.VolansError as error:
                outcomes.add(type(error))
        with pytest.raises(volans.DriverTimeoutError):
            client.add_publication("aeron:ipc", 1)
        for publication, subscription in pairs:
            publication.close()
            subscription.close()
        client.close()
        client.close()
        # Handles keep what they read; when they go, all goes.
        del publication, subscription, pairs, client
        errors.clear()
        gc.collect()
        await_that(lambda: mappings_of(os.getpid(), driver.directory) == [])
        with pytest.raises(volans.DriverNotRunningError, match="sign of life"):
            volans.connect(driver.directory, driver_timeout=0.2)
        # Its directory can be taken over at once by a driver that may delete it.
        with peer.Driver("volans", driver.directory) as successor:
            volans.connect(successor.directory).close()


def test_a_driver_that_shuts_down_says_so(stream_id):
    with run_driver() as driver:
        errors = []
        client = volans.connect(driver.directory, error_handler=errors.append)
        client.add_publication("aeron:ipc", stream_id)
        assert driver.stop() == 0
        await_that(lambda: client.is_closed)
        await_that(lambda: errors)
        assert "shut down" in str(errors[0])
        client.close()
