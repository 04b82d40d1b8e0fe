"""How clients begin, stay alive and end, with their driver or without it."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from client_driver import await_that, collect, start_driver

import volans


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_no_driver_is_said_clearly(tmp_path):
    with pytest.raises(volans.DriverNotRunningError, match="no media driver"):
        volans.connect(tmp_path, driver_timeout=0.05)


def test_options_are_checked(tmp_path):
    with pytest.raises(volans.ConfigError, match="no such option"):
        volans.connect(tmp_path, no_such_option=1)
    with pytest.raises(volans.ConfigError, match="driver_timeout"):
        volans.connect(tmp_path, driver_timeout=0)
    with pytest.raises(volans.ConfigError, match="100"):
        volans.connect(tmp_path, client_name="x" * 101)
    with pytest.raises(TypeError, match="embedded"):
        volans.connect(tmp_path, driver_options={"a": 1})


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_death_of_the_driver_is_noticed(how):
    errors, closed = [], []
    driver = start_driver()
    try:
        client = volans.connect(
            driver.directory,
            driver_timeout=1.0,
            error_handler=errors.append,
            on_close=lambda: closed.append(True),
        )
        subscription = client.add_subscription("aeron:ipc", 1)
        publication = client.add_publication("aeron:ipc", 1)
        counter = client.add_counter(1001, "c")
        publication.publish(b"last words", timeout=20)
        assert collect(subscription, 1) == [b"last words"]
        image = subscription.images[0]
        driver.process.send_signal(how)
        driver.process.wait(20)
        Path(driver.directory, "cnc.dat").unlink(missing_ok=True)
        pending_errors = []

        def add():
            try:
                client.add_publication("aeron:ipc", 2)
            except volans.VolansError as error:
                pending_errors.append(error)

        pending = threading.Thread(target=add)
        pending.start()
        started = time.monotonic()
        await_that(lambda: client.is_closed, 10)
        assert time.monotonic() - started < 5
        pending.join(10)
        assert not pending.is_alive()
        assert [type(error) for error in pending_errors] == [volans.DriverTimeoutError]
        await_that(lambda: errors and closed)
        assert isinstance(errors[0], volans.DriverTimeoutError)
        for use in (
            lambda: client.add_publication("aeron:ipc", 1),
            lambda: client.async_add_subscription("aeron:ipc", 1),
            lambda: client.next_session_id(1),
        ):
            with pytest.raises(volans.DriverTimeoutError):
                use()
        with pytest.raises(volans.PublicationClosedError, match="media driver"):
            publication.offer(b"x")
        with pytest.raises(volans.SubscriptionClosedError, match="media driver"):
            subscription.poll(print)
        with pytest.raises(volans.ClientClosedError):
            counter.increment()
        assert image.is_closed
        assert image.position == 64
        started = time.monotonic()
        client.close()
        client.close()
        assert time.monotonic() - started < 2
        assert closed == [True]
    finally:
        driver.stop()


def test_a_long_hold_of_the_gil_loses_neither_client_nor_events():
    with start_driver(AERON_CLIENT_LIVENESS_TIMEOUT="1s") as driver:
        errors = []
        with volans.connect(driver.directory, error_handler=errors.append) as client:
            publication = client.add_publication("aeron:ipc", 1)
            subscription = client.add_subscription("aeron:ipc", 1)
            await_that(lambda: publication.is_connected)
            # A C call that keeps the GIL, three liveness time-outs long.
            ctypes.PyDLL(None).usleep(3_000_000)
            publication.publish(b"alive", timeout=20)
            assert collect(subscription, 1) == [b"alive"]
            assert client.add_publication("aeron:ipc", 2).session_id
            assert not client.is_closed
            assert errors == []


def test_a_client_that_does_not_show_life_is_told(tmp_path):
    with start_driver(AERON_CLIENT_LIVENESS_TIMEOUT="500ms") as driver:
        errors = []
        with volans.connect(
            driver.directory, use_conductor_invoker=True, error_handler=errors.append
        ) as client:
            publication = client.add_publication("aeron:ipc", 1)
            link = client._conductor.link
            await_that(lambda: client.invoke() >= 0 and link.heartbeat_counter_id >= 0)
            await_that(lambda: client.counters.find_by_type(11) == [], 20)
            await_that(lambda: client.invoke() >= 0 and client.is_closed)
            assert isinstance(errors[0], volans.ClientTimeoutError | volans.DriverTimeoutError)
            with pytest.raises(volans.PublicationClosedError):
                publication.offer(b"x")


def test_nothing_is_left_after_closing():
    with start_driver() as driver:
        volans.connect(driver.directory).close()
        gc.collect()
        before = (descriptors(), threading.active_count())
        for _ in range(5):
            with volans.connect(driver.directory) as client:
                subscription = client.add_subscription("aeron:ipc", 1)
                publication = client.add_publication("aeron:ipc", 1)
                publication.publish(b"x", timeout=20)
                collect(subscription, 1)
                client.add_counter(1001, "c")
        del client, subscription, publication
        gc.collect()
        assert (descriptors(), threading.active_count()) == before
        maps = Path("/proc/self/maps").read_text()
        assert str(driver.directory) not in maps


def test_images_give_their_memory_back_after_the_linger_time():
    with start_driver() as driver, volans.connect(driver.directory, resource_linger=0.1) as client:
        subscription = client.add_subscription("aeron:ipc", 1)
        publication = client.add_publication("aeron:ipc", 1)
        await_that(lambda: subscription.images)
        image = subscription.images[0]
        publication.close()
        await_that(lambda: not subscription.images)
        await_that(
            lambda: (
                str(Path(driver.directory, "publications"))
                not in Path("/proc/self/maps").read_text()
            )
        )
        assert image.is_closed
        assert image.poll(print) == 0
        assert image.active_transport_count == 0
        with pytest.raises(volans.SubscriptionClosedError):
            _ = image.mtu_length


def test_close_hands_everything_back_to_the_driver():
    with start_driver() as driver, volans.connect(driver.directory) as watcher:
        client = volans.connect(driver.directory)
        client.add_counter(1777, "mine")
        assert watcher.counters.find_by_type(1777)
        client.close()
        await_that(lambda: not watcher.counters.find_by_type(1777))
        for use in (
            lambda: client.add_publication("aeron:ipc", 1),
            lambda: client.add_counter(1001, "c"),
        ):
            with pytest.raises(volans.ClientClosedError):
                use()


def test_a_dropped_client_closes_itself():
    with start_driver() as driver, volans.connect(driver.directory) as watcher:
        client = volans.connect(driver.directory)
        client.add_counter(1778, "dropped")
        del client
        gc.collect()
        await_that(lambda: not watcher.counters.find_by_type(1778))


def test_a_forked_child_has_no_client():
    with start_driver() as driver:
        script = """
import os, sys, volans
client = volans.connect(sys.argv[1])
publication = client.add_publication("aeron:ipc", 1)
subscription = client.add_subscription("aeron:ipc", 1)
child = os.fork()
if child == 0:
    code = 1
    try:
        publication.offer(b"x")
    except volans.PublicationClosedError as error:
        code = 0 if "fork" in str(error) else 2
    try:
        client.add_publication("aeron:ipc", 2)
        code = 3
    except volans.ClientClosedError:
        pass
    client.close()
    with volans.connect(sys.argv[1]) as own:
        own.add_publication("aeron:ipc", 3)
    sys.exit(code)
_, status = os.waitpid(child, 0)
publication.publish(b"the parent goes on", timeout=20)
for message in subscription.messages(timeout=20):
    assert bytes(message) == b"the parent goes on"
    break
sys.exit(os.waitstatus_to_exitcode(status))
"""
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", script, str(driver.directory)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_exit_without_close_is_clean():
    with start_driver() as driver, volans.connect(driver.directory) as watcher:
        script = (
            "import sys, volans\n"
            "client = volans.connect(sys.argv[1])\n"
            "client.add_counter(1779, 'left')\n"
            "publication = client.add_publication('aeron:ipc', 1)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(driver.directory)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        await_that(lambda: not watcher.counters.find_by_type(1779))
