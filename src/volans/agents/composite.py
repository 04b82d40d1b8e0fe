"""Several Python agents that take turns as one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from volans.agents.agent import Agent


def _call_all(agents: Iterable[Agent], call: Callable[[Agent], None], action: str) -> None:
    """Call every agent even when some fail; then raise what failed as one group."""
    errors: list[Exception] = []
    for agent in agents:
        try:
            call(agent)
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} agents failed on {action}", errors)


class _TakingTurns:
    """One round over agents; after an exception the next round goes on behind who raised it."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self.agents = tuple(agents)
        self.next_index = 0

    def do_work(self) -> int:
        work_count = 0
        while self.next_index < len(self.agents):
            agent = self.agents[self.next_index]
            self.next_index += 1
            work_count += agent.do_work()
        self.next_index = 0
        return work_count


class CompositeAgent:
    """A fixed group of agents run in turn; the role name is "[a,b,...]".

    An exception of one does not rob the others: the next cycle begins with the one behind it.
    Raises ValueError for an empty group.

    Threading: that of its runner, as for each of its agents.
    """

    def __init__(self, *agents: Agent) -> None:
        if not agents:
            raise ValueError("a composite of 0 agents: give at least one")
        self._turns = _TakingTurns(agents)
        self.role_name = f"[{','.join(agent.role_name for agent in agents)}]"

    def on_start(self) -> None:
        """Start all; raises an ExceptionGroup of what failed, after trying every one."""
        _call_all(self._turns.agents, lambda agent: agent.on_start(), "start")

    def do_work(self) -> int:
        """One duty cycle of each; the sum of the work counts."""
        return self._turns.do_work()

    def on_close(self) -> None:
        """Close all; raises an ExceptionGroup of what failed, after trying every one."""
        _call_all(self._turns.agents, lambda agent: agent.on_close(), "close")


class DynamicCompositeAgent:
    """A group of agents to which any thread can add and from which it can remove.

    Agents are started and closed on the group's own thread: `try_add` and `try_remove` only
    hand over, one at a time, and the duty cycle does it. They raise RuntimeError unless the
    group is started and not closed.
    """

    def __init__(self, role_name: str, *agents: Agent) -> None:
        self.role_name = role_name
        self.status = "INIT"
        self._turns = _TakingTurns(agents)
        self._handover = threading.Lock()
        self._to_add: Agent | None = None
        self._to_remove: Agent | None = None

    def on_start(self) -> None:
        """Start the agents of the beginning."""
        for agent in self._turns.agents:
            agent.on_start()
        self.status = "ACTIVE"

    def do_work(self) -> int:
        """Add and remove what was handed over, then one duty cycle of each agent."""
        if self._to_add is not None:
            self._add()
        if self._to_remove is not None:
            self._remove()
        return self._turns.do_work()

    def on_close(self) -> None:
        """Close all; raises an ExceptionGroup of what failed, after trying every one."""
        self.status = "CLOSED"
        agents, self._turns = self._turns.agents, _TakingTurns(())
        _call_all(agents, lambda agent: agent.on_close(), "close")

    @property
    def agents(self) -> tuple[Agent, ...]:
        """The agents that take turns now."""
        return self._turns.agents

    def try_add(self, agent: Agent) -> bool:
        """Hand `agent` over to be added; False while an earlier one waits."""
        with self._handover:
            self._check_active("add")
            if self._to_add is not None:
                return False
            self._to_add = agent
            return True

    def has_add_completed(self) -> bool:
        """Whether no agent waits to be added."""
        self._check_active("has_add_completed")
        return self._to_add is None

    def try_remove(self, agent: Agent) -> bool:
        """Hand `agent` over to be closed and removed; False while an earlier one waits."""
        with self._handover:
            self._check_active("remove")
            if self._to_remove is not None:
                return False
            self._to_remove = agent
            return True

    def has_remove_completed(self) -> bool:
        """Whether no agent waits to be removed."""
        self._check_active("has_remove_completed")
        return self._to_remove is None

    def _check_active(self, action: str) -> None:
        if self.status != "ACTIVE":
            raise RuntimeError(
                f"{action} on composite {self.role_name!r} in status {self.status}: "
                "it must be started and not closed"
            )

    def _add(self) -> None:
        agent, self._to_add = self._to_add, None
        assert agent is not None
        try:
            agent.on_start()
        except BaseException:
            agent.on_close()
            raise
        self._replace((*self._turns.agents, agent))

    def _remove(self) -> None:
        agent, self._to_remove = self._to_remove, None
        assert agent is not None
        if any(member is agent for member in self._turns.agents):
            self._replace(tuple(m for m in self._turns.agents if m is not agent))
            agent.on_close()

    def _replace(self, agents: tuple[Agent, ...]) -> None:
        self._turns = _TakingTurns(agents)
