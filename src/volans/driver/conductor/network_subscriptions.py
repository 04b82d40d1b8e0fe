"""Network subscriptions, the endpoints they receive on, and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.channels import (
    ReceiveEndpoint,
    check_same_socket,
    resolve_channel,
)
from volans.driver.conductor.errors import invalid_channel
from volans.driver.conductor.images import Images
from volans.driver.conductor.parameters import SubscriptionParameters
from volans.driver.conductor.subscriptions import SubscriptionLink
from volans.protocol.events import SubscriptionReady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.clients import DriverClient
    from volans.driver.conductor.context import ConductorContext, WhenDone
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

    def wants(self, endpoint: ReceiveEndpoint, stream_id: int, session_id: int) -> bool:
        return (
            self.endpoint is endpoint and self.stream_id == stream_id and self.accepts(session_id)
        )

    def release(self) -> None:
        self.leave_all()
        self._subscriptions.remove(self)


class NetworkSubscriptions:
    """All UDP subscriptions of the driver."""

    def __init__(self, context: ConductorContext) -> None:
        self._context = context
        self._endpoints: dict[str, ReceiveEndpoint] = {}  # by canonical form
        self._links: dict[int, NetworkSubscriptionLink] = {}  # by registration id, oldest first
        self._closing: list[str] = []  # addresses of sockets the receiver still has to let go of
        self._next_receiver_id = context.receiver_id_base
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
        while str(channel.remote_data) in self._closing:
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
        if not channel.has_explicit_endpoint:
            raise invalid_channel(
                f"endpoint=host:port is missing for a subscription: channel={command.channel}"
            )
        endpoint = self._endpoints.get(channel.canonical_form)
        if endpoint is None:
            endpoint = self._open_endpoint(command, channel, parameters)
        else:
            check_same_socket(endpoint, channel, command.channel)
            self._check_same_options(endpoint, command, parameters)
        endpoint.user_count += 1
        try:
            _check_window(endpoint, parameters, command.channel)
        except BaseException:
            self.release_endpoint(endpoint)
            raise
        link = NetworkSubscriptionLink(
            self, context, client.client_id, command, parameters, endpoint
        )
        self._links[link.registration_id] = link
        client.owned[link.registration_id] = link
        context.run(endpoint.add_interest(command.stream_id, parameters.session_id))
        context.events.send(SubscriptionReady(command.correlation_id, endpoint.status_counter_id))
        self.images.join_existing(link)

    def remove(self, link: NetworkSubscriptionLink) -> None:
        """The link has left its streams: withdraw its interest in the endpoint."""
        if self._links.pop(link.registration_id, None) is None:
            return
        self._context.run(link.endpoint.remove_interest(link.stream_id, link.parameters.session_id))
        self.release_endpoint(link.endpoint)

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
        return list(self._endpoints.values())

    def endpoint_by_id(self, endpoint_id: int) -> ReceiveEndpoint | None:
        for endpoint in self._endpoints.values():
            if endpoint.id == endpoint_id:
                return endpoint
        return None

    def release_endpoint(self, endpoint: ReceiveEndpoint) -> None:
        """One user (subscription or image) less; the last one closes it."""
        endpoint.user_count -= 1
        if endpoint.user_count == 0:
            self._endpoints.pop(endpoint.channel.canonical_form, None)
            self._context.run(self._close_endpoint(endpoint))

    def _close_endpoint(self, endpoint: ReceiveEndpoint) -> Iterator[None]:
        address = str(endpoint.channel.remote_data)
        self._closing.append(address)
        yield from endpoint.close()
        self._closing.remove(address)

    def close(self) -> None:
        """The driver ends and its agents have stopped: close sockets, unmap logs."""
        for endpoint in self._endpoints.values():
            endpoint.owner.close()
        self.images.close()

    def _open_endpoint(
        self,
        command: AddSubscription,
        channel: UdpChannel,
        parameters: SubscriptionParameters,
    ) -> ReceiveEndpoint:
        endpoint = ReceiveEndpoint(
            self._context,
            channel,
            command.channel,
            command.correlation_id,
            self._next_receiver_id,
            parameters,
        )
        self._next_receiver_id += 1
        self._endpoints[channel.canonical_form] = endpoint
        self._context.run(self._add_endpoint(endpoint))
        return endpoint

    def _add_endpoint(self, endpoint: ReceiveEndpoint) -> Iterator[None]:
        while not self._context.receiver.add_endpoint(endpoint.owner):
            yield

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
            for key, asked, found in (
                ("reliable", parameters.is_reliable, link.parameters.is_reliable),
                ("rejoin", parameters.is_rejoin, link.parameters.is_rejoin),
            ):
                if asked != found:
                    raise invalid_channel(
                        f"option conflicts with existing subscription: {key}={str(asked).lower()} "
                        f"existingChannel={link.channel} channel={command.channel}"
                    )


def _check_window(endpoint: ReceiveEndpoint, parameters: SubscriptionParameters, text: str) -> None:
    rcvbuf = endpoint.owner.socket_rcvbuf_length
    if rcvbuf and parameters.receiver_window_length > rcvbuf:
        raise invalid_channel(
            "Initial window greater than SO_RCVBUF for channel: "
            f"rcv-wnd={parameters.receiver_window_length} so-rcvbuf={rcvbuf} channel={text}"
        )
