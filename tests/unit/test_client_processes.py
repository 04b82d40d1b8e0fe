"""Which process a client is in, and whether it lives: labels, the system's table, look-alikes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from volans.agents.processes import pid_namespace_id, process_start_ticks
from volans.driver.conductor.client_processes import ProcessWatch
from volans.protocol.client_process import (
    ClientProcess,
    client_process_mark,
    client_process_of,
)
from volans.protocol.counter_types import client_heartbeat_label, client_info

NAMESPACE = 4026531836
OWN = ClientProcess(1000, NAMESPACE)


def label(pid: int, namespace_id: int | None = NAMESPACE, name: str = "feed") -> str:
    info = client_info(name, "0.1.0", "volans")
    return client_heartbeat_label(5, info) + client_process_mark(pid, namespace_id)


def test_the_mark_stands_behind_what_official_clients_write() -> None:
    assert label(77).endswith(f" name=feed version=0.1.0 commit=volans pid=77 pidns={NAMESPACE}")
    assert client_process_of(label(77)) == ClientProcess(77, NAMESPACE)
    assert client_process_of(label(77) + "\0") == ClientProcess(77, NAMESPACE)
    assert label(77, None).endswith(" commit=volans pid=77")


@pytest.mark.parametrize(
    "text",
    [
        client_heartbeat_label(5, client_info("feed", "1.50.0", "abcdef")),
        client_heartbeat_label(5, client_info("x pid=1 pidns=2", "1.50.0", "abcdef")),
        label(77, None),
        label(77)[:-1] + "x",
        label(77) + " and more",
        "",
    ],
)
def test_labels_that_name_no_process(text: str) -> None:
    assert client_process_of(text) is None


def test_a_process_is_seen_to_live_and_to_die() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        began = process_start_ticks(child.pid)
        assert began is not None
        assert process_start_ticks(child.pid) == began
        assert pid_namespace_id() is not None
    finally:
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        # Nobody has waited for it: it is a zombie, and dead.
        assert process_start_ticks(child.pid) is None
        child.communicate()
    assert process_start_ticks(child.pid) is None


def test_a_process_whose_first_thread_ended_lives() -> None:
    script = (
        "import ctypes, platform, threading\n"
        "threading.Thread(target=input, daemon=False).start()\n"
        "print('ready', flush=True)\n"
        "exit_thread = {'x86_64': 60, 'aarch64': 93}[platform.machine()]\n"
        "ctypes.CDLL(None).syscall(exit_thread, 0)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout.readline() == b"ready\n"
        state = ""
        while state != "Z":
            with open(f"/proc/{child.pid}/stat") as file:
                state = file.read().rpartition(")")[2].split()[0]
        assert process_start_ticks(child.pid) is not None
    finally:
        child.kill()
        child.communicate()


class Table:
    """A system's table of processes."""

    def __init__(self, **start_ticks: int | None) -> None:
        self.start_ticks = {int(pid[1:]): ticks for pid, ticks in start_ticks.items()}

    def __call__(self, pid: int) -> int | None:
        ticks = self.start_ticks.get(pid)
        if ticks == -1:
            raise PermissionError("hidden")
        return ticks


def test_the_dead_are_told_from_the_living_and_from_who_got_their_pid() -> None:
    table = Table(p7=100)
    process = ProcessWatch(OWN, table).find(label(7))
    assert process is not None
    assert not process.has_ended
    table.start_ticks[7] = 200
    assert process.has_ended
    del table.start_ticks[7]
    assert process.has_ended
    table.start_ticks[7] = -1
    assert not process.has_ended, "the system would not say: that is no death"


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (None, label(7)),
        (OWN, label(7, NAMESPACE + 1)),
        (OWN, label(7, None)),
        (OWN, label(OWN.pid)),
        (OWN, label(8)),
        (OWN, label(9)),
    ],
    ids=["no namespace", "another namespace", "none told", "itself", "never seen", "hidden"],
)
def test_who_cannot_be_seen_is_not_watched(own: ClientProcess | None, text: str) -> None:
    assert ProcessWatch(own, Table(p7=100, p1000=100, p9=-1)).find(text) is None
