"""Manual destinations in the control plane: names that move, appear, or lead nowhere."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from volans.driver.conductor.destinations import PublicationDestinations, destination_name
from volans.driver.conductor.errors import CommandRefusedError
from volans.driver.conductor.resources import ResourceJobs
from volans.driver.naming.address import SocketAddress
from volans.driver.naming.resolve import UnknownHostError
from volans.protocol.channel_uri import InvalidChannelError
from volans.protocol.commands import AddDestination, RemoveDestination, RemoveDestinationById
from volans.protocol.counter_types import SystemCounter
from volans.protocol.error_codes import ErrorCode

PUBLICATION = 7
CLIENT = 1
HERE = SocketAddress(socket.AF_INET, "10.0.0.1", 4000)
THERE = SocketAddress(socket.AF_INET, "10.0.0.2", 4000)


class Names:
    """A resolver whose table the test changes."""

    def __init__(self) -> None:
        self.table: dict[str, SocketAddress] = {}

    def resolve(self, name, parameter="endpoint", is_re_resolution=False):
        if name not in self.table:
            raise UnknownHostError(parameter, name, "not in the table")
        return self.table[name]


class Told:
    """The sender's commands; `is_full` as if its ring were."""

    def __init__(self) -> None:
        self.commands: list[tuple] = []
        self.is_full = False

    def _take(self, *command) -> bool:
        if not self.is_full:
            self.commands.append(command)
        return not self.is_full

    def add_destination(self, owner, registration_id, sockaddr):
        return self._take("add", registration_id, sockaddr)

    def change_destination(self, owner, registration_id, sockaddr):
        return self._take("change", registration_id, sockaddr)

    def remove_destination(self, owner, registration_id):
        return self._take("remove", registration_id)


class World:
    """The control plane's parts that destinations touch."""

    def __init__(self, is_manual: bool = True) -> None:
        self.names = Names()
        self.sender = Told()
        self.succeeded: list[int] = []
        self.counted: list[SystemCounter] = []
        self.errors: list[str] = []
        self.tasks: list = []
        self.outcomes: list[BaseException | None] = []
        channel = SimpleNamespace(is_manual=is_manual)
        self.endpoint = SimpleNamespace(channel=channel, text="", owner=None, destinations={})
        self.streams = {PUBLICATION: SimpleNamespace(endpoint=self.endpoint)}
        context = SimpleNamespace(
            resolver=self.names,
            resources=ResourceJobs(),
            sender=self.sender,
            events=SimpleNamespace(success=self.succeeded.append),
            shared=SimpleNamespace(
                add_to_system_counter=self.counted.append,
                log_error=lambda text, now_ms: self.errors.append(text),
            ),
            now_ms=0,
            run=self._run,
        )
        publications = SimpleNamespace(find=self.streams.get, endpoints=[self.endpoint])
        self.destinations = PublicationDestinations(context, publications)

    def _run(self, task) -> None:
        if next(task, True) is None:
            self.tasks.append(task)

    def run_tasks(self) -> None:
        self.tasks = [task for task in self.tasks if next(task, True) is None]

    def add(self, correlation_id: int, name: str) -> None:
        command = AddDestination(CLIENT, correlation_id, PUBLICATION, f"aeron:udp?endpoint={name}")
        self.destinations.add(command, self.outcomes.append)

    def remove(self, correlation_id: int, name: str) -> None:
        command = RemoveDestination(
            CLIENT, correlation_id, PUBLICATION, f"aeron:udp?endpoint={name}"
        )
        self.destinations.remove(command, self.outcomes.append)


@pytest.fixture
def world():
    return World()


def test_an_unresolved_name_is_asked_for_again_until_it_has_an_address(world):
    world.add(11, "late:4000")
    assert world.sender.commands == [("add", 11, b"")]
    assert (world.succeeded, world.outcomes) == ([11], [None])
    world.destinations.retry_unresolved()
    assert len(world.sender.commands) == 1
    assert "late:4000" in world.errors[0]
    world.names.table["late:4000"] = HERE
    world.destinations.retry_unresolved()
    assert world.sender.commands[1:] == [("change", 11, HERE.sockaddr_bytes())]
    assert world.counted == [SystemCounter.RESOLUTION_CHANGES]
    world.destinations.retry_unresolved()
    assert len(world.sender.commands) == 2


def test_a_name_that_moved_is_removed_by_its_name(world):
    world.names.table["moving:4000"] = HERE
    world.add(11, "moving:4000")
    world.names.table["moving:4000"] = THERE
    world.remove(12, "moving:4000")
    assert world.sender.commands[-1] == ("remove", 11)


def test_another_name_of_the_same_address_removes_it_too(world):
    world.names.table.update({"one:4000": HERE, "other:4000": HERE})
    world.add(11, "one:4000")
    world.remove(12, "other:4000")
    assert world.sender.commands[-1] == ("remove", 11)


def test_of_equal_destinations_the_last_one_goes_first(world):
    world.names.table["twice:4000"] = HERE
    world.add(11, "twice:4000")
    world.add(12, "twice:4000")
    world.remove(13, "twice:4000")
    world.remove(14, "twice:4000")
    world.remove(15, "twice:4000")
    assert world.sender.commands[2:] == [("remove", 12), ("remove", 11)]
    assert world.succeeded == [11, 12, 13, 14, 15]


def test_removal_by_id(world):
    world.names.table["one:4000"] = HERE
    world.add(11, "one:4000")
    for correlation_id in (12, 13):
        world.destinations.remove_by_id(
            RemoveDestinationById(CLIENT, correlation_id, PUBLICATION, 11), world.outcomes.append
        )
    assert world.sender.commands[1:] == [("remove", 11)]
    assert world.succeeded == [11, 12, 13]


def test_the_answer_waits_for_a_full_ring(world):
    world.names.table["one:4000"] = HERE
    world.sender.is_full = True
    world.add(11, "one:4000")
    assert (world.succeeded, world.outcomes) == ([], [])
    world.sender.is_full = False
    world.run_tasks()
    assert (world.succeeded, world.outcomes) == ([11], [None])


def test_a_destination_removed_while_its_change_waits_is_not_changed(world):
    world.add(11, "late:4000")
    world.names.table["late:4000"] = HERE
    world.sender.is_full = True
    world.destinations.retry_unresolved()
    world.sender.is_full = False
    world.remove(12, "late:4000")
    world.run_tasks()
    assert world.sender.commands[1:] == [("remove", 11)]


def test_unknown_and_other_publications_are_refused(world):
    del world.streams[PUBLICATION]
    with pytest.raises(CommandRefusedError) as refusal:
        world.add(11, "one:4000")
    assert refusal.value.error_code == ErrorCode.UNKNOWN_PUBLICATION
    with pytest.raises(CommandRefusedError, match="manual control"):
        World(is_manual=False).add(11, "one:4000")


def test_a_publication_that_ends_while_a_name_is_resolved_is_told(world):
    world.names.resolve = lambda *_: world.streams.clear() or HERE
    world.add(11, "one:4000")
    (error,) = world.outcomes
    assert isinstance(error, CommandRefusedError)
    assert error.error_code == ErrorCode.UNKNOWN_PUBLICATION
    assert world.sender.commands == []


@pytest.mark.parametrize("channel", ["aeron:udp?endpoint=a:0", "aeron:udp?endpoint=[::1]:00"])
def test_port_0_is_no_destination(channel):
    with pytest.raises(CommandRefusedError, match="port=0"):
        destination_name(channel)


@pytest.mark.parametrize("channel", ["", "aeron:udp?", "aeron:udp?endpoint=a:4000|mtu=x"])
def test_what_is_no_channel_is_refused(channel):
    with pytest.raises((CommandRefusedError, InvalidChannelError)):
        destination_name(channel)
