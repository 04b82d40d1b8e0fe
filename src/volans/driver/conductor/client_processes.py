"""Whether the processes of clients on this machine still live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.protocol.client_process import ClientProcess, client_process_of

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessWatch:
    """Looks processes up in the system's table.

    Args:
        own: the driver's pid and pid namespace; None watches nothing.
        start_ticks_of: start time of a pid, None when it has ended, OSError when unknown.
    """

    def __init__(
        self, own: ClientProcess | None, start_ticks_of: Callable[[int], int | None]
    ) -> None:
        self._own = own
        self._start_ticks_of = start_ticks_of

    def find(self, label: str) -> WatchedProcess | None:
        """The living process a client's label names, when it can be seen from here."""
        process = client_process_of(label)
        if process is None or self._own is None or process.namespace_id != self._own.namespace_id:
            return None
        if process.pid == self._own.pid:
            return None  # it dies together with the driver
        start_ticks = self._look(process.pid)
        return None if start_ticks is None else WatchedProcess(self, process, start_ticks)

    def has_ended(self, process: ClientProcess, start_ticks: int) -> bool:
        """Whether the process that began at `start_ticks` is no more."""
        try:
            return self._start_ticks_of(process.pid) != start_ticks
        except (OSError, ValueError, IndexError):
            return False  # no answer is no death: the liveness time-out remains

    def _look(self, pid: int) -> int | None:
        try:
            return self._start_ticks_of(pid)
        except (OSError, ValueError, IndexError):
            return None


class WatchedProcess:
    """A client's process that was seen alive; its start time tells it from later ones."""

    __slots__ = ("_process", "_start_ticks", "_watch")

    def __init__(self, watch: ProcessWatch, process: ClientProcess, start_ticks: int) -> None:
        self._watch = watch
        self._process = process
        self._start_ticks = start_ticks

    @property
    def has_ended(self) -> bool:
        """Whether it is no more."""
        return self._watch.has_ended(self._process, self._start_ticks)
