"""What clients hear when an untethered subscriber of theirs is let go or comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.event_log_names import UNTETHERED_STATE_CHANGE
from volans.protocol.events import AvailableImage, UnavailableImage

if TYPE_CHECKING:
    from volans.driver.agent_messages import SubscriberChange
    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.subscriptions import Stream


def on_subscriber_change(
    context: ConductorContext, stream: Stream | None, message: SubscriberChange
) -> None:
    """`stream` is None, or has another subscription, when the change was overtaken by its end."""
    if message.change == "closed":
        # Whatever became of the stream: the agents have forgotten the counter.
        context.counters.free(message.counter_id)
        return
    subscription_id = message.subscription_registration_id
    if stream is None or subscription_id not in stream.subscriptions:
        return
    context.tell(
        UNTETHERED_STATE_CHANGE,
        f"subscriptionId={subscription_id} streamId={stream.stream_id} "
        f"sessionId={stream.session_id} {message.change.upper()}",
    )
    if message.change == "linger":
        context.events.send(
            UnavailableImage(
                stream.registration_id,
                subscription_id,
                stream.stream_id,
                stream.announced_channel,
            )
        )
    else:
        context.events.send(
            AvailableImage(
                correlation_id=stream.registration_id,
                session_id=stream.session_id,
                stream_id=stream.stream_id,
                subscription_registration_id=subscription_id,
                subscriber_position_counter_id=message.counter_id,
                log_file_name=stream.log_path,
                source_identity=stream.source_identity,
            )
        )
