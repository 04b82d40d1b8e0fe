"""Network subscriptions, the endpoints they receive on, and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.channels import resolve_channel
from volans.driver.conductor.errors import invalid_channel
from volans.driver.conductor.images import Images
from volans.driver.conductor.parameters import SubscriptionParameters
from volans.driver.conductor.receive_channels import ReceiveChannels, check_same_timestamps
from volans.driver.conductor.subscriptions import SubscriptionLink
from volans.protocol.events import SubscriptionReady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.clients import DriverClient
    from volans.driver.conductor.context import ConductorContext, WhenDone
    from volans.driver.conductor.ipc_streams import IpcSubscriptionLink
    from volans.driver.conductor.receive_endpoints import ReceiveEndpoint
    from volans.driver.conductor.spies import SpyLink
    from volans.driver.udp_channel import UdpChannel
    from volans.protocol.channel_uri import ChannelUri
    from volans.protocol.commands import AddSubscription


class NetworkSubscriptionLink(SubscriptionLink):
    """A UDP subscription of a client."""

    def __init__(
        self,
        subscriptions: NetworkSubscriptions,
        context: ConductorContext,
        client_id: int,
        command: AddSubscription,
        parameters: SubscriptionParameters,
        endpoint: ReceiveEndpoint,
    ) -> None:
        super().__init__(
            context,
            client_id,
            command.correlation_id,
            command.stream_id,
            command.channel,
            parameters,
        )
        self._subscriptions = subscriptions
        self.endpoint = endpoint
        # What it reads of this machine's own publications (IPC and spy destinations), by channel.
        self.local_links: dict[str, IpcSubscriptionLink | SpyLink] = {}

    @property
    def has_interest(self) -> bool:
        """Whether the receiver listens for it: not to a response whose session is not known."""
        return self.session_id is not None or not self.parameters.is_response

    def wants(self, endpoint: ReceiveEndpoint, stream_id: int, session_id: int) -> bool:
        return (
            self.endpoint is endpoint and self.stream_id == stream_id and self.accepts(session_id)
        )

    def release(self) -> None:
        for link in self.local_links.values():
            link.release()
        self.local_links.clear()
        self.leave_all()
        self._subscriptions.remove(self)


class NetworkSubscriptions:
    """All UDP subscriptions of the driver."""

    def __init__(self, context: ConductorContext) -> None:
        self._context = context
        self.channels = ReceiveChannels(context)
        self._links: dict[int, NetworkSubscriptionLink] = {}  # by registration id, oldest first
        self.images = Images(context, self)

    def add(
        self, client: DriverClient, command: AddSubscription, uri: ChannelUri, when_done: WhenDone
    ) -> None:
        """Subscribe; `when_done` is called once the command is finished."""
        parameters = SubscriptionParameters.of(uri, self._context.config)

        def resolved(channel: UdpChannel) -> None:
            self._context.run(self._add_when_free(client, command, parameters, channel, when_done))

        resolve_channel(self._context, uri, resolved, when_done, peer_parameter="control")

    def _add_when_free(
        self,
        client: DriverClient,
        command: AddSubscription,
        parameters: SubscriptionParameters,
        channel: UdpChannel,
        when_done: WhenDone,
    ) -> Iterator[None]:
        """Task: subscribe once no socket that is being closed holds the address any more."""
        while self.channels.is_closing(channel):
            yield
        try:
            self._add_on_channel(client, command, parameters, channel)
        except Exception as error:  # becomes the answer to the command
            when_done(error)
        else:
            when_done(None)

    def _add_on_channel(
        self,
        client: DriverClient,
        command: AddSubscription,
        parameters: SubscriptionParameters,
        channel: UdpChannel,
    ) -> None:
        context = self._context
        _check_response_channel(channel, parameters, command.channel)
        if channel.has_explicit_control and channel.local_control.port == 0:
            raise invalid_channel(f"control has port=0 for subscription: channel={command.channel}")
        existing = self.channels.find(channel)
        if existing is not None:
            check_same_timestamps(existing, channel, command.channel)
            self._check_same_options(existing, command, parameters)
        endpoint = self.channels.find_or_open(
            channel, command.channel, command.correlation_id, parameters
        )
        endpoint.user_count += 1
        link = NetworkSubscriptionLink(
            self, context, client.client_id, command, parameters, endpoint
        )
        self._links[link.registration_id] = link
        client.owned[link.registration_id] = link
        if link.has_interest:
            context.run(endpoint.add_interest(command.stream_id, parameters.session_id))
        context.events.send(SubscriptionReady(command.correlation_id, endpoint.status_counter_id))
        self.images.join_existing(link)

    def remove(self, link: NetworkSubscriptionLink) -> None:
        """The link has left its streams: withdraw its interest in the endpoint."""
        if self._links.pop(link.registration_id, None) is None:
            return
        if link.has_interest:
            self._context.run(link.endpoint.remove_interest(link.stream_id, link.session_id))
        self.release_endpoint(link.endpoint)

    def find(self, registration_id: int) -> NetworkSubscriptionLink | None:
        """The subscription with that registration id."""
        return self._links.get(registration_id)

    def take_session(self, link: NetworkSubscriptionLink, session_id: int) -> None:
        """A response subscription is for that session from now on; ask for its SETUP."""
        endpoint = link.endpoint
        if link.session_id == session_id:
            self._context.run(endpoint.ask_for_setup(link.stream_id, session_id))
            return
        if link.has_interest:
            self._context.run(endpoint.remove_interest(link.stream_id, link.session_id))
        link.session_id = session_id
        self._context.run(endpoint.add_interest(link.stream_id, session_id))
        self.images.join_existing(link)

    def links_wanting(
        self, endpoint: ReceiveEndpoint, stream_id: int, session_id: int
    ) -> list[NetworkSubscriptionLink]:
        """Oldest first."""
        return [
            link for link in self._links.values() if link.wants(endpoint, stream_id, session_id)
        ]

    @property
    def endpoints(self) -> list[ReceiveEndpoint]:
        """Those that are open."""
        return list(self.channels)

    def endpoint_by_id(self, endpoint_id: int) -> ReceiveEndpoint | None:
        return self.channels.by_id(endpoint_id)

    def release_endpoint(self, endpoint: ReceiveEndpoint) -> None:
        """One user (subscription or image) less; the last one closes it."""
        self.channels.release(endpoint)

    def close(self) -> None:
        """The driver ends and its agents have stopped: close sockets, unmap logs."""
        self.channels.close_sockets()
        self.images.close()

    def _check_same_options(
        self,
        endpoint: ReceiveEndpoint,
        command: AddSubscription,
        parameters: SubscriptionParameters,
    ) -> None:
        for link in self._links.values():
            if (
                link.endpoint is not endpoint
                or link.stream_id != command.stream_id
                or link.parameters.session_id != parameters.session_id
            ):
                continue
            if link.parameters.is_response != parameters.is_response:
                raise invalid_channel(
                    "option conflicts with existing subscription: control-mode=response "
                    f"existingChannel={link.channel} channel={command.channel}"
                )
            for key, asked, found in (
                ("reliable", parameters.is_reliable, link.parameters.is_reliable),
                ("rejoin", parameters.is_rejoin, link.parameters.is_rejoin),
            ):
                if asked != found:
                    raise invalid_channel(
                        f"option conflicts with existing subscription: {key}={str(asked).lower()} "
                        f"existingChannel={link.channel} channel={command.channel}"
                    )


def _check_response_channel(
    channel: UdpChannel, parameters: SubscriptionParameters, text: str
) -> None:
    if parameters.is_response and not channel.has_explicit_control:
        raise invalid_channel(
            "control-mode=response needs the responder's address: say control=host:port, "
            f"channel={text}"
        )
