"""Finds a Python for the independent peer, keeps its virtual environment, and talks to workers.

The peer is the ``pyaeron`` wheel: the official C client with the official C driver inside. It
needs Python 3.12 or later, so it lives in a virtual environment of its own under ``build/`` and
is driven over stdin and stdout, one JSON object a line (see ``peer_roles.py`` for the commands).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import queue
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEER_REQUIREMENT = "pyaeron==0.1.0"
PEER_VERSIONS = ((3, 13), (3, 12), (3, 14), (3, 15))
OFFICIAL_ROLES = HERE / "peer_official.py"
OFFICIAL_DRIVER = HERE / "peer_driver.py"
VOLANS_ROLES = HERE / "volans_peer.py"


class PeerUnavailable(Exception):
    """Why this machine cannot run the official client and driver."""


class WorkerFailed(AssertionError):
    """A worker reported an error, said nothing in time, or ended early."""


def _version_of(python: str) -> tuple[int, int] | None:
    script = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-c", script], capture_output=True, text=True, timeout=20, check=True
        )
        major, minor = answer.stdout.split()
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _candidates() -> Iterator[str]:
    named = os.environ.get("VOLANS_PEER_PYTHON")
    if named:
        yield named
        return
    yield sys.executable
    for major, minor in PEER_VERSIONS:
        found = shutil.which(f"python{major}.{minor}")
        if found:
            yield found
    for found in sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python"), reverse=True):
        yield str(found)


def _choose_python() -> tuple[str, tuple[int, int]]:
    best: tuple[int, str, tuple[int, int]] | None = None
    for python in _candidates():
        version = _version_of(python)
        if version in PEER_VERSIONS:
            rank = PEER_VERSIONS.index(version)
            if best is None or rank < best[0]:
                best = (rank, python, version)
    if best is None:
        raise PeerUnavailable(
            "the official peer (pyaeron) needs Python 3.12 to 3.15: none on PATH or in "
            "~/.pyenv/versions; name one in VOLANS_PEER_PYTHON"
        )
    return best[1], best[2]


@functools.cache
def peer_python(extra: tuple[str, ...] = ()) -> str:
    """Path of the peer's Python, its environment made on first use; raises PeerUnavailable.

    ``extra`` are further requirements (benchmarks want pyzmq in it).
    """
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with open(build / ".peer-venv.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        base, (major, minor) = _choose_python()
        venv = build / f"peer-venv-{major}.{minor}"
        python = venv / "bin" / "python"
        wanted = [PEER_REQUIREMENT, *extra]
        marker = venv / ".installed"
        installed = marker.read_text(encoding="utf-8").split() if marker.exists() else []
        if python.exists() and set(wanted) <= set(installed):
            return str(python)
        try:
            subprocess.run(
                [base, "-m", "venv", str(venv)], check=True, capture_output=True, timeout=120
            )
            subprocess.run(
                [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted],
                check=True,
                capture_output=True,
                timeout=180,
            )
        except (OSError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", b"") or b""
            raise PeerUnavailable(
                f"cannot install {' '.join(wanted)} into {venv}: {error} "
                f"{detail.decode(errors='replace')[-300:]}"
            ) from error
        marker.write_text(" ".join(sorted({*installed, *wanted})), encoding="utf-8")
        return str(python)


def volans_environment() -> dict[str, str]:
    """Environment in which a child finds the checkout's ``volans``."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def official_environment() -> dict[str, str]:
    """Environment of the official side: nothing of the checkout on its path."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _dying_with_parent(command: list[str]) -> list[str]:
    # A killed test run must not leave drivers behind.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


class Worker:
    """A child process that takes commands and gives events, one JSON object a line each."""

    def __init__(self, command: list[str], environment: dict[str, str], name: str):
        self.name = name
        self.greeting: dict = {}
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            _dying_with_parent(command),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self._events: queue.SimpleQueue[dict | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"{name}-reader", daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            line = line.strip()
            if line.startswith("{"):
                self._events.put(json.loads(line))
        self._events.put(None)

    def stderr_tail(self, length: int = 2000) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")[-length:]

    def send(self, **command: object) -> None:
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerFailed(f"{self.name} has ended: {self.stderr_tail()}") from None

    def expect(self, event: str, timeout: float = 30.0) -> dict:
        """The next event, which must be ``event``."""
        try:
            got = self._events.get(timeout=timeout)
        except queue.Empty:
            raise WorkerFailed(
                f"{self.name} gave no {event!r} in {timeout} s; stderr: {self.stderr_tail()}"
            ) from None
        if got is None:
            self.process.wait(10)
            raise WorkerFailed(
                f"{self.name} ended with {self.process.returncode} before {event!r}; "
                f"stderr: {self.stderr_tail()}"
            )
        if got.get("event") != event:
            raise WorkerFailed(f"{self.name}: expected {event!r}, got {got}")
        return got

    def call(self, timeout: float = 60.0, **command: object) -> dict:
        """Send a command and wait until it is done."""
        self.send(**command)
        return self.expect("done", timeout)

    def stop(self, timeout: float = 10.0) -> int:
        """Close its input (a worker's sign to end); kill it if that does not help."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout)
        self._stderr.close()
        return self.process.returncode

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_client(kind: str, directory: str | Path | None = None) -> Worker:
    """A worker with the roles of ``peer_roles.py``: kind is ``volans`` or ``official``."""
    if kind == "official":
        worker = Worker([peer_python(), str(OFFICIAL_ROLES)], official_environment(), "official")
    else:
        worker = Worker([sys.executable, str(VOLANS_ROLES)], volans_environment(), "volans")
    try:
        worker.expect("ready")
        if directory is not None:
            worker.call(command="connect", directory=str(directory))
    except BaseException:
        worker.stop()
        raise
    return worker


class Driver:
    """A driver process on its own directory: kind is ``volans`` (volansmd) or ``official``.

    Both take their settings from the same ``AERON_*`` environment variables. ``within`` is a
    command that runs another one somewhere else, such as in a network namespace.
    """

    def __init__(
        self,
        kind: str,
        directory: str | Path,
        settings: dict[str, str] | None = None,
        within: tuple[str, ...] = (),
    ):
        self.kind = kind
        self.directory = Path(directory)
        own = {
            "AERON_DIR": str(directory),
            "AERON_DIR_DELETE_ON_START": "true",
            "AERON_DIR_DELETE_ON_SHUTDOWN": "true",
            **(settings or {}),
        }
        if kind == "official":
            command = [peer_python(), str(OFFICIAL_DRIVER)]
            environment = official_environment()
        else:
            command = [sys.executable, "-m", "volans.driver.volansmd"]
            environment = volans_environment()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            _dying_with_parent([*within, *command]),
            env={**environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def _await_ready(self, timeout: float = 20.0) -> None:
        cnc = self.directory / "cnc.dat"
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise WorkerFailed(
                    f"{self.kind} driver ended with {self.process.returncode}: {self.stderr_text()}"
                )
            with contextlib.suppress(OSError, struct.error), open(cnc, "rb") as file:
                if struct.unpack("<i", file.read(4))[0] != 0:
                    return
            time.sleep(0.005)
        raise WorkerFailed(f"{self.kind} driver not ready in {timeout} s: {self.stderr_text()}")

    def stderr_text(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")[-3000:]

    def stop(self, timeout: float = 15.0) -> int:
        """SIGTERM, wait, kill if deaf; the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout)
        shutil.rmtree(self.directory, ignore_errors=True)
        return self.process.returncode

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def scratch_directory(prefix: str = "volans-interop-") -> Iterator[Path]:
    """A name for a driver directory on shared memory where there is some, removed at the end."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
