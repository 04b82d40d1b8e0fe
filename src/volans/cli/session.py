"""What the commands that send and receive share: a client, idling, ending when told to."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer

from volans.cli.failures import CommandFailedError, one_line
from volans.cli.options import resolve_directory
from volans.cli.output import note
from volans.errors import DriverNotRunningError, DriverTimeoutError

if TYPE_CHECKING:
    from volans.agents import IdleStrategy
    from volans.client.connect import Client

_DRIVER_TIMEOUT_S: Final = 10.0
_LOOK_INTERVAL_S: Final = 0.02
# Eager first, then parked: a waiting command soon costs next to nothing.
_BACKOFF: Final = {
    "max_spins": 100,
    "max_yields": 20_000,
    "min_park_ns": 1_000,
    "max_park_ns": 1_000_000,
}


def connect(directory: str | None, timeout_s: float, name: str) -> Client:
    """A client of the driver; what goes wrong behind the scenes comes as a line on stderr.

    Raises DriverNotRunningError when no driver is there within ``timeout_s``.
    """
    from volans.client.connect import connect as connect_client

    def tell(error: BaseException) -> None:
        # The end of the driver is told by the call that it makes fail.
        if not isinstance(error, DriverTimeoutError):
            note(f"volans {name}: {one_line(error)}")

    path = resolve_directory(directory)
    _await_driver(path, timeout_s)
    return connect_client(
        path,
        driver_timeout=_DRIVER_TIMEOUT_S,
        client_name=f"volans-{name}",
        error_handler=tell,
    )


def _await_driver(path: str, timeout_s: float) -> None:
    # A driver shows life once a second only: a short wait must not count as its death.
    from volans.protocol.cnc import CncFile

    deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
    while True:
        left_s = max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)
        with CncFile.attach(path, timeout_s=left_s, read_only=True) as cnc:
            now_ms = time.time_ns() // 1_000_000
            if cnc.is_driver_active(now_ms, int(_DRIVER_TIMEOUT_S * 1e3)):
                return
        if left_s == 0.0:
            raise DriverNotRunningError(
                f"the media driver of {path} has ended or hangs; start one (volansmd)"
            )
        time.sleep(_LOOK_INTERVAL_S)


def make_idle(name: str) -> IdleStrategy:
    """The idle strategy of a name; bad names are bad arguments."""
    from volans.agents import BackoffIdleStrategy
    from volans.agents import IdleStrategy as Strategy

    if name == "backoff":
        return BackoffIdleStrategy(**_BACKOFF)
    try:
        return Strategy.from_name(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: in order."""

    def stop(*unused: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class Patience:
    """Raises CommandFailedError when nothing has moved for ``timeout_s`` (None: never)."""

    def __init__(
        self,
        timeout_s: float | None,
        describe: Callable[[], str],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._timeout_ns = None if timeout_s is None else int(timeout_s * 1e9)
        self._timeout_s = timeout_s
        self._describe = describe
        self._clock_ns = clock_ns
        self._moved_ns = clock_ns()

    def saw(self, work_count: int) -> None:
        """Tell what the last step brought."""
        if work_count > 0:
            self._moved_ns = self._clock_ns()
        elif self._timeout_ns is not None and self._clock_ns() - self._moved_ns >= self._timeout_ns:
            raise CommandFailedError(f"nothing for {self._timeout_s:g} s: {self._describe()}")


def await_subscriber(publication: Any, timeout_s: float, idle: IdleStrategy) -> None:
    """Wait until somebody listens. Raises CommandFailedError."""
    patience = Patience(timeout_s, lambda: f"no subscriber on {publication.channel}")
    while not publication.is_connected:
        patience.saw(0)
        idle.idle()
    idle.reset()


def await_publisher(subscription: Any, timeout_s: float, idle: IdleStrategy) -> None:
    """Wait until somebody publishes. Raises CommandFailedError."""
    patience = Patience(timeout_s, lambda: f"no publisher on {subscription.channel}")
    while not subscription.is_connected:
        patience.saw(0)
        idle.idle()
    idle.reset()
