"""Response channels: requests that say where the answer goes, and answers to one requester only.

A request publication names a response subscription (`response-correlation-id`), so its SETUP asks
for an answer. Whoever got the request publishes with `control-mode=response` and the request's
image; his receiver tells the requester by which session, and the requester's subscription then
takes that session and no other (PROTOCOL.md sections 10.2 and 10.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.errors import CommandRefusedError
from volans.protocol.channel_uri import PROTOTYPE_CORRELATION_ID
from volans.protocol.error_codes import ErrorCode

if TYPE_CHECKING:
    from volans.driver.agent_messages import ResponseConnected, ResponseSetup
    from volans.driver.conductor.images import ImageStream
    from volans.driver.conductor.network_subscriptions import NetworkSubscriptions
    from volans.driver.conductor.parameters import PublicationParameters
    from volans.driver.udp_channel import UdpChannel

NULL_VALUE = -1
SETUP_FLAG_SEND_RESPONSE = 0x80


class Responses:
    """Brings the two streams of a request and its response together, over UDP."""

    def __init__(self, subscriptions: NetworkSubscriptions) -> None:
        self._subscriptions = subscriptions

    def check_publication(
        self, channel: UdpChannel, parameters: PublicationParameters
    ) -> ImageStream | None:
        """The image that a new publication answers, None when it answers none.

        Raises CommandRefusedError when what it refers to is not there.
        """
        correlation_id = parameters.response_correlation_id
        if not channel.is_response:
            if correlation_id != NULL_VALUE and not self._is_response_subscription(correlation_id):
                raise _refused(
                    "unable to find response subscription for "
                    f"response-correlation-id={_text(correlation_id)}: add a subscription with "
                    "control-mode=response before, and give its registration id"
                )
            return None
        if correlation_id == NULL_VALUE:
            raise _refused(
                "control-mode=response was specified, but no response-correlation-id set: give "
                "the correlation id of the request's image, or prototype"
            )
        if correlation_id == PROTOTYPE_CORRELATION_ID:
            return None
        image = self._subscriptions.images.find(correlation_id)
        if image is None:
            raise _refused(f"image.correlationId={correlation_id} not found")
        if not image.setup_flags & SETUP_FLAG_SEND_RESPONSE:
            raise _refused(
                f"image.correlationId={correlation_id} did not request a response channel"
            )
        return image

    def _is_response_subscription(self, registration_id: int) -> bool:
        link = self._subscriptions.find(registration_id)
        return link is not None and link.parameters.is_response

    def on_setup(self, message: ResponseSetup) -> None:
        """The requester's side: the session that will answer is known."""
        link = self._subscriptions.find(message.subscription_registration_id)
        if link is None or not link.parameters.is_response or link.streams:
            return  # whoever answers already is not changed for another one
        self._subscriptions.take_session(link, message.response_session_id)

    def on_connected(self, message: ResponseConnected) -> None:
        """The responder's side: the requester receives, so it need not be told any more."""
        image = self._subscriptions.images.find(message.image_registration_id)
        if image is not None:
            image.owner.end_response()


def _text(correlation_id: int) -> str:
    return "prototype" if correlation_id == PROTOTYPE_CORRELATION_ID else str(correlation_id)


def _refused(text: str) -> CommandRefusedError:
    return CommandRefusedError(ErrorCode.GENERIC_ERROR, text)
