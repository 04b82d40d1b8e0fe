"""What the driver tells becomes publications, subscriptions, images and counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from volans.client.counters import Counter
from volans.client.exclusive_publication import ExclusivePublication
from volans.client.image import Image
from volans.client.log_file import LogFile
from volans.client.publication import Publication
from volans.client.registration import Kind, Registration
from volans.client.subscription import Subscription
from volans.errors import ClientTimeoutError, RegistrationError
from volans.protocol import commands, events
from volans.protocol.error_codes import ErrorCode

if TYPE_CHECKING:
    from volans.client.conductor import Conductor


class DriverEvents:
    """Applies events to a conductor, which holds its lock meanwhile."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._handlers: dict[type[events.Event], Callable[[Any, int], None]] = {
            events.ErrorResponse: self._on_error,
            events.AvailableImage: self._on_available_image,
            events.UnavailableImage: self._on_unavailable_image,
            events.PublicationReady: self._on_publication_ready,
            events.ExclusivePublicationReady: self._on_publication_ready,
            events.SubscriptionReady: self._on_subscription_ready,
            events.OperationSuccess: self._on_operation_success,
            events.CounterReady: self._on_counter_ready,
            events.StaticCounterReady: self._on_static_counter_ready,
            events.UnavailableCounter: self._on_unavailable_counter,
            events.ClientTimeout: self._on_client_timeout,
            events.PublicationErrorEvent: self._on_publication_error,
            events.NextAvailableSessionId: self._on_next_session_id,
        }

    def on_event(self, msg_type_id: int, payload: bytes, now_ns: int) -> None:
        """Apply one message of the to-clients broadcast."""
        try:
            event = events.decode_event(msg_type_id, payload)
        except events.UnknownEventError:
            return  # a newer driver's: not for this client
        except events.MalformedEventError as error:
            self._conductor.call_later(self._conductor.handle_error, error)
            return
        self._handlers[type(event)](event, now_ns)

    # --- answers -------------------------------------------------------------------------

    def _waiting(self, correlation_id: int, *kinds: Kind) -> Registration | None:
        registration = self._conductor.registrations.get(correlation_id)
        if registration is None or (kinds and registration.kind not in kinds):
            return None
        if registration.abandoned:
            del self._conductor.registrations[correlation_id]
        elif registration.done.is_set():
            return None
        return registration

    def _complete(self, registration: Registration, result: Any) -> None:
        registration.result = result
        registration.done.set()

    def _fail(self, registration: Registration, error: Exception) -> None:
        registration.error = error
        registration.done.set()

    def _give_back(self, registration: Registration) -> None:
        """The answer came after its caller had given up."""
        conductor = self._conductor
        make = _REMOVALS.get(registration.kind)
        if make is not None:
            conductor._tell(
                lambda client_id, id_: make(client_id, id_, registration.registration_id)
            )

    def _on_error(self, event: events.ErrorResponse, _now_ns: int) -> None:
        registration = self._waiting(event.offending_correlation_id)
        if registration is not None and not registration.abandoned:
            error = RegistrationError(
                ErrorCode.of(event.error_code), event.message, event.offending_correlation_id
            )
            self._fail(registration, error)

    def _on_operation_success(self, event: events.OperationSuccess, _now_ns: int) -> None:
        registration = self._waiting(event.correlation_id, Kind.OPERATION)
        if registration is not None and not registration.abandoned:
            self._complete(registration, event.correlation_id)

    def _on_next_session_id(self, event: events.NextAvailableSessionId, _now_ns: int) -> None:
        registration = self._waiting(event.correlation_id, Kind.SESSION_ID)
        if registration is not None and not registration.abandoned:
            self._complete(registration, event.next_session_id)

    # --- publications --------------------------------------------------------------------

    def _on_publication_ready(self, event: events.PublicationReady, _now_ns: int) -> None:
        registration = self._waiting(
            event.correlation_id, Kind.PUBLICATION, Kind.EXCLUSIVE_PUBLICATION
        )
        if registration is None:
            return
        if registration.abandoned:
            self._give_back(registration)
            return
        conductor = self._conductor
        exclusive = registration.kind is Kind.EXCLUSIVE_PUBLICATION
        try:
            publication = (ExclusivePublication if exclusive else Publication)(
                conductor,
                self._log_file(event.registration_id, event.log_file_name),
                registration.channel,
                event.stream_id,
                event.session_id,
                event.correlation_id,
                event.registration_id,
                conductor.link.position_address(event.position_limit_counter_id),
                event.position_limit_counter_id,
                event.channel_status_counter_id,
                conductor.link,
                exclusive,
            )
        except (OSError, ValueError) as error:
            self._give_back(registration)
            self._fail(registration, error)
            return
        conductor.resources[event.correlation_id] = publication
        self._complete(registration, publication)

    def _on_publication_error(self, event: events.PublicationErrorEvent, _now_ns: int) -> None:
        conductor = self._conductor
        if any(
            getattr(resource, "original_registration_id", None) == event.registration_id
            for resource in conductor.resources.values()
        ):
            conductor.call_later(conductor.options.on_publication_error, event)

    def _log_file(self, log_id: int, path: str) -> LogFile:
        """The mapped log, shared by all who use it."""
        conductor = self._conductor
        log_file: LogFile | None = conductor.log_files.get(log_id)
        if log_file is None:
            log_file = LogFile(path, conductor.options.pre_touch)
            conductor.log_files[log_id] = log_file
        return log_file

    # --- subscriptions and images --------------------------------------------------------

    def _on_subscription_ready(self, event: events.SubscriptionReady, _now_ns: int) -> None:
        registration = self._waiting(event.correlation_id, Kind.SUBSCRIPTION)
        if registration is None:
            return
        if registration.abandoned:
            self._give_back(registration)
            return
        conductor = self._conductor
        options = conductor.options
        subscription = Subscription(
            conductor,
            event.correlation_id,
            registration.channel,
            registration.stream_id,
            registration.fragments,
            event.channel_status_counter_id,
            registration.on_available_image or options.on_available_image,
            registration.on_unavailable_image or options.on_unavailable_image,
        )
        # Before its images: they come next, whether or not someone has asked for it yet.
        conductor.resources[event.correlation_id] = subscription
        self._complete(registration, subscription)

    def _on_available_image(self, event: events.AvailableImage, _now_ns: int) -> None:
        conductor = self._conductor
        subscription = conductor.resources.get(event.subscription_registration_id)
        if not isinstance(subscription, Subscription):
            return
        try:
            image = Image(
                conductor,
                subscription,
                self._log_file(event.correlation_id, event.log_file_name),
                conductor.link.position_address(event.subscriber_position_counter_id),
                conductor.link,
                event.correlation_id,
                event.session_id,
                event.stream_id,
                event.subscriber_position_counter_id,
                event.source_identity,
            )
        except (OSError, ValueError) as error:
            conductor.call_later(conductor.handle_error, error)
            return
        conductor.call_later(self._introduce, subscription, image)

    def _introduce(self, subscription: Subscription, image: Image) -> None:
        """Tell the application first: it sees no message of an image it has not heard of."""
        conductor = self._conductor
        handler = subscription._available_image_handler
        try:
            if handler is not None:
                handler(image)
        except Exception as error:
            conductor.handle_error(error)
        with conductor.lock:
            if subscription.is_closed:
                image._close()
            else:
                subscription._add_image(image)

    def _on_unavailable_image(self, event: events.UnavailableImage, now_ns: int) -> None:
        conductor = self._conductor
        subscription = conductor.resources.get(event.subscription_registration_id)
        if not isinstance(subscription, Subscription):
            return
        image = subscription._remove_image(event.correlation_id)
        if image is not None:
            conductor.linger(image, subscription, now_ns)
            conductor.call_later(subscription._unavailable_image_handler, image)

    # --- counters ------------------------------------------------------------------------

    def _add_counter(self, registration: Registration, counter_id: int, is_static: bool) -> None:
        conductor = self._conductor
        counter = Counter(
            conductor,
            conductor.counters,
            counter_id,
            registration.registration_id,
            is_static=is_static,
        )
        conductor.resources[registration.registration_id] = counter
        self._complete(registration, counter)

    def _on_counter_ready(self, event: events.CounterReady, _now_ns: int) -> None:
        conductor = self._conductor
        registration = self._waiting(event.correlation_id, Kind.COUNTER)
        if registration is not None:
            if registration.abandoned:
                self._give_back(registration)
            else:
                self._add_counter(registration, event.counter_id, False)
        for handler in (
            *conductor.available_counter_handlers,
            conductor.options.on_available_counter,
        ):
            conductor.call_later(
                handler, conductor.counters, event.correlation_id, event.counter_id
            )

    def _on_static_counter_ready(self, event: events.StaticCounterReady, _now_ns: int) -> None:
        registration = self._waiting(event.correlation_id, Kind.STATIC_COUNTER)
        if registration is not None and not registration.abandoned:
            self._add_counter(registration, event.counter_id, True)

    def _on_unavailable_counter(self, event: events.UnavailableCounter, _now_ns: int) -> None:
        conductor = self._conductor
        for handler in (
            *conductor.unavailable_counter_handlers,
            conductor.options.on_unavailable_counter,
        ):
            conductor.call_later(
                handler, conductor.counters, event.registration_id, event.counter_id
            )

    # --- the client itself ---------------------------------------------------------------

    def _on_client_timeout(self, event: events.ClientTimeout, _now_ns: int) -> None:
        conductor = self._conductor
        if event.client_id == conductor.link.client_id:
            conductor.fail(
                ClientTimeoutError(
                    "the media driver counted this client as dead: its keep-alives came too late "
                    "(was the process suspended, or invoke() not called?); connect anew"
                )
            )


def _remove_publication(
    client_id: int, correlation_id: int, registration_id: int
) -> commands.Command:
    return commands.RemovePublication(client_id, correlation_id, registration_id)


_REMOVALS: dict[Kind, Callable[[int, int, int], commands.Command]] = {
    Kind.PUBLICATION: _remove_publication,
    Kind.EXCLUSIVE_PUBLICATION: _remove_publication,
    Kind.SUBSCRIPTION: commands.RemoveSubscription,
    Kind.COUNTER: commands.RemoveCounter,
}
