"""An embedded driver carries others' streams while a Python thread beside it sits on the GIL."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_driver import udp_channel
from driver_process import await_that, peer, scratch

import volans
from volans.protocol.cnc import CncFile

HOST_SCRIPT = """
import ctypes, sys, volans
directory, mode, how = sys.argv[1:]
driver = volans.MediaDriver.launch(
    directory, threading_mode=mode, timer_interval_ns="20ms",
    term_buffer_length="64k", ipc_term_buffer_length="64k",
)
print("ready", flush=True)
sys.stdin.readline()
if how == "sleep":
    hold = lambda: ctypes.PyDLL(None).usleep(1_500_000)
else:
    import time
    sys.setswitchinterval(1000)
    def hold():
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            pass
sys.stdout.write("holding\\n"); sys.stdout.flush()
hold()
sys.setswitchinterval(0.005)
print("released", flush=True)
sys.stdin.readline()
driver.close()
"""
TERM_LENGTH = 64 * 1024
__all__ = ["udp_channel"]


@pytest.fixture
def directory() -> Iterator[Path]:
    place = Path(scratch())
    yield place / "aeron"
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("how", ["sleep", "loop"])
@pytest.mark.parametrize("mode", ["DEDICATED", "SHARED"])
def test_streams_and_the_heartbeat_go_on_while_the_gil_is_held(directory, udp_channel, mode, how):
    host = subprocess.Popen(
        [sys.executable, "-c", HOST_SCRIPT, str(directory), mode, how],
        env=peer.volans_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    released = threading.Event()
    try:
        assert host.stdout.readline() == "ready\n"
        with volans.connect(directory) as sender, volans.connect(directory) as receiver:
            streams = []
            for stream_id, channel in ((21, "aeron:ipc"), (22, udp_channel)):
                subscription = receiver.add_subscription(channel, stream_id)
                publication = sender.add_exclusive_publication(channel, stream_id)
                await_that(lambda p=publication, s=subscription: p.is_connected and s.is_connected)
                streams.append((publication, subscription))
            host.stdin.write("hold\n")
            host.stdin.flush()
            assert host.stdout.readline() == "holding\n"
            watcher = threading.Thread(target=lambda: (host.stdout.readline(), released.set()))
            watcher.start()
            received = [0, 0]
            heartbeats = set()
            with CncFile.attach(directory, timeout_s=0, read_only=True) as cnc:
                while not released.is_set():
                    for index, (publication, subscription) in enumerate(streams):
                        publication.offer(bytes(1000))
                        received[index] += subscription.poll(lambda buffer, header: None)
                    heartbeats.add(cnc.driver_heartbeat_ms)
            # Whole terms, so limits were moved and consumed terms cleaned meanwhile.
            assert min(received) * 1000 > 8 * TERM_LENGTH, received
            assert len(heartbeats) > 5
            watcher.join(30)
        host.stdin.write("end\n")
        host.stdin.flush()
        assert host.wait(30) == 0
    finally:
        host.kill()
        host.communicate()
