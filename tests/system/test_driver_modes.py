"""Threading modes, idle strategies, thread names and cores: every one carries IPC and UDP."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_driver import collect
from driver_process import await_that, cores_of, running_driver, scratch, thread_names

import volans
from volans.protocol.counter_types import SystemCounter

IDLE_VARIABLES = {
    "DEDICATED": ("CONDUCTOR", "SENDER", "RECEIVER"),
    "SHARED_NETWORK": ("CONDUCTOR", "SHAREDNETWORK"),
    "SHARED": ("SHARED",),
}
CLASSIC = {
    "DEDICATED": {"conductor", "sender", "receiver", "aeron-md-nra"},
    "SHARED_NETWORK": {"conductor", "[sender, receiver]"[:15], "aeron-md-nra"},
    "SHARED": {"[conductor, sender, receiver]"[:15]},
    "INVOKER": set(),
}
CYCLES = (
    SystemCounter.CONDUCTOR_MAX_CYCLE_TIME,
    SystemCounter.SENDER_MAX_CYCLE_TIME,
    SystemCounter.RECEIVER_MAX_CYCLE_TIME,
)
NEW = {
    "DEDICATED": {"aeron-md-cnd", "aeron-md-snd", "aeron-md-rcv", "aeron-md-nra"},
    "SHARED_NETWORK": {"aeron-md-cnd", "aeron-md-net", "aeron-md-nra"},
    "SHARED": {"aeron-md-shd"},
}


@pytest.fixture
def directory() -> Iterator[Path]:
    place = Path(scratch())
    yield place / "aeron"
    shutil.rmtree(place, ignore_errors=True)


def carry_messages(directory: Path, udp_channel: str) -> None:
    """Messages over IPC and UDP, in order, in a few terms."""
    payloads = [bytes([number % 251]) * 1000 for number in range(150)]
    with volans.connect(directory) as client:
        for stream_id, channel in ((11, "aeron:ipc"), (12, udp_channel)):
            subscription = client.add_subscription(channel, stream_id)
            publication = client.add_exclusive_publication(channel, stream_id)
            await_that(lambda p=publication: p.is_connected)
            got: list[bytes] = []
            for start in range(0, len(payloads), 10):
                for payload in payloads[start : start + 10]:
                    publication.publish(payload, timeout=20)
                got += collect(subscription, 10)
            assert got == payloads


@pytest.fixture
def udp_channel() -> str:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"aeron:udp?endpoint=127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("mode", ["DEDICATED", "SHARED_NETWORK", "SHARED", "INVOKER"])
def test_every_threading_mode_carries_ipc_and_udp(directory, udp_channel, mode):
    with running_driver(directory, AERON_THREADING_MODE=mode) as driver:
        carry_messages(directory, udp_channel)
        names = thread_names(driver.process.pid)
        assert names >= CLASSIC[mode], names
        if mode != "INVOKER":
            for cycle in CYCLES:
                await_that(lambda c=cycle: driver.counter_value(c) > 0)
        assert driver.error_texts() == []
        assert driver.end(signal.SIGTERM) == (0, "")


@pytest.mark.parametrize("mode", list(NEW))
def test_the_new_thread_names(directory, mode):
    settings = {"AERON_THREADING_MODE": mode, "AERON_THREAD_NAMING": "new"}
    with running_driver(directory, **settings) as driver:
        await_that(lambda: thread_names(driver.process.pid) >= NEW[mode])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("noop", ""),
        ("spin", ""),
        ("yield", ""),
        ("sleep-ns", "50us"),
        ("backoff", "1-1-1us-1ms"),
        ("controllable", ""),
        ("org.agrona.concurrent.YieldingIdleStrategy", ""),
    ],
)
def test_idle_strategies_by_name(directory, udp_channel, name, arguments):
    settings = {"AERON_THREADING_MODE": "SHARED"}
    for agent in IDLE_VARIABLES["SHARED"]:
        settings[f"AERON_{agent}_IDLE_STRATEGY"] = name
        settings[f"AERON_{agent}_IDLE_STRATEGY_INIT_ARGS"] = arguments
    with running_driver(directory, **settings) as driver:
        carry_messages(directory, udp_channel)
        assert driver.error_texts() == []


def test_idle_strategies_of_each_agent(directory, udp_channel):
    settings = {"AERON_THREADING_MODE": "DEDICATED"}
    for agent, name in zip(
        IDLE_VARIABLES["DEDICATED"], ("yield", "sleep-ns", "backoff"), strict=True
    ):
        settings[f"AERON_{agent}_IDLE_STRATEGY"] = name
    with running_driver(directory, **settings) as driver:
        carry_messages(directory, udp_channel)
        assert driver.error_texts() == []


def test_threads_run_on_the_cores_they_are_given(directory, udp_channel):
    core = max(os.sched_getaffinity(0))
    settings = {
        "AERON_CONDUCTOR_CPU_AFFINITY": core,
        "AERON_SENDER_CPU_AFFINITY": core,
        "AERON_DRIVER_NATIVE_RESOURCE_AGENT_CPU_AFFINITY": core,
    }
    with running_driver(directory, **{k: str(v) for k, v in settings.items()}) as driver:
        pid = driver.process.pid
        for name in ("conductor", "sender", "aeron-md-nra"):
            await_that(lambda n=name: n in thread_names(pid) and cores_of(pid, n) == str(core))
        if len(os.sched_getaffinity(0)) > 1:
            assert cores_of(pid, "receiver") != str(core)
        carry_messages(directory, udp_channel)
        assert driver.error_texts() == []


def test_a_core_that_is_not_there_is_told_and_the_driver_runs(directory, udp_channel):
    with running_driver(directory, AERON_SENDER_CPU_AFFINITY="250") as driver:
        carry_messages(directory, udp_channel)
        (told,) = driver.error_texts()
        assert "sender to core 250" in told
        assert driver.counter_value(SystemCounter.ERRORS) == 1
