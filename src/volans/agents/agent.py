"""What an agent is: a duty cycle with a beginning, an end and a name."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Agent(Protocol):
    """A state machine that a runner or an invoker gives turns to, always on one thread."""

    @property
    def role_name(self) -> str:
        """The name for the thread and for error reports."""

    def on_start(self) -> None:
        """Called once before the first duty cycle."""

    def do_work(self) -> int:
        """Do what there is to do now, without blocking; the count of work done, 0 for none."""

    def on_close(self) -> None:
        """Called once after the last duty cycle."""


class AgentBase:
    """An agent that starts and closes with nothing to do; subclasses write `do_work`.

    Threading: as for Agent, all on the thread of its runner.
    """

    role_name = "agent"

    def on_start(self) -> None:
        """Nothing by default."""

    def do_work(self) -> int:
        """One duty cycle: nothing by default."""
        return 0

    def on_close(self) -> None:
        """Nothing by default."""


class AgentTerminationException(Exception):
    """Raised by `do_work` to end its agent; `expected` ends go unreported."""

    def __init__(self, message: str = "agent asked to end", *, expected: bool = True) -> None:
        super().__init__(message)
        self.expected = expected


class AgentCloseTimeoutError(TimeoutError):
    """An agent was still in its duty cycle when the time to close it had passed."""

    def __init__(self, role_name: str, timeout_s: float) -> None:
        super().__init__(
            f"agent {role_name!r} did not end within timeout_s={timeout_s}: "
            "it is blocked in do_work; close again with a longer time"
        )
        self.role_name = role_name
        self.timeout_s = timeout_s
