"""A driver invoked step by step under the test's clock, asked in the clients' protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fuzz"))

from invoked_driver import HOST, InvokedDriver, invoked_driver

from volans.log.inspect import LogInspector
from volans.protocol import commands as c
from volans.protocol import events
from volans.protocol.error_codes import ErrorCode

CLIENT, OTHER_CLIENT = 4242, 4343
UDP = f"aeron:udp?endpoint={HOST}:40123"
E = TypeVar("E", bound=events.Event)


@pytest.fixture
def driver() -> Iterator[InvokedDriver]:
    """Its clients show no life by themselves, and are let live for ten seconds of its time."""
    with invoked_driver(client_liveness_timeout_ns="10s") as running:
        yield running


class Asker:
    """One client's commands to an invoked driver."""

    def __init__(self, driver: InvokedDriver, client_id: int = CLIENT) -> None:
        self.driver = driver
        self.client_id = client_id
        self.heard: list[events.Event] = []  # after the last command

    def ask(self, kind: type[c.Command], *arguments: object) -> tuple[int, list[events.Event]]:
        correlation_id = self.driver.ring.next_correlation_id()
        self.heard = self.driver.ask(kind(self.client_id, correlation_id, *arguments))
        return correlation_id, self.heard

    def publication(self, channel: str, stream_id: int = 7) -> events.PublicationReady:
        _, heard = self.ask(c.AddPublication, stream_id, channel)
        return one(heard, events.PublicationReady)

    def exclusive(self, channel: str, stream_id: int = 7) -> events.ExclusivePublicationReady:
        _, heard = self.ask(c.AddExclusivePublication, stream_id, channel)
        return one(heard, events.ExclusivePublicationReady)

    def subscription(self, channel: str, stream_id: int = 7) -> int:
        registration_id, heard = self.ask(c.AddSubscription, stream_id, channel)
        one(heard, events.SubscriptionReady)
        return registration_id

    def refusal(self, kind: type[c.Command], *arguments: object) -> events.ErrorResponse:
        """The error a command is answered with: one, for this command."""
        correlation_id, heard = self.ask(kind, *arguments)
        answer = one(heard, events.ErrorResponse)
        assert answer.offending_correlation_id == correlation_id
        return answer


def one(heard: list[events.Event], kind: type[E]) -> E:
    """The only event of a kind."""
    found = [event for event in heard if type(event) is kind]
    assert len(found) == 1, f"one {kind.__name__} expected in {heard}"
    return found[0]


def await_event(driver: InvokedDriver, kind: type[E], timeout_ms: int = 2000) -> E:
    """Let time pass until the event comes."""
    for _ in range(timeout_ms):
        driver.step(1)
        found = [event for event in driver.heard() if type(event) is kind]
        if found:
            return found[0]
    raise AssertionError(f"no {kind.__name__} in {timeout_ms} ms")


__all__ = [
    "CLIENT",
    "HOST",
    "OTHER_CLIENT",
    "UDP",
    "Asker",
    "ErrorCode",
    "InvokedDriver",
    "LogInspector",
    "await_event",
    "c",
    "driver",
    "events",
    "invoked_driver",
    "one",
]
