"""Runs a Python agent on its own thread."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Protocol

from volans.agents.agent import Agent, AgentCloseTimeoutError, AgentTerminationException

ErrorHandler = Callable[[BaseException], object]


class ErrorCounter(Protocol):
    """What counts errors, such as an AtomicCounter of the counters file."""

    def increment(self) -> object:
        """Add one."""


class Idle(Protocol):
    """What an idle strategy is to a runner."""

    def idle(self, work_count: int = 0) -> None:
        """Spend the time after a duty cycle that did `work_count` pieces of work."""


class AgentRunner:
    """Gives an agent duty cycles on a thread of its own until it is closed.

    What `do_work` raises goes to `error_handler` and the agent goes on, except after
    AgentTerminationException; a failed `on_start` ends it before the first cycle. `on_close` is
    called exactly once, on the agent's thread when that ran.
    """

    def __init__(
        self,
        agent: Agent,
        idle_strategy: Idle,
        error_handler: ErrorHandler,
        error_counter: ErrorCounter | None = None,
    ) -> None:
        self.agent = agent
        self._idle_strategy = idle_strategy
        self._error_handler = error_handler
        self._error_counter = error_counter
        self._running = True
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        # Reentrant, because on_close may close its runner.
        self._lock = threading.RLock()
        self._close_begun = False

    def start(self) -> AgentRunner:
        """Start the thread, named after the agent's role, and return the runner.

        Raises RuntimeError when the runner was started or closed before.
        """
        with self._lock:
            if self._thread is not None or not self._running:
                raise RuntimeError(
                    f"runner of {self.agent.role_name!r} was started or closed before: "
                    "make a new one"
                )
            # A daemon, because only then the exit handler gets its turn to end the loop.
            thread = threading.Thread(target=self._run, name=self.agent.role_name, daemon=True)
            thread.start()
            self._thread = thread
        atexit.register(self.close)
        return self

    @property
    def is_running(self) -> bool:
        """True from `start` until the agent has been closed."""
        return self._thread is not None and not self._closed.is_set()

    @property
    def is_closed(self) -> bool:
        """True once `on_close` has been called."""
        return self._closed.is_set()

    @property
    def thread(self) -> threading.Thread | None:
        """The agent's thread; None before `start`."""
        return self._thread

    def close(self, timeout_s: float = 5.0) -> None:
        """End the agent and wait for it, at most `timeout_s` seconds; again is harmless.

        Without a thread `on_close` is called here; from the agent's own thread the end is only
        asked for. Raises AgentCloseTimeoutError when the agent is still in a duty cycle.
        """
        with self._lock:
            self._running = False
            thread = self._thread
            if thread is None:
                if not self._close_begun:
                    self._close_begun = True
                    self._close_agent()
                return
        if thread is threading.current_thread():
            return
        thread.join(timeout_s)
        if thread.is_alive():
            raise AgentCloseTimeoutError(self.agent.role_name, timeout_s)
        atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            self.agent.on_start()
        except BaseException as error:
            self._running = False
            self._report(error)
        while self._running:
            self._cycle()
        self._close_agent()

    def _cycle(self) -> None:
        try:
            self._idle_strategy.idle(self.agent.do_work())
        except AgentTerminationException as termination:
            self._running = False
            if not termination.expected:
                self._report(termination)
        except Exception as error:
            self._report(error)
        except BaseException as error:
            # SystemExit and its like ask for the end; the thread must still close its agent.
            self._running = False
            self._report(error)

    def _close_agent(self) -> None:
        try:
            self.agent.on_close()
        except BaseException as error:
            self._report(error)
        finally:
            self._closed.set()

    def _report(self, error: BaseException) -> None:
        try:
            if self._error_counter is not None:
                self._error_counter.increment()
            self._error_handler(error)
        except Exception as second:
            # A broken handler must not take the agent down, nor hide: threading shows it.
            hook_args = (type(second), second, second.__traceback__, self._thread)
            threading.excepthook(threading.ExceptHookArgs(hook_args))

    def __enter__(self) -> AgentRunner:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()
