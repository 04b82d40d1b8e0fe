"""A client process that dies without closing is gone at once, not after the liveness time-out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from bad_input import await_that, error_texts, free_port, peer, run_driver, stream_id

import volans
from volans.protocol.client_process import client_process_of
from volans.protocol.counter_types import CounterType, SystemCounter

__all__ = ["stream_id"]

# Far beyond the two seconds in which the publisher has to go on.
LIVENESS_S = 60
TIMER_INTERVAL_S = 0.25
SUBSCRIBER = """
import sys, time
import volans
client = volans.connect(sys.argv[1], client_name="doomed")
subscription = client.add_subscription(sys.argv[2], int(sys.argv[3]))
while not subscription.is_connected:
    time.sleep(0.001)
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def driver():
    settings = {
        "AERON_CLIENT_LIVENESS_TIMEOUT": f"{LIVENESS_S}s",
        "AERON_PUBLICATION_UNBLOCK_TIMEOUT": f"{LIVENESS_S + 10}s",
        "AERON_IMAGE_LIVENESS_TIMEOUT": "10s",
        "AERON_TIMER_INTERVAL": "250ms",
    }
    with run_driver(**settings) as running:
        yield running


@pytest.mark.parametrize("media", ["ipc", "udp"])
def test_a_killed_subscriber_holds_its_publisher_up_for_a_moment_only(driver, stream_id, media):
    channel = {"ipc": "aeron:ipc", "udp": f"aeron:udp?endpoint=127.0.0.1:{free_port()}"}[media]
    with volans.connect(driver.directory) as client:
        timeouts = client.counters.value(SystemCounter.CLIENT_TIMEOUTS)
        publication = client.add_publication(channel, stream_id)
        living = client.add_subscription(channel, stream_id)
        doomed = subprocess.Popen(
            [sys.executable, "-c", SUBSCRIBER, str(driver.directory), channel, str(stream_id)],
            env=peer.volans_environment(),
            stdout=subprocess.PIPE,
        )
        try:
            assert doomed.stdout.readline() == b"ready\n"
            heartbeats = CounterType.CLIENT_HEARTBEAT

            def is_known() -> bool:
                counters = client.counters
                labels = [counters.label(id_) for id_ in counters.find_by_type(heartbeats)]
                return doomed.pid in {
                    process.pid for label in labels if (process := client_process_of(label))
                }

            await_that(is_known)
            # The driver looks once in a timer interval, and has to have seen it alive.
            seen_alive_at = time.monotonic() + 4 * TIMER_INTERVAL_S
            while publication.offer(bytes(1024)) or time.monotonic() < seen_alive_at:
                living.poll(lambda *_: None, 100)
            blocked_at = publication.position
            os.kill(doomed.pid, signal.SIGKILL)
            killed_at = time.monotonic()

            def goes_on() -> bool:
                living.poll(lambda *_: None, 100)
                publication.offer(bytes(1024))
                return publication.position > blocked_at + (1 << 16)

            await_that(goes_on, LIVENESS_S / 2)
            assert time.monotonic() - killed_at < 2.0
            assert client.counters.value(SystemCounter.CLIENT_TIMEOUTS) == timeouts + 1
            assert not is_known()
        finally:
            doomed.kill()
            doomed.communicate()
    assert error_texts(driver.directory) == []
