"""Commands run by other commands, as processes of their own, told by JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final

from volans.cli.failures import CommandFailedError

_END_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 5.0
_LOOK_INTERVAL_S: Final = 0.02

Listener = Callable[[dict[str, Any]], object]


class Child:
    """A ``volans`` command in a process of its own; ended, at the latest, with the block."""

    def __init__(self, arguments: Sequence[str], on_progress: Listener | None = None) -> None:
        self.name = " ".join(arguments[:1])
        self._on_progress = on_progress
        self._result: dict[str, Any] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "volans.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            fields = json.loads(line)
            if fields.get("event") == "progress":
                if self._on_progress is not None:
                    self._on_progress(fields)
            else:
                self._result = fields

    def result(self) -> dict[str, Any] | None:
        """What it said at its end, None before. Raises CommandFailedError when it failed."""
        code = self.process.poll()
        if code is None:
            return None
        self._reader.join(_END_TIMEOUT_S)
        if code != 0:
            raise CommandFailedError(f"{self.name} ended with {code}: {self._stderr_text()}")
        return self._result or {}

    def _stderr_text(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace").strip()[-500:] or "without a word"

    def close(self) -> None:
        """End it, by force if it does not listen."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(_STOP_TIMEOUT_S)
        self._reader.join(_END_TIMEOUT_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._stderr.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def results(children: Sequence[Child], timeout_s: float | None) -> list[dict[str, Any]]:
    """What each said at its end. Raises CommandFailedError as soon as one fails, or too late."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        told = [child.result() for child in children]
        done = [result for result in told if result is not None]
        if len(done) == len(children):
            return done
        if deadline_s is not None and time.monotonic() > deadline_s:
            slow = next(child for child, result in zip(children, told, strict=True) if not result)
            raise CommandFailedError(f"{slow.name} took more than {timeout_s:g} s")
        time.sleep(_LOOK_INTERVAL_S)


def rate_of_two_processes(
    directory: str,
    channel: str,
    stream_id: int,
    timeout_s: float,
    publisher_options: Sequence[str],
    common_options: Sequence[str],
    on_progress: Listener | None,
) -> dict[str, Any]:
    """Run both sides of ``volans rate``; what the subscriber measured."""
    common = [
        "rate",
        f"--directory={directory}",
        f"--channel={channel}",
        f"--stream-id={stream_id}",
        f"--timeout={timeout_s}",
        "--json",
        *common_options,
    ]
    with (
        Child([*common, "--role=subscriber", "--progress"], on_progress) as subscriber,
        Child([*common, "--role=publisher", *publisher_options]) as publisher,
    ):
        # Both give up by themselves; how long they may work is up to the options.
        result, sent = results([subscriber, publisher], None)
        return {**result, "sent_messages_per_second": sent.get("messages_per_second")}
