"""IPC publications and subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.errors import invalid_channel
from volans.driver.conductor.log_resources import create_log, delete_log
from volans.driver.conductor.parameters import PublicationParameters, SubscriptionParameters
from volans.driver.conductor.publication_links import (
    PublicationLink,
    check_same_stream,
    log_parameters,
    publication_position_counters,
    publication_ready,
    with_start,
)
from volans.driver.conductor.rejections import ipc_rejection_event
from volans.driver.conductor.subscriptions import SubscriptionLink, announce_unavailable
from volans.driver.stream_owners import IpcPublicationOwner
from volans.protocol.events import SubscriptionReady

if TYPE_CHECKING:
    from volans.driver.conductor.clients import DriverClient
    from volans.driver.conductor.context import ConductorContext, WhenDone
    from volans.driver.conductor.session_ids import SessionIds
    from volans.memory import MappedFile
    from volans.protocol.channel_uri import ChannelUri
    from volans.protocol.commands import AddExclusivePublication, AddPublication, AddSubscription

IPC_CHANNEL = "aeron:ipc"
PUBLICATION_COUNTER_COUNT = 2
CHANNEL_STATUS_NOT_ALLOCATED = -1


class IpcStream:
    """An IPC publication of the driver with its links."""

    source_identity = IPC_CHANNEL
    announced_channel = IPC_CHANNEL

    def __init__(
        self,
        context: ConductorContext,
        owner: IpcPublicationOwner,
        registration_id: int,
        session_id: int,
        stream_id: int,
        is_exclusive: bool,
        parameters: PublicationParameters,
        counter_ids: tuple[int, int],
    ) -> None:
        self._context = context
        self.owner = owner
        self.registration_id = registration_id
        self.session_id = session_id
        self.stream_id = stream_id
        self.is_exclusive = is_exclusive
        self.parameters = parameters
        self.log_path: str = owner.log_file.path
        self.position_counter_id, self.limit_counter_id = counter_ids
        self.channel_status_counter_id = CHANNEL_STATUS_NOT_ALLOCATED
        self.subscriptions: dict[int, SubscriptionLink] = {}
        self.cool_down_end_ns: int | None = None  # nobody may join a rejected stream before

    @property
    def accepts_subscribers(self) -> bool:
        return self.cool_down_end_ns is None and self.owner.accepts_subscribers

    def join(self, link: SubscriptionLink, counter_id: int) -> int:
        return self._context.pacer.add_ipc_subscriber(
            self.owner,
            self._context.counters,
            counter_id,
            link.registration_id,
            link.parameters.is_tether,
            link.parameters.is_rejoin,
            self._context.now_ns,
        )

    def leave(self, link: SubscriptionLink) -> int:
        return self._context.pacer.remove_ipc_subscriber(self.owner, link.registration_id)

    def change_references(self, delta: int) -> None:
        self._context.pacer.change_ipc_references(self.owner, delta, self._context.now_ns)

    def revoke(self) -> None:
        self.owner.revoke()


class IpcStreams:
    """All IPC streams of the driver."""

    def __init__(self, context: ConductorContext, session_ids: SessionIds) -> None:
        self._context = context
        self._session_ids = session_ids
        self._streams: dict[int, IpcStream] = {}  # by registration id
        self._subscriptions: dict[int, IpcSubscriptionLink] = {}
        self._destinations: list[IpcSubscriptionLink] = []  # of network subscriptions

    # --- publications -----------------------------------------------------------------------

    def add_publication(
        self,
        client: DriverClient,
        command: AddPublication | AddExclusivePublication,
        uri: ChannelUri,
        is_exclusive: bool,
        when_done: WhenDone,
    ) -> None:
        """Find or make the stream, then answer; `when_done` is called when that is finished."""
        parameters = PublicationParameters.of(uri, self._context.config)
        if not is_exclusive:
            shared = self._find_shared(command.stream_id, parameters.response_correlation_id)
            if shared is not None:
                check_same_stream(uri, parameters, shared.parameters, shared.session_id)
                self._answer(client, command, shared)
                when_done(None)
                return
        used = self.session_ids(command.stream_id)
        if parameters.session_id in used:
            raise invalid_channel(
                f"existing publication has clashing sessionId={parameters.session_id} for "
                f"streamId={command.stream_id} channel={command.channel}"
            )
        session_id = parameters.session_id
        if session_id is None:
            session_id = self._session_ids.next(used)
        parameters = with_start(self._context, parameters)
        log = log_parameters(
            self._context,
            parameters,
            registration_id=command.correlation_id,
            session_id=session_id,
            stream_id=command.stream_id,
            is_exclusive=is_exclusive,
        )

        def done(log_file: MappedFile) -> None:
            stream = self._make_stream(
                client.client_id, command, session_id, is_exclusive, parameters, log_file
            )
            self._answer(client, command, stream)
            when_done(None)
            self._bind_response(stream)
            self._link_subscriptions(stream)

        path = self._context.publications_directory / f"{command.correlation_id}.logbuffer"
        create_log(self._context, path, log, done, when_done)

    def _make_stream(
        self,
        client_id: int,
        command: AddPublication,
        session_id: int,
        is_exclusive: bool,
        parameters: PublicationParameters,
        log_file: MappedFile,
    ) -> IpcStream:
        context = self._context
        context.counters.require(PUBLICATION_COUNTER_COUNT)
        counter_ids = publication_position_counters(
            context, client_id, command, session_id, is_exclusive
        )
        position_counter_id, limit_counter_id = counter_ids
        owner = IpcPublicationOwner(
            context.shared,
            context.counters,
            log_file,
            registration_id=command.correlation_id,
            session_id=session_id,
            stream_id=command.stream_id,
            is_exclusive=is_exclusive,
            term_window_length=parameters.publication_window_length,
            publisher_position_counter_id=position_counter_id,
            publisher_limit_counter_id=limit_counter_id,
            unblock_timeout_ns=context.config.publication_unblock_timeout_ns,
            untethered_window_limit_timeout_ns=parameters.untethered.window_limit_ns,
            untethered_linger_timeout_ns=parameters.untethered.linger_ns,
            untethered_resting_timeout_ns=parameters.untethered.resting_ns,
            now_ns=context.now_ns,
        )
        stream = IpcStream(
            context,
            owner,
            command.correlation_id,
            session_id,
            command.stream_id,
            is_exclusive,
            parameters,
            counter_ids,
        )
        self._streams[stream.registration_id] = stream
        context.pacer.add_ipc_publication(owner)
        return stream

    def _answer(self, client: DriverClient, command: AddPublication, stream: IpcStream) -> None:
        client.owned[command.correlation_id] = PublicationLink(command.correlation_id, stream)
        stream.change_references(+1)
        self._context.events.send(publication_ready(command, stream))

    def _find_shared(self, stream_id: int, response_correlation_id: int) -> IpcStream | None:
        for stream in self._streams.values():
            if (
                stream.stream_id == stream_id
                and not stream.is_exclusive
                and stream.parameters.response_correlation_id == response_correlation_id
                and stream.owner.state_name == "ACTIVE"
            ):
                return stream
        return None

    def _bind_response(self, stream: IpcStream) -> None:
        """A stream that answers a request is for the subscription the request names."""
        request = self._streams.get(stream.parameters.response_correlation_id)
        if request is None:
            return
        link = self._subscriptions.get(request.parameters.response_correlation_id)
        if link is not None and link.parameters.is_response:
            link.session_id = stream.session_id

    def _link_subscriptions(self, stream: IpcStream) -> None:
        for link in (*self._subscriptions.values(), *self._destinations):
            self._join(link, stream)

    # --- subscriptions ------------------------------------------------------------------------

    def add_subscription(
        self, client: DriverClient, command: AddSubscription, uri: ChannelUri
    ) -> None:
        parameters = SubscriptionParameters.of(uri, self._context.config)
        link = IpcSubscriptionLink(self, client.client_id, command, parameters)
        self._subscriptions[link.registration_id] = link
        client.owned[link.registration_id] = link
        self._context.events.send(
            SubscriptionReady(command.correlation_id, CHANNEL_STATUS_NOT_ALLOCATED)
        )
        self.join_existing(link)

    def add_destination(
        self, client_id: int, command: AddSubscription, uri: ChannelUri
    ) -> IpcSubscriptionLink:
        """IPC as one of a network subscription's destinations; `command` is as if it were a
        subscription by itself, with that one's registration id. It reads after `join_existing`.
        """
        parameters = SubscriptionParameters.of(uri, self._context.config)
        link = IpcSubscriptionLink(self, client_id, command, parameters)
        self._destinations.append(link)
        return link

    def join_existing(self, link: IpcSubscriptionLink) -> None:
        """It reads the streams that are there."""
        for stream in list(self._streams.values()):
            if stream.accepts_subscribers:
                self._join(link, stream)

    def _join(self, link: IpcSubscriptionLink, stream: IpcStream) -> None:
        if (
            stream.stream_id == link.stream_id
            and link.accepts(stream.session_id)
            # Another destination of the same subscription may read it already.
            and link.registration_id not in stream.subscriptions
        ):
            link.join(stream)

    def remove_subscription(self, link: IpcSubscriptionLink) -> None:
        if link in self._destinations:
            self._destinations.remove(link)
        else:
            self._subscriptions.pop(link.registration_id, None)

    @property
    def context(self) -> ConductorContext:
        return self._context

    # --- rejection ----------------------------------------------------------------------------

    def reject(self, stream: IpcStream, reason: str) -> None:
        """Its subscribers lose it, its publishers hear why; it comes back after a cool-down."""
        context = self._context
        context.announce_publication_error(
            ipc_rejection_event(stream.registration_id, stream.session_id, stream.stream_id, reason)
        )
        announce_unavailable(context, stream)
        stream.cool_down_end_ns = context.now_ns + context.config.image_liveness_timeout_ns

    def end_cool_downs(self) -> None:
        """Timer: rejected streams whose time has passed may be read again."""
        for stream in list(self._streams.values()):
            if stream.cool_down_end_ns is None or self._context.now_ns <= stream.cool_down_end_ns:
                continue
            stream.cool_down_end_ns = None
            if stream.accepts_subscribers:
                self._link_subscriptions(stream)

    # --- life cycle, as the pacer tells it ------------------------------------------------------

    def on_linger(self, registration_id: int) -> None:
        """Consumers are done: their images end."""
        stream = self._streams.get(registration_id)
        if stream is not None:
            announce_unavailable(self._context, stream)

    def on_done(self, registration_id: int) -> None:
        """Nobody uses the stream: free it."""
        stream = self._streams.pop(registration_id, None)
        if stream is None:
            return
        announce_unavailable(self._context, stream)
        self._context.pacer.remove_ipc_publication(stream.owner)
        for counter_id in (stream.position_counter_id, stream.limit_counter_id):
            self._context.counters.free(counter_id)
        delete_log(self._context, stream.owner.log_file)

    def session_ids(self, stream_id: int) -> set[int]:
        """In use for a stream id."""
        return {s.session_id for s in self._streams.values() if s.stream_id == stream_id}

    def close(self) -> None:
        """The driver ends: unmap every log."""
        for stream in self._streams.values():
            stream.owner.log_file.close()

    def find(self, registration_id: int) -> IpcStream | None:
        """The stream with that image correlation id (for REJECT_IMAGE)."""
        return self._streams.get(registration_id)


class IpcSubscriptionLink(SubscriptionLink):
    """An IPC subscription of a client."""

    def __init__(
        self,
        streams: IpcStreams,
        client_id: int,
        command: AddSubscription,
        parameters: SubscriptionParameters,
    ) -> None:
        super().__init__(
            streams.context,
            client_id,
            command.correlation_id,
            command.stream_id,
            command.channel,
            parameters,
        )
        self._all = streams

    def release(self) -> None:
        self.leave_all()
        self._all.remove_subscription(self)
