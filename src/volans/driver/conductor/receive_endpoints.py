"""What images receive on: an endpoint, and the sockets (destinations) it receives over.

The endpoint of a plain subscription has one destination from the start; with
`control-mode=manual` it begins without any and clients add them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.channels import SHARED_BY_CLIENTS, ChannelEndpoint, cannot_bind
from volans.driver.event_log_names import RECEIVE_CHANNEL_CLOSE, RECEIVE_CHANNEL_CREATION
from volans.driver.naming.address import SocketAddress
from volans.driver.naming.unresolved import is_unresolved
from volans.driver.receive_owners import ReceiveDestinationOwner, ReceiveEndpointOwner
from volans.protocol.counter_types import (
    RECEIVE_CHANNEL_STATUS_NAME,
    RECEIVE_LOCAL_SOCKADDR_NAME,
    ChannelStatus,
    CounterType,
    local_sockaddr_key,
    local_sockaddr_label,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.parameters import SubscriptionParameters
    from volans.driver.conductor.port_pool import PortPool
    from volans.driver.udp_channel import UdpChannel


class ReceiveDestination:
    """One bound address of an endpoint, told in a counter of its own.

    Args:
        registration_id: of the subscription it was opened for.
        destination_id: of the command that opened it.
    """

    def __init__(
        self,
        context: ConductorContext,
        endpoint: ReceiveEndpoint,
        channel: UdpChannel,
        ports: PortPool,
        registration_id: int,
        destination_id: int,
    ) -> None:
        self._context = context
        self._ports = ports
        self.channel = channel
        self.moved_to: SocketAddress | None = None  # the control's name has this address now
        self.is_being_resolved = False
        context.counters.require(1)
        port = ports.take(channel.remote_data.port)
        self._bind_to = channel.remote_data.with_port(port)
        try:
            self.owner = self._open(endpoint, destination_id)
        except OSError as error:
            ports.give_back(port)
            raise cannot_bind(error, channel.original_uri, self._bind_to) from None
        self.local_address = str(SocketAddress.from_sockaddr(self.owner.local_address))
        counters = context.counters
        self._sockaddr_counter_id = counters.allocate(
            CounterType.LOCAL_SOCKADDR,
            local_sockaddr_key(endpoint.status_counter_id, self.local_address),
            local_sockaddr_label(
                RECEIVE_LOCAL_SOCKADDR_NAME, endpoint.status_counter_id, self.local_address
            ),
            registration_id=registration_id,
            owner_id=SHARED_BY_CLIENTS,
        )
        counters.set_value(self._sockaddr_counter_id, ChannelStatus.ACTIVE)

    def _open(self, endpoint: ReceiveEndpoint, destination_id: int) -> ReceiveDestinationOwner:
        channel = self.channel
        is_multicast = channel.is_multicast
        # Where SM and NAK go; without either, to the source of the packets.
        control = None
        if is_multicast:
            control = channel.remote_control
        elif channel.has_explicit_control:
            control = channel.local_control
            if is_unresolved(channel.uri.control, control):
                control = None
        return ReceiveDestinationOwner(
            endpoint.owner,
            destination_id=destination_id,
            bind_to=self._bind_to.sockaddr_bytes(),
            control=control.sockaddr_bytes() if control is not None else b"",
            has_explicit_control=channel.has_explicit_control,
            is_multicast=is_multicast,
            multicast_ttl=channel.multicast_ttl or self._context.config.multicast_ttl,
            multicast_group=channel.remote_data.sockaddr_bytes() if is_multicast else b"",
            multicast_interface=channel.local_data.sockaddr_bytes() if is_multicast else b"",
            multicast_interface_index=channel.interface_index,
            socket_sndbuf_length=endpoint.socket_sndbuf_length,
            socket_rcvbuf_length=endpoint.socket_rcvbuf_length,
        )

    def close(self) -> None:
        """The receiver has let go of it, or never had it: close the socket, free its counter."""
        self.owner.close()
        self._ports.give_back(self._bind_to.port)
        self._context.counters.free(self._sockaddr_counter_id)


class ReceiveEndpoint(ChannelEndpoint):
    """What images receive on; counts who wants which stream."""

    status_type = CounterType.RECEIVE_CHANNEL_STATUS
    status_name = RECEIVE_CHANNEL_STATUS_NAME
    sockaddr_name = RECEIVE_LOCAL_SOCKADDR_NAME

    def __init__(
        self,
        context: ConductorContext,
        channel: UdpChannel,
        text: str,
        registration_id: int,
        receiver_id: int,
        parameters: SubscriptionParameters,
        ports: PortPool,
    ) -> None:
        super().__init__(context, channel, text, registration_id)
        context.tell(RECEIVE_CHANNEL_CREATION, text)
        self.interests: dict[tuple[int, int | None], int] = {}  # (stream, session or all) → users
        self.destinations: list[ReceiveDestination] = []
        self.owner = ReceiveEndpointOwner(
            context.shared,
            context.counters,
            context.receiver_engine,
            endpoint_id=self.id,
            receiver_id=receiver_id,
            channel_status_counter_id=self.status_counter_id,
            group_tag=parameters.group_tag,
            session_count_limit=context.config.stream_session_limit,
            media_timestamp_offset=channel.media_receive_timestamp_offset,
            channel_timestamp_offset=channel.channel_receive_timestamp_offset,
        )
        local_address = ""
        if not channel.is_manual:
            try:
                destination = ReceiveDestination(
                    context, self, channel, ports, registration_id, registration_id
                )
            except BaseException:
                self.free_counters()
                raise
            self.destinations.append(destination)
            local_address = destination.local_address
        context.counters.append_to_label(self.status_counter_id, f" {local_address}")
        context.counters.set_value(self.status_counter_id, ChannelStatus.ACTIVE)

    def add_interest(self, stream_id: int, session_id: int | None) -> Iterator[None]:
        """Task: one more subscription of a stream (one session, or all)."""
        key = (stream_id, session_id)
        self.interests[key] = self.interests.get(key, 0) + 1
        if self.interests[key] > 1:
            return
        receiver = self._context.receiver
        if session_id is None:
            while not receiver.add_subscription(self.owner, stream_id):
                yield
        else:
            while not receiver.add_subscription_by_session(self.owner, stream_id, session_id):
                yield

    def ask_for_setup(self, stream_id: int, session_id: int) -> Iterator[None]:
        """Task: an earlier request for the SETUP of a subscribed session went unanswered."""
        receiver = self._context.receiver
        while not receiver.add_subscription_by_session(self.owner, stream_id, session_id):
            yield

    def remove_interest(self, stream_id: int, session_id: int | None) -> Iterator[None]:
        """Task: one subscription less."""
        key = (stream_id, session_id)
        self.interests[key] -= 1
        if self.interests[key]:
            return
        del self.interests[key]
        receiver = self._context.receiver
        if session_id is None:
            while not receiver.remove_subscription(self.owner, stream_id):
                yield
        else:
            while not receiver.remove_subscription_by_session(self.owner, stream_id, session_id):
                yield

    def close(self) -> Iterator[None]:
        """Task: let the receiver go of it, close its sockets."""
        context = self._context
        context.tell(RECEIVE_CHANNEL_CLOSE, self.text)
        context.counters.set_value(self.status_counter_id, ChannelStatus.CLOSING)
        while not context.receiver.remove_endpoint(self.owner):
            yield
        while not self.owner.released:
            yield
        for destination in self.destinations:
            destination.close()
        self.free_counters()

    def close_sockets(self) -> None:
        """The driver ends and its agents have stopped."""
        for destination in self.destinations:
            destination.owner.close()
