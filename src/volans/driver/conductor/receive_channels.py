"""The endpoints that subscriptions receive on: which of them a channel means, and when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.channels import check_same_socket
from volans.driver.conductor.errors import invalid_channel
from volans.driver.conductor.port_pool import PortPool
from volans.driver.conductor.receive_endpoints import ReceiveDestination, ReceiveEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.parameters import SubscriptionParameters
    from volans.driver.udp_channel import UdpChannel

RESERVED_VALUE_OFFSET = -8


class ReceiveChannels:
    """All receive endpoints of the driver, shared by subscriptions and used by images."""

    def __init__(self, context: ConductorContext) -> None:
        self._context = context
        self._endpoints: list[ReceiveEndpoint] = []
        self._closing: list[str] = []  # addresses of sockets the receiver still has to let go of
        self._next_receiver_id = context.receiver_id_base
        self._ports = PortPool(*context.config.receiver_wildcard_port_range)

    def find(self, channel: UdpChannel) -> ReceiveEndpoint | None:
        """By the channel's tag, else by its addresses.

        Raises InvalidChannelError when the tag is that of an endpoint of other addresses.
        """
        if channel.tag is not None:
            for endpoint in self._endpoints:
                if channel.matches_tag(endpoint.channel):
                    return endpoint
        for endpoint in reversed(self._endpoints):
            # Two different tags mean two sockets, even to the same address.
            if endpoint.channel.canonical_form == channel.canonical_form and None in (
                channel.tag,
                endpoint.channel.tag,
            ):
                return endpoint
        return None

    def __iter__(self) -> Iterator[ReceiveEndpoint]:
        return iter(self._endpoints)

    def by_id(self, endpoint_id: int) -> ReceiveEndpoint | None:
        """The endpoint that a command of this correlation id opened."""
        for endpoint in self._endpoints:
            if endpoint.id == endpoint_id:
                return endpoint
        return None

    def is_closing(self, channel: UdpChannel) -> bool:
        """Whether a socket of the channel's address still has to be closed."""
        return channel.remote_data.port != 0 and str(channel.remote_data) in self._closing

    def find_or_open(
        self,
        channel: UdpChannel,
        text: str,
        registration_id: int,
        parameters: SubscriptionParameters,
    ) -> ReceiveEndpoint:
        """What a subscription receives on; `user_count` is the caller's to raise.

        Raises CommandRefusedError or InvalidChannelError.
        """
        default_rcvbuf = self._context.default_socket_buffer_lengths[1]
        endpoint = self.find(channel)
        if endpoint is not None:
            if not channel.is_manual and len(endpoint.destinations) == 1:
                check_window(endpoint, channel, parameters, text, default_rcvbuf)
                check_same_socket(endpoint, channel, text)
            return endpoint
        if not (channel.has_explicit_endpoint or channel.has_explicit_control or channel.is_manual):
            raise invalid_channel(
                "URI must have explicit control, endpoint, or be manual control-mode when "
                f"original: channel={text}"
            )
        endpoint = ReceiveEndpoint(
            self._context,
            channel,
            text,
            registration_id,
            self._next_receiver_id,
            parameters,
            self._ports,
        )
        try:
            check_window(endpoint, channel, parameters, text, default_rcvbuf)
        except BaseException:
            for destination in endpoint.destinations:
                destination.close()
            endpoint.free_counters()
            raise
        self._next_receiver_id += 1
        self._endpoints.append(endpoint)
        for destination in endpoint.destinations:
            self._context.run(self._add(destination))
        return endpoint

    def release(self, endpoint: ReceiveEndpoint) -> None:
        """One user (subscription or image) less; the last one closes it."""
        endpoint.user_count -= 1
        if endpoint.user_count == 0:
            self._endpoints.remove(endpoint)
            self._context.run(self._close(endpoint))

    def open_destination(
        self,
        endpoint: ReceiveEndpoint,
        channel: UdpChannel,
        registration_id: int,
        destination_id: int,
    ) -> ReceiveDestination:
        """One more socket of an endpoint. Raises CommandRefusedError."""
        destination = ReceiveDestination(
            self._context, endpoint, channel, self._ports, registration_id, destination_id
        )
        endpoint.destinations.append(destination)
        self._context.run(self._add(destination))
        return destination

    def close_destination(self, endpoint: ReceiveEndpoint, destination: ReceiveDestination) -> None:
        """One socket less."""
        endpoint.destinations.remove(destination)
        self._context.run(self._close_destination(destination))

    def close_sockets(self) -> None:
        """The driver ends and its agents have stopped."""
        for endpoint in self._endpoints:
            endpoint.close_sockets()

    def _add(self, destination: ReceiveDestination) -> Iterator[None]:
        while not self._context.receiver.add_destination(destination.owner):
            yield

    def _close_destination(self, destination: ReceiveDestination) -> Iterator[None]:
        address = str(destination.channel.remote_data)
        self._closing.append(address)
        while not self._context.receiver.remove_destination(destination.owner):
            yield
        while not destination.owner.released:
            yield
        destination.close()
        self._closing.remove(address)

    def _close(self, endpoint: ReceiveEndpoint) -> Iterator[None]:
        addresses = [str(destination.channel.remote_data) for destination in endpoint.destinations]
        self._closing += addresses
        yield from endpoint.close()
        for address in addresses:
            self._closing.remove(address)


def check_window(
    endpoint: ReceiveEndpoint,
    channel: UdpChannel,
    parameters: SubscriptionParameters,
    text: str,
    default_rcvbuf_length: int,
) -> None:
    """The receiver window must fit into the socket's buffer, as it was asked for (bytes)."""
    asked = channel.socket_rcvbuf_length or endpoint.socket_rcvbuf_length
    rcvbuf = asked or default_rcvbuf_length
    if parameters.receiver_window_length > rcvbuf:
        source = "" if asked else " (OS default)"
        existing = "" if endpoint.channel is channel else f"existingChannel={endpoint.text} "
        raise invalid_channel(
            "Initial window greater than SO_RCVBUF for channel: "
            f"rcv-wnd={parameters.receiver_window_length} so-rcvbuf={rcvbuf}{source} "
            f"{existing}channel={text}"
        )


def check_same_timestamps(endpoint: ReceiveEndpoint, channel: UdpChannel, text: str) -> None:
    """The times are written once, for all subscriptions of an endpoint."""
    existing = endpoint.channel
    for key, asked, found in (
        (
            "media-rcv-ts-offset",
            channel.media_receive_timestamp_offset,
            existing.media_receive_timestamp_offset,
        ),
        (
            "channel-rcv-ts-offset",
            channel.channel_receive_timestamp_offset,
            existing.channel_receive_timestamp_offset,
        ),
    ):
        if asked != found:
            raise invalid_channel(
                f"option conflicts with existing subscription: {key}={_offset_text(asked)} "
                f"existingChannel={endpoint.text} channel={text}"
            )


def _offset_text(offset: int | None) -> str:
    if offset is None:
        return "-1 (not specified)"
    return f"{offset} (reserved)" if offset == RESERVED_VALUE_OFFSET else str(offset)
