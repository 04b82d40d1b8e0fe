"""Destinations of publications with control-mode=manual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from volans.driver.conductor.errors import CommandRefusedError, invalid_channel
from volans.driver.naming.resolve import UnknownHostError, split_host_and_port
from volans.driver.naming.unresolved import is_host_name
from volans.protocol.channel_uri import ChannelUri
from volans.protocol.counter_types import SystemCounter
from volans.protocol.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volans.driver.conductor.channels import SendEndpoint
    from volans.driver.conductor.context import ConductorContext, WhenDone
    from volans.driver.conductor.network_publications import NetworkPublications
    from volans.driver.naming.address import SocketAddress
    from volans.protocol.commands import (
        AddDestination,
        RemoveDestination,
        RemoveDestinationById,
    )

# What concerns the socket or the stream cannot be said of one of several destinations.
KEYS_OF_CHANNELS_ONLY = ("mtu", "rcv-wnd", "so-rcvbuf", "so-sndbuf", "response-correlation-id")


@dataclass(slots=True)
class Destination:
    """One manual destination; `address` is None while its name has none."""

    registration_id: int
    name: str
    address: SocketAddress | None
    is_being_resolved: bool = False


class PublicationDestinations:
    """ADD_DESTINATION, REMOVE_DESTINATION and REMOVE_DESTINATION_BY_ID."""

    def __init__(self, context: ConductorContext, publications: NetworkPublications) -> None:
        self._context = context
        self._publications = publications

    def add(self, command: AddDestination, when_done: WhenDone) -> None:
        """Resolve the name, tell the sender, answer. A name without an address is kept and tried
        again: its host may only be starting.
        """
        self._endpoint(command.registration_id)
        name = destination_name(command.channel)

        def resolved(address: SocketAddress | None) -> None:
            endpoint = self._endpoint(command.registration_id)
            destination = Destination(command.correlation_id, name, address)
            endpoint.destinations[destination.registration_id] = destination
            self._context.run(self._add(endpoint, destination, when_done))

        self._resolve(name, resolved, when_done)

    def remove(self, command: RemoveDestination, when_done: WhenDone) -> None:
        """By name or address, the one added last; success also when there is none such."""
        self._endpoint(command.registration_id)
        name = destination_name(command.channel)

        def resolved(address: SocketAddress | None) -> None:
            endpoint = self._endpoint(command.registration_id)
            for destination in reversed(endpoint.destinations.values()):
                if destination.name == name or (
                    address is not None and destination.address == address
                ):
                    self._start_removal(endpoint, destination.registration_id, command, when_done)
                    return
            self._succeed(command.correlation_id, when_done)

        self._resolve(name, resolved, when_done, is_re_resolution=True)

    def remove_by_id(self, command: RemoveDestinationById, when_done: WhenDone) -> None:
        """By the id of the command that added it; success also when there is none such."""
        endpoint = self._endpoint(command.resource_registration_id)
        self._start_removal(endpoint, command.destination_registration_id, command, when_done)

    def retry_unresolved(self) -> None:
        """Timer: ask again for the names that had no address."""
        for endpoint in self._publications.endpoints:
            for destination in endpoint.destinations.values():
                if destination.address is None and not destination.is_being_resolved:
                    self._retry(endpoint, destination)

    def refresh(self, endpoint: SendEndpoint, registration_id: int) -> None:
        """A destination is silent: its name may have moved."""
        destination = endpoint.destinations.get(registration_id)
        if (
            destination is not None
            and not destination.is_being_resolved
            and is_host_name(destination.name)
        ):
            self._retry(endpoint, destination)

    def _endpoint(self, registration_id: int) -> SendEndpoint:
        stream = self._publications.find(registration_id)
        if stream is None:
            raise CommandRefusedError(
                ErrorCode.UNKNOWN_PUBLICATION,
                f"unknown publication registration_id={registration_id}",
            )
        if not stream.endpoint.channel.is_manual:
            raise invalid_channel(
                "channel does not allow manual control of destinations: "
                f"publication_registration_id={registration_id} channel={stream.endpoint.text}, "
                "add control-mode=manual to it"
            )
        return stream.endpoint

    def _resolve(
        self,
        name: str,
        on_resolved: Callable[[SocketAddress | None], None],
        when_done: WhenDone,
        is_re_resolution: bool = False,
    ) -> None:
        resolver = self._context.resolver

        def failed(error: BaseException) -> None:
            if not isinstance(error, UnknownHostError):
                when_done(error)
                return
            try:
                on_resolved(None)
            except Exception as refusal:  # becomes the answer to the command
                when_done(refusal)

        self._context.resources.submit(
            lambda: resolver.resolve(name, "endpoint", is_re_resolution), on_resolved, failed
        )

    def _retry(self, endpoint: SendEndpoint, destination: Destination) -> None:
        destination.is_being_resolved = True
        context = self._context

        def resolved(address: SocketAddress) -> None:
            destination.is_being_resolved = False
            is_known = destination.registration_id in endpoint.destinations
            if is_known and destination.address != address:
                destination.address = address
                context.shared.add_to_system_counter(SystemCounter.RESOLUTION_CHANGES)
                context.run(self._change(endpoint, destination))

        def failed(error: BaseException) -> None:
            destination.is_being_resolved = False
            context.shared.log_error(f"{type(error).__name__}: {error}", context.now_ms)

        context.resources.submit(
            lambda: context.resolver.resolve(destination.name, "endpoint", True), resolved, failed
        )

    def _add(
        self, endpoint: SendEndpoint, destination: Destination, when_done: WhenDone
    ) -> Iterator[None]:
        while not self._context.sender.add_destination(
            endpoint.owner, destination.registration_id, _sockaddr(destination)
        ):
            yield
        self._succeed(destination.registration_id, when_done)

    def _change(self, endpoint: SendEndpoint, destination: Destination) -> Iterator[None]:
        while destination.registration_id in endpoint.destinations:
            if self._context.sender.change_destination(
                endpoint.owner, destination.registration_id, _sockaddr(destination)
            ):
                return
            yield

    def _start_removal(
        self,
        endpoint: SendEndpoint,
        registration_id: int,
        command: RemoveDestination | RemoveDestinationById,
        when_done: WhenDone,
    ) -> None:
        if endpoint.destinations.pop(registration_id, None) is None:
            self._succeed(command.correlation_id, when_done)
        else:
            self._context.run(
                self._remove(endpoint, registration_id, command.correlation_id, when_done)
            )

    def _remove(
        self,
        endpoint: SendEndpoint,
        registration_id: int,
        correlation_id: int,
        when_done: WhenDone,
    ) -> Iterator[None]:
        while not self._context.sender.remove_destination(endpoint.owner, registration_id):
            yield
        self._succeed(correlation_id, when_done)

    def _succeed(self, correlation_id: int, when_done: WhenDone) -> None:
        self._context.events.success(correlation_id)
        when_done(None)


def destination_name(channel: str) -> str:
    """`host:port` of a send destination's channel. Raises InvalidChannelError or
    CommandRefusedError.
    """
    uri = ChannelUri.parse(channel)
    if uri.is_spy:
        raise invalid_channel(f"Aeron spies are invalid as send destinations: {channel}")
    uri.validate()
    name = uri.endpoint
    if not uri.is_udp or name is None:
        raise invalid_channel(
            f"incorrect URI format for destination: {channel}, allowed: aeron:udp?endpoint=..."
        )
    _host, port, _is_ipv6 = split_host_and_port(name, "endpoint")
    if port is not None and port.isdigit() and int(port) == 0:
        raise invalid_channel(f"endpoint has port=0 for send destination: channel={channel}")
    for key in KEYS_OF_CHANNELS_ONLY:
        if uri.get(key) is not None:
            raise invalid_channel(f"destinations must not contain the key: {key} channel={channel}")
    if uri.control_mode == "response":
        raise invalid_channel(f"destinations may not specify control-mode=response: {channel}")
    return name


def _sockaddr(destination: Destination) -> bytes:
    return b"" if destination.address is None else destination.address.sockaddr_bytes()
