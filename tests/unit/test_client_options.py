"""Client options, results, waits and the package's public names."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import volans
from volans.client.options import ClientOptions, default_directory
from volans.client.waiting import Waiter


def test_options_come_from_the_environment_and_arguments():
    environment = {
        "AERON_DIR": "/somewhere",
        "AERON_CLIENT_NAME": "from environment",
        "AERON_DRIVER_TIMEOUT": "2500",
        "AERON_CLIENT_RESOURCE_LINGER_DURATION": "4s",
        "AERON_CLIENT_IDLE_SLEEP_DURATION": "5ms",
        "AERON_CLIENT_PRE_TOUCH_MAPPED_MEMORY": "true",
        "AERON_UNKNOWN": "ignored",
    }
    options = ClientOptions.from_environment(environment, client_name="argument")
    assert options.directory == "/somewhere"
    assert options.client_name == "argument"
    assert (options.driver_timeout, options.resource_linger) == (2.5, 4.0)
    assert options.idle_sleep == 0.005
    assert options.pre_touch
    assert ClientOptions.from_environment(environment, directory="/other").directory == "/other"
    assert default_directory({"USER": "someone"}).endswith("someone")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("AERON_DRIVER_TIMEOUT", "soon"),
        ("AERON_CLIENT_RESOURCE_LINGER_DURATION", "4 parsecs"),
        ("AERON_CLIENT_PRE_TOUCH_MAPPED_MEMORY", "perhaps"),
    ],
)
def test_bad_environment_values_name_their_variable(variable, text):
    with pytest.raises(volans.ConfigError, match=variable) as caught:
        ClientOptions.from_environment({variable: text, "AERON_DIR": "/d"})
    assert caught.value.value == text


@pytest.mark.parametrize(
    "wrong",
    [
        {"driver_timeout": 0},
        {"keepalive_interval": -1},
        {"idle_sleep": 1e9},
        {"resource_linger": -0.1},
        {"client_name": "ü"},
        {"client_name": "x" * 101},
        {"misspelt": 1},
    ],
)
def test_bad_options_are_refused(wrong):
    with pytest.raises(volans.ConfigError, match=next(iter(wrong))):
        ClientOptions.from_environment({"AERON_DIR": "/d"}, **wrong)


def test_offer_results_are_false_and_actions_are_official():
    assert not any(volans.OfferResult)
    assert [result.value for result in volans.OfferResult] == [-1, -2, -3]
    assert list(volans.ControlledAction) == [1, 2, 3, 4]
    error = volans.MessageTooLongError(20, 10, "a message", "split it")
    assert isinstance(error, ValueError)
    assert "20" in str(error)
    assert "10" in str(error)
    assert "split it" in str(error)


def test_waits_end_by_the_clock_they_are_given():
    now = [0]
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += int(seconds * 1e9)

    waiter = Waiter(0.01, lambda: now[0], sleep, None)
    while waiter.idle():
        pass
    assert now[0] >= 10_000_000
    assert slept == sorted(slept)
    assert slept[-1] == 0.001
    worked = iter([1, 1, 0])
    busy = Waiter(None, lambda: 0, slept.append, lambda: next(worked))
    assert busy.idle()
    assert busy.idle()
    assert busy.idle()


def test_every_public_name_is_there():
    for name in volans.__all__:
        assert getattr(volans, name) is not None, name
    assert set(volans.__all__) <= set(dir(volans))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = volans.nonsense


def test_importing_loads_neither_numpy_nor_the_command_line():
    script = (
        "import sys, volans; volans.connect; volans.Subscription\n"
        "heavy = {'numpy', 'typer', 'rich', 'asyncio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_directory_of_none_leaves_the_environments():
    options = ClientOptions.from_environment({"AERON_DIR": "/dev/shm/elsewhere"}, directory=None)
    assert options.directory == "/dev/shm/elsewhere"
    given = ClientOptions.from_environment({"AERON_DIR": "/dev/shm/elsewhere"}, directory="/here")
    assert given.directory == "/here"
