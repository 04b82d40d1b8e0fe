"""Peers are looked up again when nothing comes from them: their names may have moved.

Every AERON_DRIVER_RERESOLUTION_CHECK_INTERVAL the agents are asked which peers are silent; those
names go to the native-resource agent, and what changed goes back as a command. A peer whose name
had no address at all is looked up at every check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.naming.unresolved import is_host_name, is_unresolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volans.driver.agent_messages import SilentPeer
    from volans.driver.conductor.channels import SendEndpoint
    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.destinations import PublicationDestinations
    from volans.driver.conductor.network_publications import NetworkPublications
    from volans.driver.conductor.network_subscriptions import NetworkSubscriptions
    from volans.driver.conductor.receive_endpoints import ReceiveDestination, ReceiveEndpoint
    from volans.driver.naming.address import SocketAddress


class ReResolution:
    """Endpoints of publications, controls of subscriptions, manual destinations."""

    def __init__(
        self,
        context: ConductorContext,
        publications: NetworkPublications,
        subscriptions: NetworkSubscriptions,
        destinations: PublicationDestinations,
    ) -> None:
        self._context = context
        self._publications = publications
        self._subscriptions = subscriptions
        self._destinations = destinations
        self._check_deadline_ns = context.now_ns

    def on_timer(self) -> None:
        """Check when it is time to; an interval of 0 means never."""
        context = self._context
        interval_ns = context.config.re_resolution_check_interval_ns
        if interval_ns <= 0 or context.now_ns < self._check_deadline_ns:
            return
        self._check_deadline_ns = context.now_ns + interval_ns
        for sending in self._publications.endpoints:
            self._check_sending(sending)
        for receiving in self._subscriptions.endpoints:
            self._check_receiving(receiving)

    def on_silent_peer(self, message: SilentPeer) -> None:
        """An agent's answer."""
        if message.is_receiver:
            receiving = self._subscriptions.endpoint_by_id(message.endpoint_id)
            if receiving is None:
                return  # it was closed meanwhile
            for destination in receiving.destinations:
                if destination.owner.destination_id == message.destination_registration_id:
                    self._resolve_control(receiving, destination)
            return
        for sending in self._publications.endpoints:
            if sending.id == message.endpoint_id:
                if message.destination_registration_id >= 0:
                    self._destinations.refresh(sending, message.destination_registration_id)
                else:
                    self._resolve_peer(sending)
                return

    def _check_sending(self, endpoint: SendEndpoint) -> None:
        channel = endpoint.channel
        if channel.is_manual:
            if any(is_host_name(each.name) for each in endpoint.destinations.values()):
                self._context.sender.check_resolution(endpoint.owner)
        elif (
            channel.has_explicit_endpoint
            and channel.control_mode is None
            and not channel.is_multicast
            and is_host_name(channel.uri.endpoint)
        ):
            if is_unresolved(channel.uri.endpoint, _peer_of(endpoint)):
                self._resolve_peer(endpoint)
            else:
                self._context.sender.check_resolution(endpoint.owner)

    def _check_receiving(self, endpoint: ReceiveEndpoint) -> None:
        is_asked = False
        for destination in endpoint.destinations:
            name = destination.channel.uri.control
            if not destination.channel.has_explicit_control or not is_host_name(name):
                continue
            if is_unresolved(name, _control_of(destination)):
                self._resolve_control(endpoint, destination)
            else:
                is_asked = True
        if is_asked:
            # A full ring is no harm: the next check asks again.
            self._context.receiver.check_resolution(endpoint.owner)

    def _resolve_peer(self, endpoint: SendEndpoint) -> None:
        name = endpoint.channel.uri.endpoint
        if name is None:
            return

        def moved(address: SocketAddress) -> None:
            if address != _peer_of(endpoint) and endpoint in list(self._publications.endpoints):
                endpoint.moved_to = address
                self._context.run(self._change_peer(endpoint, address))

        self._resolve(endpoint, name, "endpoint", moved)

    def _resolve_control(self, endpoint: ReceiveEndpoint, destination: ReceiveDestination) -> None:
        name = destination.channel.uri.control
        if name is None:
            return

        def moved(address: SocketAddress) -> None:
            is_open = self._subscriptions.endpoint_by_id(endpoint.id) is endpoint
            if (
                is_open
                and destination in endpoint.destinations
                and address != _control_of(destination)
            ):
                destination.moved_to = address
                self._context.run(self._change_control(endpoint, destination, address))

        self._resolve(destination, name, "control", moved)

    def _resolve(
        self,
        endpoint: SendEndpoint | ReceiveDestination,
        name: str,
        parameter: str,
        moved: Callable[[SocketAddress], None],
    ) -> None:
        if endpoint.is_being_resolved:
            return
        endpoint.is_being_resolved = True
        context = self._context

        def resolved(address: SocketAddress) -> None:
            endpoint.is_being_resolved = False
            moved(address)

        def failed(error: BaseException) -> None:
            endpoint.is_being_resolved = False
            context.shared.log_error(f"{type(error).__name__}: {error}", context.now_ms)

        context.resources.submit(
            lambda: context.resolver.resolve(name, parameter, True), resolved, failed
        )

    def _change_peer(self, endpoint: SendEndpoint, address: SocketAddress) -> Iterator[None]:
        # A later change makes this one pointless; a closed endpoint is the sender's no more.
        while endpoint.moved_to is address and endpoint.user_count > 0:
            if self._context.sender.change_peer(
                endpoint.owner, address.sockaddr_bytes(), endpoint.is_connecting
            ):
                return
            yield

    def _change_control(
        self, endpoint: ReceiveEndpoint, destination: ReceiveDestination, address: SocketAddress
    ) -> Iterator[None]:
        while (
            destination.moved_to is address
            and endpoint.user_count > 0
            and destination in endpoint.destinations
        ):
            if self._context.receiver.change_control(destination.owner, address.sockaddr_bytes()):
                return
            yield


def _peer_of(endpoint: SendEndpoint) -> SocketAddress:
    return endpoint.moved_to or endpoint.channel.remote_data


def _control_of(destination: ReceiveDestination) -> SocketAddress:
    return destination.moved_to or destination.channel.local_control
