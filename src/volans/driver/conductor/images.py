"""Images of remote publications: made on SETUP, announced, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.log_resources import create_log, delete_log
from volans.driver.naming.address import SocketAddress
from volans.driver.raw_log import LogParameters
from volans.driver.stream_owners import PublicationImageOwner
from volans.protocol.counter_types import (
    CUBIC_RTT_NAME,
    CUBIC_WINDOW_NAME,
    RECEIVER_HWM_NAME,
    RECEIVER_NAKS_SENT_NAME,
    RECEIVER_POSITION_NAME,
    CounterType,
    stream_counter_key,
    stream_counter_label,
)
from volans.protocol.events import UnavailableImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.agent_messages import ImageRequest
    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.network_subscriptions import (
        NetworkSubscriptionLink,
        NetworkSubscriptions,
    )
    from volans.driver.conductor.receive_endpoints import ReceiveEndpoint
    from volans.driver.conductor.subscriptions import SubscriptionLink
    from volans.memory import MappedFile

LOG_TYPE_IMAGE = 2
SETUP_FLAG_GROUP = 0x40
DATA_HEADER_LENGTH = 32
MIN_TERM_LENGTH = 64 * 1024
MAX_TERM_LENGTH = 1 << 30
FRAME_ALIGNMENT = 32
IMAGE_COUNTER_COUNT = 5  # with those of congestion control
NO_OWNER = -1


class ImageStream:
    """An image of the driver with its links."""

    def __init__(
        self,
        context: ConductorContext,
        owner: PublicationImageOwner,
        endpoint: ReceiveEndpoint,
        registration_id: int,
        request: ImageRequest,
        source_identity: str,
        channel: str,
        counter_ids: tuple[int, ...],
    ) -> None:
        self._context = context
        self.owner = owner
        self.endpoint = endpoint
        self.registration_id = registration_id
        self.session_id = request.session_id
        self.stream_id = request.stream_id
        self.setup_flags = request.setup_flags
        self.source_identity = source_identity
        self.announced_channel = channel
        self.log_path: str = owner.log_file.path
        self.counter_ids = counter_ids
        self.subscriptions: dict[int, SubscriptionLink] = {}

    def join(self, link: SubscriptionLink, counter_id: int) -> int:
        return self._context.pacer.add_image_subscriber(
            self.owner,
            self._context.counters,
            counter_id,
            link.registration_id,
            link.parameters.is_tether,
            link.parameters.is_rejoin,
            self._context.now_ns,
        )

    def leave(self, link: SubscriptionLink) -> int:
        return self._context.pacer.remove_image_subscriber(self.owner, link.registration_id)


class Images:
    """All images of the driver."""

    def __init__(self, context: ConductorContext, subscriptions: NetworkSubscriptions) -> None:
        self._context = context
        self._subscriptions = subscriptions
        self._streams: dict[int, ImageStream] = {}  # by registration (correlation) id

    def find(self, registration_id: int) -> ImageStream | None:
        return self._streams.get(registration_id)

    def close(self) -> None:
        """The driver ends: unmap every log."""
        for stream in self._streams.values():
            stream.owner.log_file.close()

    def join_existing(self, link: NetworkSubscriptionLink) -> None:
        """A new subscription reads the images that are there."""
        for stream in list(self._streams.values()):
            if (
                link.wants(stream.endpoint, stream.stream_id, stream.session_id)
                and stream.owner.accepts_subscribers
            ):
                link.join(stream)

    def on_request(self, request: ImageRequest) -> None:
        """A SETUP came: make the image, or tell the receiver that there will be none."""
        endpoint = self._subscriptions.endpoint_by_id(request.endpoint_id)
        if endpoint is None:
            return  # it is being closed; the receiver drops its sessions with it
        links = self._subscriptions.links_wanting(endpoint, request.stream_id, request.session_id)
        refusal = _refusal(request, links)
        if refusal is not None or not links:
            if refusal is not None:
                # Without the session: sources that take ever new ones must not fill the error log.
                self._context.shared.log_error(
                    f"image refused: {refusal}, stream-id={request.stream_id} "
                    f"channel={endpoint.text}",
                    self._context.now_ms,
                )
            self._context.run(self._give_up(endpoint, request))
            return
        context = self._context
        registration_id = context.next_correlation_id()
        oldest = links[0].parameters
        endpoint.user_count += 1
        log = LogParameters(
            correlation_id=registration_id,
            session_id=request.session_id,
            stream_id=request.stream_id,
            initial_term_id=request.initial_term_id,
            term_length=request.term_length,
            mtu_length=request.mtu_length,
            page_size=context.config.file_page_size,
            type=LOG_TYPE_IMAGE,
            receiver_window_length=oldest.receiver_window_length,
            socket_sndbuf_length=endpoint.channel.socket_sndbuf_length or 0,
            os_default_socket_sndbuf_length=context.default_socket_buffer_lengths[0],
            socket_rcvbuf_length=endpoint.channel.socket_rcvbuf_length or 0,
            os_default_socket_rcvbuf_length=context.default_socket_buffer_lengths[1],
            entity_tag=0,
            response_correlation_id=0,
            untethered_window_limit_timeout_ns=oldest.untethered.window_limit_ns,
            untethered_linger_timeout_ns=oldest.untethered.linger_ns,
            untethered_resting_timeout_ns=oldest.untethered.resting_ns,
            group=_is_group(endpoint, request, oldest.group),
            signal_eos=False,
            rejoin=oldest.is_rejoin,
            reliable=oldest.is_reliable,
            sparse=oldest.is_sparse,
            tether=oldest.is_tether,
            is_response=oldest.is_response,
        )

        def done(log_file: MappedFile) -> None:
            still = self._subscriptions.links_wanting(
                endpoint, request.stream_id, request.session_id
            )
            if not still:
                delete_log(context, log_file)
                context.run(self._give_up(endpoint, request))
                self._subscriptions.release_endpoint(endpoint)
                return
            self._make(registration_id, request, endpoint, still, log_file)

        def failed(error: BaseException) -> None:
            # Without the file's name, which is new each time: the source asks again and again.
            reason = error.strerror if isinstance(error, OSError) else error
            context.shared.log_error(
                f"{type(error).__name__}: cannot make an image, stream-id={request.stream_id} "
                f"channel={endpoint.text}: {reason}",
                context.now_ms,
            )
            context.run(self._give_up(endpoint, request))
            self._subscriptions.release_endpoint(endpoint)

        path = context.images_directory / f"{registration_id}.logbuffer"
        create_log(context, path, log, done, failed)

    def _give_up(self, endpoint: ReceiveEndpoint, request: ImageRequest) -> Iterator[None]:
        while not self._context.receiver.remove_init_in_progress(
            endpoint.owner, request.stream_id, request.session_id
        ):
            yield

    def _make(
        self,
        registration_id: int,
        request: ImageRequest,
        endpoint: ReceiveEndpoint,
        links: list[NetworkSubscriptionLink],
        log_file: MappedFile,
    ) -> None:
        context = self._context
        oldest = links[0]
        parameters = oldest.parameters
        context.counters.require(IMAGE_COUNTER_COUNT)
        hwm_id, position_id, naks_id = (
            context.counters.allocate(
                kind,
                stream_counter_key(
                    registration_id, request.session_id, request.stream_id, oldest.channel
                ),
                stream_counter_label(
                    name, registration_id, request.session_id, request.stream_id, oldest.channel
                ),
                registration_id=registration_id,
                owner_id=oldest.client_id,
            )
            for kind, name in (
                (CounterType.RECEIVER_HWM, RECEIVER_HWM_NAME),
                (CounterType.RECEIVER_POSITION, RECEIVER_POSITION_NAME),
                (CounterType.RECEIVER_NAKS_SENT, RECEIVER_NAKS_SENT_NAME),
            )
        )
        cubic_ids: tuple[int, ...] = ()
        if parameters.congestion_control == "cubic":
            cubic_ids = self._cubic_counters(registration_id, request, oldest.channel)
        rtt_id, window_id = cubic_ids or (-1, -1)
        source_identity = str(SocketAddress.from_sockaddr(request.source))
        is_group = _is_group(endpoint, request, parameters.group)
        delay_ns, retry_ns = self._nak_delays(parameters.is_reliable, parameters.nak_delay_ns)
        owner = PublicationImageOwner(
            context.shared,
            context.counters,
            log_file,
            endpoint.owner,
            correlation_id=registration_id,
            session_id=request.session_id,
            stream_id=request.stream_id,
            mtu_length=request.mtu_length,
            setup_flags=request.setup_flags,
            initial_position=_position(request),
            is_reliable=parameters.is_reliable,
            congestion_control=parameters.congestion_control,
            rtt_counter_id=rtt_id,
            window_counter_id=window_id,
            receiver_window_length=parameters.receiver_window_length,
            nak_delay_ns=delay_ns,
            nak_retry_delay_ns=retry_ns,
            is_multicast_backoff=is_group and parameters.is_reliable,
            destination_id=request.destination_id,
            control=request.control,
            source=request.source,
            source_identity=source_identity,
            channel=oldest.channel,
            untethered_window_limit_timeout_ns=parameters.untethered.window_limit_ns,
            untethered_linger_timeout_ns=parameters.untethered.linger_ns,
            untethered_resting_timeout_ns=parameters.untethered.resting_ns,
            hwm_counter_id=hwm_id,
            position_counter_id=position_id,
            naks_sent_counter_id=naks_id,
            now_ns=context.now_ns,
        )
        stream = ImageStream(
            context,
            owner,
            endpoint,
            registration_id,
            request,
            source_identity,
            oldest.channel,
            (hwm_id, position_id, naks_id, *cubic_ids),
        )
        self._streams[registration_id] = stream
        for link in links:
            link.join(stream)
        context.pacer.add_image(owner)
        context.run(self._add_to_receiver(stream))

    def _cubic_counters(
        self, registration_id: int, request: ImageRequest, channel: str
    ) -> tuple[int, ...]:
        """Of the round trip and of the window."""
        stream = (registration_id, request.session_id, request.stream_id, channel)
        return tuple(
            self._context.counters.allocate(
                CounterType.PER_IMAGE,
                stream_counter_key(*stream),
                stream_counter_label(name, *stream),
                registration_id=registration_id,
                owner_id=NO_OWNER,
            )
            for name in (CUBIC_RTT_NAME, CUBIC_WINDOW_NAME)
        )

    def _add_to_receiver(self, stream: ImageStream) -> Iterator[None]:
        while not self._context.receiver.add_image(stream.endpoint.owner, stream.owner):
            yield

    def _nak_delays(self, is_reliable: bool, channel_delay_ns: int | None) -> tuple[int, int]:
        if not is_reliable:
            return 0, 0  # gaps are filled at once
        config = self._context.config
        delay_ns = config.nak_unicast_delay_ns if channel_delay_ns is None else channel_delay_ns
        return delay_ns, delay_ns * config.nak_unicast_retry_delay_ratio

    # --- life cycle, as the pacer tells it --------------------------------------------------------

    def on_linger(self, registration_id: int) -> None:
        """The stream ended or fell silent: its subscribers lose it, and it may come back."""
        stream = self._streams.get(registration_id)
        if stream is None:
            return
        rejoin = True
        for link in list(stream.subscriptions.values()):
            rejoin = link.parameters.is_rejoin
            self._context.events.send(
                UnavailableImage(
                    registration_id, link.registration_id, stream.stream_id, link.channel
                )
            )
            link.leave(stream)
        if rejoin:
            self._context.run(self._end_cool_down(stream))

    def _end_cool_down(self, stream: ImageStream) -> Iterator[None]:
        while not self._context.receiver.remove_cool_down(
            stream.endpoint.owner, stream.stream_id, stream.session_id
        ):
            yield

    def on_done(self, registration_id: int) -> None:
        stream = self._streams.pop(registration_id, None)
        if stream is not None:
            self._context.run(self._close(stream))

    def _close(self, stream: ImageStream) -> Iterator[None]:
        context = self._context
        context.pacer.remove_image(stream.owner)
        while not stream.owner.released:
            yield
        for link in list(stream.subscriptions.values()):
            link.leave(stream)
        for counter_id in stream.counter_ids:
            context.counters.free(counter_id)
        delete_log(context, stream.owner.log_file)
        self._subscriptions.release_endpoint(stream.endpoint)


def _position(request: ImageRequest) -> int:
    """Stream position of the SETUP's active term and offset."""
    terms = (request.active_term_id - request.initial_term_id) & 0xFFFF_FFFF
    return terms * request.term_length + request.term_offset


def _is_group(endpoint: ReceiveEndpoint, request: ImageRequest, group: str) -> bool:
    if group == "infer":
        return endpoint.channel.is_multicast or bool(request.setup_flags & SETUP_FLAG_GROUP)
    return group == "true"


def _refusal(request: ImageRequest, links: list[NetworkSubscriptionLink]) -> str | None:
    """Why no image can be made of a SETUP, or None. Its values come from the network."""
    term_length, mtu = request.term_length, request.mtu_length
    if not MIN_TERM_LENGTH <= term_length <= MAX_TERM_LENGTH or term_length & (term_length - 1):
        return f"term length {term_length} is not a power of two from 64k to 1g"
    if mtu <= DATA_HEADER_LENGTH or mtu % FRAME_ALIGNMENT:
        return f"mtu {mtu} is not a multiple of 32 above 32"
    if request.term_offset < 0 or request.term_offset > term_length:
        return f"term offset {request.term_offset} is outside of the term"
    if (request.active_term_id - request.initial_term_id) & 0x8000_0000:
        return f"term id {request.active_term_id} is before {request.initial_term_id}"
    if links and mtu > links[0].parameters.receiver_window_length:
        return (
            f"mtu {mtu} is more than the receiver window "
            f"{links[0].parameters.receiver_window_length}: raise rcv-wnd"
        )
    return None
