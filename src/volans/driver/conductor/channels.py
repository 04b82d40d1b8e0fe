"""Channel endpoints: sockets shared by streams, their status counters, their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.errors import CommandRefusedError, invalid_channel
from volans.driver.event_log_names import SEND_CHANNEL_CLOSE, SEND_CHANNEL_CREATION
from volans.driver.naming.address import SocketAddress
from volans.driver.naming.unresolved import PatientResolver, is_unresolved
from volans.driver.send_owners import SendEndpointOwner
from volans.driver.udp_channel import UdpChannel
from volans.protocol.counter_types import (
    MDC_DESTINATIONS_NAME,
    SEND_CHANNEL_STATUS_NAME,
    SEND_LOCAL_SOCKADDR_NAME,
    ChannelStatus,
    CounterType,
    channel_status_key,
    channel_status_label,
    local_sockaddr_key,
    local_sockaddr_label,
)
from volans.protocol.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from volans.driver.conductor.context import ConductorContext, WhenDone
    from volans.driver.conductor.destinations import Destination
    from volans.protocol.channel_uri import ChannelUri

SHARED_BY_CLIENTS = 0  # owner id of what outlives the client that opened it

ENDPOINT_COUNTER_COUNT = 3  # with that of the destinations


class ChannelEndpoint:
    """Common to both directions: the counters and the number of users."""

    status_type: CounterType
    status_name: str
    sockaddr_name: str

    def __init__(
        self, context: ConductorContext, channel: UdpChannel, text: str, registration_id: int
    ) -> None:
        self._context = context
        self.channel = channel
        self.text = text
        self.user_count = 0
        self.moved_to: SocketAddress | None = None  # the peer's name has this address now
        self.is_being_resolved = False
        # As asked for; 0: the system's default.
        self.socket_sndbuf_length = channel.socket_sndbuf_length or context.config.socket_sndbuf
        self.socket_rcvbuf_length = channel.socket_rcvbuf_length or context.config.socket_rcvbuf
        counters = context.counters
        counters.require(ENDPOINT_COUNTER_COUNT)
        self.id = registration_id  # of the command that opened it
        self.status_counter_id = counters.allocate(
            self.status_type,
            channel_status_key(text),
            channel_status_label(self.status_name, text),
            registration_id=self.id,
            owner_id=SHARED_BY_CLIENTS,
        )
        counters.set_value(self.status_counter_id, ChannelStatus.INITIALIZING)
        self.sockaddr_counter_id = -1

    def bound(self, local_address: bytes) -> None:
        """The socket is there: tell its address and that it is active."""
        counters = self._context.counters
        address = str(SocketAddress.from_sockaddr(local_address))
        counters.append_to_label(self.status_counter_id, f" {address}")
        self.sockaddr_counter_id = counters.allocate(
            CounterType.LOCAL_SOCKADDR,
            local_sockaddr_key(self.status_counter_id, address),
            local_sockaddr_label(self.sockaddr_name, self.status_counter_id, address),
            registration_id=self.id,
            owner_id=SHARED_BY_CLIENTS,
        )
        counters.set_value(self.sockaddr_counter_id, ChannelStatus.ACTIVE)
        counters.set_value(self.status_counter_id, ChannelStatus.ACTIVE)

    def free_counters(self) -> None:
        for counter_id in (self.status_counter_id, self.sockaddr_counter_id):
            if counter_id >= 0:
                self._context.counters.free(counter_id)


class SendEndpoint(ChannelEndpoint):
    """A socket that publications send over."""

    status_type = CounterType.SEND_CHANNEL_STATUS
    status_name = SEND_CHANNEL_STATUS_NAME
    sockaddr_name = SEND_LOCAL_SOCKADDR_NAME

    def __init__(
        self,
        context: ConductorContext,
        channel: UdpChannel,
        text: str,
        registration_id: int,
        bind_to: SocketAddress,
    ) -> None:
        super().__init__(context, channel, text, registration_id)
        config = context.config
        self.bound_to = bind_to
        self.destinations: dict[int, Destination] = {}  # manual ones, by registration id
        self.destination_count_counter_id = -1
        if channel.is_multi_destination:
            self.destination_count_counter_id = context.counters.allocate(
                CounterType.MDC_DESTINATIONS,
                channel_status_key(text),
                channel_status_label(MDC_DESTINATIONS_NAME, text),
                registration_id=self.id,
                owner_id=SHARED_BY_CLIENTS,
            )
        has_one_peer = channel.has_explicit_endpoint and not channel.has_group_semantics
        # A connected socket sends cheaper: the route is looked up once.
        self.is_connecting = bool(config.connect_enabled and has_one_peer)
        peer = channel.remote_data.sockaddr_bytes()
        if has_one_peer and is_unresolved(channel.uri.endpoint, channel.remote_data):
            peer = b""
        try:
            self.owner = SendEndpointOwner(
                context.shared,
                context.counters,
                context.sender_engine,
                endpoint_id=self.id,
                bind_to=bind_to.sockaddr_bytes(),
                destination=peer,
                connect_to=peer if self.is_connecting else b"",
                channel_status_counter_id=self.status_counter_id,
                is_multicast=channel.is_multicast and not channel.is_multi_destination,
                has_group_semantics=channel.has_group_semantics,
                control_mode=(channel.control_mode or "") if channel.is_multi_destination else "",
                destination_count_counter_id=self.destination_count_counter_id,
                multicast_ttl=channel.multicast_ttl or config.multicast_ttl,
                multicast_interface=(
                    channel.local_control.sockaddr_bytes() if channel.is_multicast else b""
                ),
                multicast_interface_index=channel.interface_index,
                send_timestamp_offset=channel.channel_send_timestamp_offset,
                socket_sndbuf_length=self.socket_sndbuf_length,
                socket_rcvbuf_length=self.socket_rcvbuf_length,
            )
        except OSError as error:
            self.free_counters()
            raise cannot_bind(error, text, bind_to) from None
        self.bound(self.owner.local_address)
        context.tell(SEND_CHANNEL_CREATION, text)

    def free_counters(self) -> None:
        super().free_counters()
        if self.destination_count_counter_id >= 0:
            self._context.counters.free(self.destination_count_counter_id)

    def close(self) -> Iterator[None]:
        """Task: let the sender go of it, close the socket."""
        context = self._context
        context.tell(SEND_CHANNEL_CLOSE, self.text)
        context.counters.set_value(self.status_counter_id, ChannelStatus.CLOSING)
        while not context.sender.remove_endpoint(self.owner):
            yield
        while not self.owner.released:
            yield
        self.owner.close()
        self.free_counters()


def resolve_channel(
    context: ConductorContext,
    uri: ChannelUri,
    on_resolved: Callable[[UdpChannel], None],
    on_error: WhenDone,
    peer_parameter: str = "endpoint",
    *,
    is_destination: bool = False,
) -> None:
    """Resolve a channel's names on the native-resource agent.

    The name of the peer may have no address yet: it is looked up again later.
    """

    def resolved(channel: UdpChannel) -> None:
        try:
            _tell_unresolved(context, channel, peer_parameter)
            on_resolved(channel)
        except Exception as error:  # becomes the answer to the command
            on_error(error)

    resolver = PatientResolver(context.resolver, peer_parameter)
    context.resources.submit(
        lambda: UdpChannel.from_uri(uri, resolver, is_destination=is_destination),
        resolved,
        on_error,
    )


def _tell_unresolved(context: ConductorContext, channel: UdpChannel, parameter: str) -> None:
    is_endpoint = parameter == "endpoint"
    name = channel.uri.endpoint if is_endpoint else channel.uri.control
    address = channel.remote_data if is_endpoint else channel.local_control
    if is_unresolved(name, address):
        context.shared.log_error(
            f"{parameter}={name} has no address yet, it is looked up again every "
            f"{context.config.re_resolution_check_interval_ns} ns: {channel.original_uri}",
            context.now_ms,
        )


def cannot_bind(error: OSError, text: str, address: SocketAddress) -> CommandRefusedError:
    return CommandRefusedError(
        ErrorCode.GENERIC_ERROR,
        f"cannot bind {address} for channel={text}: {error.strerror} (errno {error.errno})",
    )


def check_same_socket(existing: ChannelEndpoint, channel: UdpChannel, text: str) -> None:
    """Options of the socket that a channel spells out must be those of the socket that is there."""
    for key, asked, found in (
        ("so-rcvbuf", channel.socket_rcvbuf_length, existing.socket_rcvbuf_length),
        ("so-sndbuf", channel.socket_sndbuf_length, existing.socket_sndbuf_length),
    ):
        if asked and asked != found:
            raise invalid_channel(
                f"{key}={asked} does not match existing value of {found or 'OS default'}: "
                f"existingChannel={existing.text} channel={text}"
            )
