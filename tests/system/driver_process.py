"""volansmd as an operator meets it: a process, its environment, its exit, its files."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import peer
from client_driver import await_that, scratch

from volans.errors import VolansError
from volans.memory import CountersReader, ErrorLogReader, ManyToOneRingBuffer
from volans.protocol.cnc import CncFile
from volans.protocol.commands import Command

COMMAND = [sys.executable, "-m", "volans.driver.volansmd"]
SMALL = {
    "AERON_TERM_BUFFER_LENGTH": "64k",
    "AERON_IPC_TERM_BUFFER_LENGTH": "64k",
    "AERON_TIMER_INTERVAL": "20ms",
}


def environment(directory: Path | None, **settings: str) -> dict[str, str]:
    """Of a driver on `directory`, without the AERON_* of this process."""
    inherited = {k: v for k, v in peer.volans_environment().items() if not k.startswith("AERON_")}
    place = {} if directory is None else {"AERON_DIR": str(directory)}
    return {**inherited, **SMALL, **place, **settings}


def run_to_its_end(directory: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit status and everything said by a driver that is expected not to stay."""
    answer = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(directory, **settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return answer.returncode, answer.stdout + answer.stderr


class RunningDriver:
    """A volansmd that is ready; `end` gives its exit status and what it said."""

    def __init__(self, directory: Path | None, **settings: str) -> None:
        env = environment(directory, **settings)
        self.directory = directory or Path(f"/dev/shm/aeron-{env['USER']}")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            COMMAND, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            await_that(self._is_ready)
        except BaseException:
            self.process.kill()
            raise
        self.ready_after_s = time.monotonic() - self.started

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.process.stdout.read()
        try:
            with CncFile.attach(self.directory, timeout_s=0, read_only=True) as cnc:
                return cnc.pid == self.process.pid
        except (VolansError, OSError):
            return False

    def send(self, command: Command) -> None:
        """Write a command as a client does."""
        with CncFile.attach(self.directory, timeout_s=5) as cnc:
            ring = ManyToOneRingBuffer(cnc.to_driver_buffer)
            assert ring.write(command.msg_type_id, command.encode())

    def counter_value(self, counter_id: int) -> int:
        with CncFile.attach(self.directory, timeout_s=5, read_only=True) as cnc:
            return CountersReader(cnc.counters_metadata_buffer, cnc.counters_values_buffer).value(
                counter_id
            )

    def consumer_position(self) -> int:
        """How far the driver has read its commands."""
        with CncFile.attach(self.directory, timeout_s=5) as cnc:
            return ManyToOneRingBuffer(cnc.to_driver_buffer).consumer_position

    def error_texts(self) -> list[str]:
        with CncFile.attach(
            self.directory, timeout_s=0, read_only=True, require_alive=False
        ) as cnc:
            return [entry.text for entry in ErrorLogReader(cnc.error_log_buffer).read()]

    def heartbeat_ms(self) -> int:
        with CncFile.attach(
            self.directory, timeout_s=0, read_only=True, require_alive=False
        ) as cnc:
            return cnc.driver_heartbeat_ms

    def end(self, number: int | None = None) -> tuple[int, str]:
        if number is not None:
            self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=30)
        return self.process.returncode, said


@contextlib.contextmanager
def running_driver(directory: Path | None, **settings: str) -> Iterator[RunningDriver]:
    """A driver of the test's own; killed when the test has not ended it."""
    driver = RunningDriver(directory, **settings)
    try:
        yield driver
    finally:
        if driver.process.poll() is None:
            driver.process.kill()
            driver.process.communicate(timeout=30)


def thread_names(pid: int) -> set[str]:
    """Of all threads of a process, as the kernel knows them."""
    return {
        (task / "comm").read_text(encoding="utf-8").strip()
        for task in Path(f"/proc/{pid}/task").iterdir()
    }


def cores_of(pid: int, thread_name: str) -> str:
    """The cores a thread may run on, as /proc lists them."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text(encoding="utf-8").strip() == thread_name:
            for line in (task / "status").read_text(encoding="utf-8").splitlines():
                if line.startswith("Cpus_allowed_list:"):
                    return line.split()[1]
    raise AssertionError(f"{thread_name!r} is none of {thread_names(pid)}")


__all__ = [
    "RunningDriver",
    "await_that",
    "cores_of",
    "environment",
    "peer",
    "run_to_its_end",
    "running_driver",
    "scratch",
    "thread_names",
]
