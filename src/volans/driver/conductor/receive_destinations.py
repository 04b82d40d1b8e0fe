"""Destinations of multi-destination subscriptions: sockets, IPC and spies.

A socket joins the subscription's endpoint; IPC and a spy make the subscription read publications
of this driver as well (FEATURES.md section 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.channels import resolve_channel
from volans.driver.conductor.destinations import KEYS_OF_CHANNELS_ONLY
from volans.driver.conductor.errors import CommandRefusedError, invalid_channel
from volans.driver.conductor.parameters import refuse_unsupported
from volans.protocol.channel_uri import ChannelUri, InvalidChannelError
from volans.protocol.commands import AddSubscription
from volans.protocol.error_codes import ErrorCode
from volans.protocol.events import UnavailableImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.context import ConductorContext, WhenDone
    from volans.driver.conductor.ipc_streams import IpcStreams
    from volans.driver.conductor.network_publications import NetworkPublications
    from volans.driver.conductor.network_subscriptions import (
        NetworkSubscriptionLink,
        NetworkSubscriptions,
    )
    from volans.driver.conductor.subscriptions import SubscriptionLink
    from volans.driver.udp_channel import UdpChannel
    from volans.protocol.commands import AddReceiveDestination, RemoveReceiveDestination


class SubscriptionDestinations:
    """ADD_RCV_DESTINATION and REMOVE_RCV_DESTINATION."""

    def __init__(
        self,
        context: ConductorContext,
        subscriptions: NetworkSubscriptions,
        publications: NetworkPublications,
        ipc_streams: IpcStreams,
    ) -> None:
        self._context = context
        self._subscriptions = subscriptions
        self._publications = publications
        self._ipc = ipc_streams

    def add(self, command: AddReceiveDestination, when_done: WhenDone) -> None:
        """Let a subscription receive from one more channel, then answer."""
        uri = _parse(command.channel)
        if uri.is_ipc:
            self._add_ipc(command, uri)
            when_done(None)
            return

        def resolved(channel: UdpChannel) -> None:
            if uri.is_spy:
                self._add_spy(command, uri, channel)
                when_done(None)
            else:
                self._context.run(self._add_when_free(command, channel, when_done))

        resolve_channel(self._context, uri, resolved, when_done, "control", is_destination=True)

    def remove(self, command: RemoveReceiveDestination, when_done: WhenDone) -> None:
        """Let a subscription receive from a channel no longer, then answer."""
        uri = _parse(command.channel)
        if uri.is_ipc or uri.is_spy:
            self._remove_local(command)
            when_done(None)
            return

        def resolved(channel: UdpChannel) -> None:
            self._remove_socket(command, channel)
            when_done(None)

        resolve_channel(self._context, uri, resolved, when_done, "control", is_destination=True)

    def _subscription(
        self, command: AddReceiveDestination | RemoveReceiveDestination
    ) -> NetworkSubscriptionLink:
        link = self._subscriptions.find(command.registration_id)
        if link is None:
            raise _unknown_subscription(command)
        if not link.endpoint.channel.is_manual:
            raise invalid_channel(
                "channel does not allow manual control of destinations: "
                f"subscription_registration_id={command.registration_id} channel={link.channel}, "
                "add control-mode=manual to it"
            )
        return link

    # --- sockets --------------------------------------------------------------------------------

    def _add_when_free(
        self, command: AddReceiveDestination, channel: UdpChannel, when_done: WhenDone
    ) -> Iterator[None]:
        """Task: bind once no socket that is being closed holds the address any more."""
        while self._subscriptions.channels.is_closing(channel):
            yield
        try:
            self._add_socket(command, channel)
        except Exception as error:  # becomes the answer to the command
            when_done(error)
        else:
            when_done(None)

    def _add_socket(self, command: AddReceiveDestination, channel: UdpChannel) -> None:
        link = self._subscription(command)
        if not channel.has_explicit_endpoint:
            raise invalid_channel(
                "incorrect URI format for destination, endpoint=host:port is missing: "
                f"channel={command.channel}"
            )
        if channel.has_explicit_control and channel.local_control.port == 0:
            raise invalid_channel(f"control has port=0 for destination: channel={command.channel}")
        self._subscriptions.channels.open_destination(
            link.endpoint, channel, command.registration_id, command.correlation_id
        )
        self._context.events.success(command.correlation_id)

    def _remove_socket(self, command: RemoveReceiveDestination, channel: UdpChannel) -> None:
        """Success also when there is none such, as with the official driver."""
        endpoint = self._subscription(command).endpoint
        for destination in reversed(endpoint.destinations):
            if destination.channel == channel:
                self._subscriptions.channels.close_destination(endpoint, destination)
                break
        self._context.events.success(command.correlation_id)

    # --- publications of this driver ------------------------------------------------------------

    def _add_ipc(self, command: AddReceiveDestination, uri: ChannelUri) -> None:
        link = self._subscription(command)
        if self._succeeded_already(link, command):
            return
        local = self._ipc.add_destination(command.client_id, _as_subscription(link, command), uri)
        link.local_links[command.channel] = local
        self._context.events.success(command.correlation_id)
        self._ipc.join_existing(local)

    def _add_spy(
        self, command: AddReceiveDestination, uri: ChannelUri, channel: UdpChannel
    ) -> None:
        link = self._subscription(command)
        if self._succeeded_already(link, command):
            return
        local = self._publications.add_spy_destination(
            command.client_id, _as_subscription(link, command), uri, channel
        )
        link.local_links[command.channel] = local
        self._context.events.success(command.correlation_id)
        self._publications.join_existing(local)

    def _succeeded_already(
        self, link: NetworkSubscriptionLink, command: AddReceiveDestination
    ) -> bool:
        """A second time adds nothing: the stream would only be read twice."""
        if command.channel not in link.local_links:
            return False
        self._context.events.success(command.correlation_id)
        return True

    def _remove_local(self, command: RemoveReceiveDestination) -> None:
        link = self._subscriptions.find(command.registration_id)
        local = None if link is None else link.local_links.pop(command.channel, None)
        if local is None:
            raise _unknown_subscription(command)
        self._context.events.success(command.correlation_id)
        self._announce_unavailable(local)
        local.release()

    def _announce_unavailable(self, link: SubscriptionLink) -> None:
        for stream in link.streams.values():
            self._context.events.send(
                UnavailableImage(
                    stream.registration_id, link.registration_id, stream.stream_id, link.channel
                )
            )


def _parse(channel: str) -> ChannelUri:
    """Raises InvalidChannelError or CommandRefusedError."""
    uri = ChannelUri.parse(channel)
    uri.validate()
    if uri.is_spy and uri.is_ipc:
        raise InvalidChannelError(None, channel, "aeron-spy: before aeron:udp")
    refuse_unsupported(uri)
    if uri.is_spy or uri.is_ipc:
        return uri
    for key in KEYS_OF_CHANNELS_ONLY:
        if uri.get(key) is not None:
            raise invalid_channel(f"destinations must not contain the key: {key} channel={channel}")
    if uri.control_mode == "response":
        raise invalid_channel(f"destinations may not specify control-mode=response: {channel}")
    return uri


def _as_subscription(
    link: NetworkSubscriptionLink, command: AddReceiveDestination
) -> AddSubscription:
    """The command that would subscribe to the destination's channel by itself."""
    return AddSubscription(command.client_id, link.registration_id, link.stream_id, command.channel)


def _unknown_subscription(
    command: AddReceiveDestination | RemoveReceiveDestination,
) -> CommandRefusedError:
    return CommandRefusedError(
        ErrorCode.UNKNOWN_SUBSCRIPTION,
        f"unknown subscription client_id={command.client_id} "
        f"registration_id={command.registration_id}",
    )
