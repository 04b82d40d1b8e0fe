"""Spies: subscriptions that read outgoing publications of this driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.subscriptions import SubscriptionLink

if TYPE_CHECKING:
    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.network_publications import NetworkPublications, NetworkStream
    from volans.driver.conductor.parameters import SubscriptionParameters
    from volans.driver.udp_channel import UdpChannel
    from volans.protocol.commands import AddSubscription


class SpyLink(SubscriptionLink):
    """A spy subscription of a client."""

    def __init__(
        self,
        publications: NetworkPublications,
        context: ConductorContext,
        client_id: int,
        command: AddSubscription,
        parameters: SubscriptionParameters,
        channel: UdpChannel,
    ) -> None:
        super().__init__(
            context,
            client_id,
            command.correlation_id,
            command.stream_id,
            command.channel,
            parameters,
        )
        self._publications = publications
        self._udp_channel = channel

    def wants(self, stream: NetworkStream) -> bool:
        """Same channel, by its tag or its addresses; same stream and session."""
        own, other = self._udp_channel, stream.endpoint.channel
        return (
            stream.stream_id == self.stream_id
            and self.accepts(stream.session_id)
            and (
                own.canonical_form == other.canonical_form
                or (own.tag is not None and own.tag == other.tag)
            )
        )

    def release(self) -> None:
        self.leave_all()
        self._publications.remove_spy(self)
