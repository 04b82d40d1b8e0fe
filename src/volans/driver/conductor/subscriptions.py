"""A client's subscription and the streams it is joined to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from volans.memory.errors import CountersExhaustedError
from volans.protocol.counter_types import (
    SUBSCRIBER_POSITION_NAME,
    CounterType,
    join_position_suffix,
    stream_counter_key,
    stream_counter_label,
)
from volans.protocol.events import AvailableImage, UnavailableImage

if TYPE_CHECKING:
    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.parameters import SubscriptionParameters


class Stream(Protocol):
    """A log that subscriptions read: of an IPC or network publication, or of an image."""

    registration_id: int
    session_id: int
    stream_id: int
    log_path: str
    source_identity: str
    announced_channel: str
    subscriptions: dict[int, SubscriptionLink]

    def join(self, link: SubscriptionLink, counter_id: int) -> int:
        """Count the subscription in; the position it starts at."""

    def leave(self, link: SubscriptionLink) -> int:
        """Count it out; its position counter, or -1."""


class SubscriptionLink:
    """One subscription of one client, and the streams it reads."""

    def __init__(
        self,
        context: ConductorContext,
        client_id: int,
        registration_id: int,
        stream_id: int,
        channel: str,
        parameters: SubscriptionParameters,
    ) -> None:
        self.context = context
        self.client_id = client_id
        self.registration_id = registration_id
        self.stream_id = stream_id
        self.channel = channel
        self.parameters = parameters
        self.session_id = parameters.session_id  # None: any; of a response: none yet
        self.streams: dict[int, Stream] = {}  # by the stream's registration id

    def accepts(self, session_id: int) -> bool:
        """Whether the subscription wants that session."""
        if self.session_id is None:
            return not self.parameters.is_response
        return self.session_id == session_id

    def join(self, stream: Stream) -> None:
        """Read `stream` from now on: allocate the position, join, tell the client.

        When there is no counter left the stream is not read, and the error log says so: other
        subscriptions and the publication are not to suffer.
        """
        counters = self.context.counters
        try:
            counters.require(1)
        except CountersExhaustedError as error:
            self.context.shared.log_error(
                f"{type(error).__name__}: no image for a subscription of "
                f"stream-id={stream.stream_id} channel={self.channel}: {error}",
                self.context.now_ms,
            )
            return
        counter_id = counters.allocate(
            CounterType.SUBSCRIBER_POSITION,
            stream_counter_key(
                self.registration_id, stream.session_id, stream.stream_id, self.channel
            ),
            stream_counter_label(
                SUBSCRIBER_POSITION_NAME,
                self.registration_id,
                stream.session_id,
                stream.stream_id,
                self.channel,
            ),
            registration_id=self.registration_id,
            owner_id=self.client_id,
            reference_id=stream.registration_id,
        )
        position = stream.join(self, counter_id)
        counters.append_to_label(counter_id, join_position_suffix(position))
        self.streams[stream.registration_id] = stream
        stream.subscriptions[self.registration_id] = self
        self.context.events.send(
            AvailableImage(
                correlation_id=stream.registration_id,
                session_id=stream.session_id,
                stream_id=stream.stream_id,
                subscription_registration_id=self.registration_id,
                subscriber_position_counter_id=counter_id,
                log_file_name=stream.log_path,
                source_identity=stream.source_identity,
            )
        )

    def leave(self, stream: Stream) -> None:
        """Stop reading `stream`; its position counter is freed."""
        if self.streams.pop(stream.registration_id, None) is None:
            return
        stream.subscriptions.pop(self.registration_id, None)
        counter_id = stream.leave(self)
        if counter_id >= 0:
            self.context.counters.free(counter_id)

    def leave_all(self) -> None:
        for stream in list(self.streams.values()):
            self.leave(stream)


def announce_unavailable(context: ConductorContext, stream: Stream) -> None:
    """Tell every subscription of `stream` that it ends, and let them go."""
    for link in list(stream.subscriptions.values()):
        context.events.send(
            UnavailableImage(
                stream.registration_id,
                link.registration_id,
                stream.stream_id,
                stream.announced_channel,
            )
        )
        link.leave(stream)
