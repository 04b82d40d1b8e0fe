"""Gives a Python agent turns on the caller's thread."""

from __future__ import annotations

from volans.agents.agent import Agent, AgentTerminationException
from volans.agents.runner import ErrorCounter, ErrorHandler


class AgentInvoker:
    """Runs an agent one duty cycle at a time, whenever and wherever `invoke` is called.

    Errors are treated as by AgentRunner. Not for use by two threads at once.
    """

    def __init__(
        self,
        agent: Agent,
        error_handler: ErrorHandler,
        error_counter: ErrorCounter | None = None,
    ) -> None:
        self.agent = agent
        self._error_handler = error_handler
        self._error_counter = error_counter
        self._started = False
        self._running = False
        self._closed = False

    @property
    def is_started(self) -> bool:
        """True once `start` was called."""
        return self._started

    @property
    def is_running(self) -> bool:
        """True between a successful start and the end."""
        return self._running

    @property
    def is_closed(self) -> bool:
        """True once `on_close` was called."""
        return self._closed

    def start(self) -> AgentInvoker:
        """Call `on_start` once; a failure is reported and closes the agent. Returns itself."""
        if self._started or self._closed:
            return self
        self._started = True
        try:
            self.agent.on_start()
            self._running = True
        except Exception as error:
            self._report(error)
            self.close()
        return self

    def invoke(self) -> int:
        """One duty cycle; the work count, 0 when the agent is not running or failed."""
        if not self._running:
            return 0
        try:
            return self.agent.do_work()
        except AgentTerminationException as termination:
            self._running = False
            if not termination.expected:
                self._report(termination)
            self.close()
        except Exception as error:
            self._report(error)
        return 0

    def close(self) -> None:
        """Call `on_close` once; again is harmless."""
        if self._closed:
            return
        self._running = False
        self._closed = True
        try:
            self.agent.on_close()
        except Exception as error:
            self._report(error)

    def _report(self, error: BaseException) -> None:
        if self._error_counter is not None:
            self._error_counter.increment()
        self._error_handler(error)

    def __enter__(self) -> AgentInvoker:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()
