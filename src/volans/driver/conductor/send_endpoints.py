"""The sockets that publications send over: which of them a channel means, and when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.channels import SendEndpoint
from volans.driver.conductor.errors import invalid_channel
from volans.driver.conductor.port_pool import PortPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.context import ConductorContext
    from volans.driver.udp_channel import UdpChannel


class SendEndpoints:
    """All send endpoints of the driver, shared by publications."""

    def __init__(self, context: ConductorContext) -> None:
        self._context = context
        self._endpoints: list[SendEndpoint] = []
        self._closing: list[str] = []  # addresses of sockets the sender still has to let go of
        self._ports = PortPool(*context.config.sender_wildcard_port_range)

    def __iter__(self) -> Iterator[SendEndpoint]:
        return iter(self._endpoints)

    def find(self, channel: UdpChannel) -> SendEndpoint | None:
        """By the channel's tag, else by its addresses.

        Raises InvalidChannelError when the tag is that of an endpoint of other addresses.
        """
        if channel.tag is not None:
            for endpoint in self._endpoints:
                if channel.matches_tag(endpoint.channel):
                    return endpoint
            if not (
                channel.has_explicit_endpoint or channel.has_explicit_control or channel.is_manual
            ):
                raise invalid_channel(
                    "URI must have explicit control, endpoint, or be manual control-mode when "
                    f"original: no channel has tag {channel.tag} yet: {channel.original_uri}"
                )
        for endpoint in reversed(self._endpoints):
            # Two different tags mean two sockets, even to the same address.
            if endpoint.channel.canonical_form == channel.canonical_form and None in (
                channel.tag,
                endpoint.channel.tag,
            ):
                return endpoint
        return None

    def is_closing(self, channel: UdpChannel) -> bool:
        """Whether a socket of the channel's address still has to be closed."""
        return str(channel.bind_address) in self._closing

    def open(self, channel: UdpChannel, text: str, registration_id: int) -> SendEndpoint:
        """Bind a socket and let the sender poll it. Raises CommandRefusedError."""
        address = channel.bind_address
        # An implicit port of a unicast publication is nobody's business but the system's.
        port = self._ports.take(address.port, may_choose=channel.has_explicit_control)
        try:
            endpoint = SendEndpoint(
                self._context, channel, text, registration_id, address.with_port(port)
            )
        except BaseException:
            self._ports.give_back(port)
            raise
        self._endpoints.append(endpoint)
        self._context.run(self._add(endpoint))
        return endpoint

    def release(self, endpoint: SendEndpoint) -> None:
        """One user less; the last one closes it."""
        endpoint.user_count -= 1
        if endpoint.user_count == 0:
            self._endpoints.remove(endpoint)
            self._context.run(self._close(endpoint))

    def close_sockets(self) -> None:
        """The driver ends and its agents have stopped."""
        for endpoint in self._endpoints:
            endpoint.owner.close()

    def _add(self, endpoint: SendEndpoint) -> Iterator[None]:
        while not self._context.sender.add_endpoint(endpoint.owner):
            yield

    def _close(self, endpoint: SendEndpoint) -> Iterator[None]:
        address = str(endpoint.channel.bind_address)
        if endpoint.channel.bind_address.port:
            self._closing.append(address)
        yield from endpoint.close()
        self._ports.give_back(endpoint.bound_to.port)
        if endpoint.channel.bind_address.port:
            self._closing.remove(address)
