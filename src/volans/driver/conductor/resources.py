"""The native-resource agent: file and name work that may take long, off every other thread.

A job runs on the worker; its outcome is handed back to the control plane, which calls
`on_done(result)` or
`on_error(exception)` in its own duty cycle. Without a worker (invoker mode, simulation) a job runs
at once.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class ResourceJobs:
    """Jobs of the native-resource agent.

    Args:
        wake: called (from the worker) when an outcome waits; None runs jobs on the caller's thread.
        thread_name: the worker's name.
        on_start: the worker calls it first.
    """

    def __init__(
        self,
        wake: Callable[[], None] | None = None,
        thread_name: str = "native-resource-agent",
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self._wake = wake
        self._on_start = on_start
        self._outcomes: deque[
            tuple[Callable[[Any], None], Any, Callable[[BaseException], None] | None]
        ] = deque()
        self._jobs: queue.SimpleQueue[
            tuple[Callable[[], Any], Callable[[Any], None], Callable[[BaseException], None]] | None
        ] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if wake is not None:
            self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)
            self._thread.start()

    def submit(
        self,
        job: Callable[[], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Run `job`; its outcome comes by `poll` (at once when there is no worker)."""
        if self._thread is None:
            self._work(job, on_done, on_error)
            self.poll()
        else:
            self._jobs.put((job, on_done, on_error))

    def poll(self) -> int:
        """Deliver outcomes; how many. Control plane only.

        What `on_done` raises goes to `on_error`: a command must not stay without an end.
        """
        count = 0
        while self._outcomes:
            deliver, outcome, on_error = self._outcomes.popleft()
            try:
                deliver(outcome)
            except Exception as error:
                if on_error is None:
                    raise
                on_error(error)
            count += 1
        return count

    def close(self, timeout_s: float = 5.0) -> None:
        """Finish what is queued and end the worker."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)
            self._thread = None
        self.poll()

    def _run(self) -> None:
        if self._on_start is not None:
            self._on_start()
        while (job := self._jobs.get()) is not None:
            self._work(*job)
            if self._wake is not None:
                self._wake()

    def _work(
        self,
        job: Callable[[], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        try:
            result = job()
        except Exception as error:  # whatever went wrong is the answer to the command
            self._outcomes.append((on_error, error, None))
        else:
            self._outcomes.append((on_done, result, on_error))
