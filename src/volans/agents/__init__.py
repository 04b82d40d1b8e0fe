"""Agents: duty cycles, what runs them, and how they idle."""

from volans.agents.agent import (
    Agent,
    AgentBase,
    AgentCloseTimeoutError,
    AgentTerminationException,
)
from volans.agents.composite import CompositeAgent, DynamicCompositeAgent
from volans.agents.idle import (
    BackoffIdleStrategy,
    BusySpinIdleStrategy,
    ControllableIdleStrategy,
    IdleStrategy,
    NoOpIdleStrategy,
    SleepingIdleStrategy,
    YieldingIdleStrategy,
)
from volans.agents.invoker import AgentInvoker
from volans.agents.native import NativeAgent, NativeAgentRunner, NativeComposite
from volans.agents.runner import AgentRunner
from volans.agents.timer_wheel import DeadlineTimerWheel

__all__ = [
    "Agent",
    "AgentBase",
    "AgentCloseTimeoutError",
    "AgentInvoker",
    "AgentRunner",
    "AgentTerminationException",
    "BackoffIdleStrategy",
    "BusySpinIdleStrategy",
    "CompositeAgent",
    "ControllableIdleStrategy",
    "DeadlineTimerWheel",
    "DynamicCompositeAgent",
    "IdleStrategy",
    "NativeAgent",
    "NativeAgentRunner",
    "NativeComposite",
    "NoOpIdleStrategy",
    "SleepingIdleStrategy",
    "YieldingIdleStrategy",
]
