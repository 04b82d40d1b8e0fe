"""Network publications, the endpoints they send over, and spies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from volans.driver.conductor.channels import check_same_socket, resolve_channel
from volans.driver.conductor.errors import invalid_channel
from volans.driver.conductor.log_resources import create_log, delete_log
from volans.driver.conductor.parameters import (
    PublicationParameters,
    SubscriptionParameters,
)
from volans.driver.conductor.publication_checks import (
    check_publication_channel,
    check_same_send_timestamp,
    check_same_simulation,
    check_send_buffer,
)
from volans.driver.conductor.publication_links import (
    PublicationLink,
    check_same_stream,
    log_parameters,
    publication_position_counters,
    publication_ready,
    stream_counter,
    with_start,
)
from volans.driver.conductor.send_endpoints import SendEndpoints
from volans.driver.conductor.spies import SpyLink
from volans.driver.conductor.strategies import FlowControlChoice
from volans.driver.conductor.subscriptions import SubscriptionLink, announce_unavailable
from volans.driver.stream_owners import NetworkPublicationOwner
from volans.protocol.counter_types import (
    FLOW_CONTROL_RECEIVERS_NAME,
    SENDER_BPE_NAME,
    SENDER_LIMIT_NAME,
    SENDER_NAKS_RECEIVED_NAME,
    SENDER_POSITION_NAME,
    CounterType,
)
from volans.protocol.events import SubscriptionReady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.channels import SendEndpoint
    from volans.driver.conductor.clients import DriverClient
    from volans.driver.conductor.context import ConductorContext, WhenDone
    from volans.driver.conductor.responses import Responses
    from volans.driver.conductor.session_ids import SessionIds
    from volans.driver.raw_log import LogParameters
    from volans.driver.udp_channel import UdpChannel
    from volans.memory import MappedFile
    from volans.protocol.channel_uri import ChannelUri
    from volans.protocol.commands import AddExclusivePublication, AddPublication, AddSubscription

IPC_CHANNEL = "aeron:ipc"
NO_CHANNEL_STATUS = -1
UNICAST_RETRANSMIT_SLOTS = 1
PUBLICATION_COUNTER_COUNT = 7  # with that of flow control's receivers
NO_OWNER = -1
NO_TAG = -1


class NetworkStream:
    """A network publication of the driver with its links."""

    source_identity = IPC_CHANNEL  # spies read it on this machine
    announced_channel = IPC_CHANNEL

    def __init__(
        self,
        context: ConductorContext,
        owner: NetworkPublicationOwner,
        endpoint: SendEndpoint,
        command: AddPublication,
        session_id: int,
        is_exclusive: bool,
        parameters: PublicationParameters,
        counter_ids: tuple[int, ...],
    ) -> None:
        self._context = context
        self.owner = owner
        self.endpoint = endpoint
        self.registration_id = command.correlation_id
        self.session_id = session_id
        self.stream_id = command.stream_id
        self.is_exclusive = is_exclusive
        self.parameters = parameters
        self.log_path: str = owner.log_file.path
        self.counter_ids = counter_ids
        self.limit_counter_id = counter_ids[1]
        self.channel_status_counter_id = endpoint.status_counter_id
        self.subscriptions: dict[int, SubscriptionLink] = {}

    def join(self, link: SubscriptionLink, counter_id: int) -> int:
        return self._context.pacer.add_spy(
            self.owner,
            self._context.counters,
            counter_id,
            link.registration_id,
            link.parameters.is_tether,
            link.parameters.is_rejoin,
            self._context.now_ns,
        )

    def leave(self, link: SubscriptionLink) -> int:
        return self._context.pacer.remove_spy(self.owner, link.registration_id)

    def change_references(self, delta: int) -> None:
        self._context.pacer.change_references(self.owner, delta, self._context.now_ns)

    def revoke(self) -> None:
        self.owner.revoke()


class NetworkPublications:
    """All network publications of the driver."""

    def __init__(
        self, context: ConductorContext, session_ids: SessionIds, responses: Responses
    ) -> None:
        self._context = context
        self._session_ids = session_ids
        self._responses = responses
        self.endpoints = SendEndpoints(context)
        self._streams: dict[int, NetworkStream] = {}  # by registration id
        self._spies: dict[int, SpyLink] = {}
        self._spy_destinations: list[SpyLink] = []  # of network subscriptions

    # --- publications -------------------------------------------------------------------------

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

        def resolved(channel: UdpChannel) -> None:
            check_publication_channel(channel, command.channel)
            self._context.run(
                self._add_when_free(
                    client, command, uri, parameters, channel, is_exclusive, when_done
                )
            )

        resolve_channel(self._context, uri, resolved, when_done)

    def _add_when_free(
        self,
        client: DriverClient,
        command: AddPublication | AddExclusivePublication,
        uri: ChannelUri,
        parameters: PublicationParameters,
        channel: UdpChannel,
        is_exclusive: bool,
        when_done: WhenDone,
    ) -> Iterator[None]:
        """Task: publish once no socket that is being closed holds the address any more."""
        while self.endpoints.is_closing(channel):
            yield
        try:
            self._add_on_channel(client, command, uri, parameters, channel, is_exclusive, when_done)
        except Exception as error:  # becomes the answer to the command
            when_done(error)

    def _add_on_channel(
        self,
        client: DriverClient,
        command: AddPublication | AddExclusivePublication,
        uri: ChannelUri,
        parameters: PublicationParameters,
        channel: UdpChannel,
        is_exclusive: bool,
        when_done: WhenDone,
    ) -> None:
        context = self._context
        request = self._responses.check_publication(channel, parameters)
        endpoint = self.endpoints.find(channel)
        if endpoint is not None:
            check_same_socket(endpoint, channel, command.channel)
            check_same_send_timestamp(endpoint, channel, command.channel)
            shared = None
            if not is_exclusive:
                shared = self._find_shared(
                    endpoint, command.stream_id, parameters.response_correlation_id
                )
            if shared is not None:
                check_same_stream(uri, parameters, shared.parameters, shared.session_id)
                check_same_simulation(parameters, shared.parameters)
                self._answer(client, command, shared)
                when_done(None)
                self._link_spies(shared)
                if request is not None:
                    request.owner.announce_response(shared.session_id)
                return
            channel = endpoint.channel  # a tag alone says nothing about the way
        flow_control = FlowControlChoice.of(
            uri if uri.flow_control is not None else channel.uri,
            context.config,
            channel.has_group_semantics,
        )
        used = {
            stream.session_id
            for stream in self._streams.values()
            if stream.stream_id == command.stream_id and stream.endpoint is endpoint
        }
        if parameters.session_id in used:
            raise invalid_channel(
                f"existing publication has clashing sessionId={parameters.session_id} for "
                f"streamId={command.stream_id} channel={command.channel}"
            )
        session_id = parameters.session_id
        if session_id is None:
            session_id = self._session_ids.next(used)
        if endpoint is None:
            endpoint = self.endpoints.open(channel, command.channel, command.correlation_id)
        # Held from here on, so that nobody closes it while the log is being made.
        endpoint.user_count += 1
        try:
            check_send_buffer(endpoint, parameters, command.channel)
        except BaseException:
            self.endpoints.release(endpoint)
            raise
        parameters = with_start(context, parameters)
        log = log_parameters(
            context,
            parameters,
            registration_id=command.correlation_id,
            session_id=session_id,
            stream_id=command.stream_id,
            is_exclusive=is_exclusive,
            socket_sndbuf_length=channel.socket_sndbuf_length or 0,
            socket_rcvbuf_length=channel.socket_rcvbuf_length or 0,
            group=channel.has_group_semantics,
        )

        def done(log_file: MappedFile) -> None:
            stream = self._make_stream(
                client.client_id,
                command,
                endpoint,
                log,
                is_exclusive,
                parameters,
                flow_control,
                log_file,
            )
            self._answer(client, command, stream)
            when_done(None)
            self._link_spies(stream)
            if request is not None:
                request.owner.announce_response(stream.session_id)

        def failed(error: BaseException) -> None:
            self.endpoints.release(endpoint)
            when_done(error)

        path = context.publications_directory / f"{command.correlation_id}.logbuffer"
        create_log(context, path, log, done, failed)

    def _make_stream(
        self,
        client_id: int,
        command: AddPublication,
        endpoint: SendEndpoint,
        log: LogParameters,
        is_exclusive: bool,
        parameters: PublicationParameters,
        flow_control: FlowControlChoice,
        log_file: MappedFile,
    ) -> NetworkStream:
        context = self._context
        context.counters.require(PUBLICATION_COUNTER_COUNT)
        position_id, limit_id = publication_position_counters(
            context, client_id, command, log.session_id, is_exclusive
        )
        sender_position_id, sender_limit_id, back_pressure_id, naks_id = (
            stream_counter(context, kind, name, client_id, command, log.session_id)
            for kind, name in (
                (CounterType.SENDER_POSITION, SENDER_POSITION_NAME),
                (CounterType.SENDER_LIMIT, SENDER_LIMIT_NAME),
                (CounterType.SENDER_BPE, SENDER_BPE_NAME),
                (CounterType.SENDER_NAKS_RECEIVED, SENDER_NAKS_RECEIVED_NAME),
            )
        )
        is_group = endpoint.channel.has_group_semantics
        receivers_id = -1
        if flow_control.counts_receivers:
            receivers_id = stream_counter(
                context,
                CounterType.FLOW_CONTROL_RECEIVERS,
                FLOW_CONTROL_RECEIVERS_NAME,
                NO_OWNER,
                command,
                log.session_id,
            )
        owner = NetworkPublicationOwner(
            context.shared,
            context.counters,
            log_file,
            endpoint.owner,
            registration_id=command.correlation_id,
            session_id=log.session_id,
            stream_id=command.stream_id,
            mtu_length=parameters.mtu_length,
            start_term_id=log.start_term_id,
            start_term_offset=log.start_term_offset,
            term_window_length=parameters.publication_window_length,
            is_exclusive=is_exclusive,
            signal_eos=parameters.signal_eos,
            spies_simulate_connection=parameters.spies_simulate_connection,
            is_response=endpoint.channel.is_response,
            response_correlation_id=parameters.response_correlation_id,
            flow_control=flow_control.name,
            retransmit_window_multiple=flow_control.retransmit_window_multiple,
            group_min_size=flow_control.group_min_size,
            group_tag=flow_control.group_tag,
            receiver_timeout_ns=flow_control.receiver_timeout_ns,
            flow_control_receivers_counter_id=receivers_id,
            max_resend=parameters.max_resend if is_group else UNICAST_RETRANSMIT_SLOTS,
            linger_timeout_ns=parameters.linger_timeout_ns,
            untethered_window_limit_timeout_ns=parameters.untethered.window_limit_ns,
            untethered_linger_timeout_ns=parameters.untethered.linger_ns,
            untethered_resting_timeout_ns=parameters.untethered.resting_ns,
            publisher_position_counter_id=position_id,
            publisher_limit_counter_id=limit_id,
            sender_position_counter_id=sender_position_id,
            sender_limit_counter_id=sender_limit_id,
            back_pressure_events_counter_id=back_pressure_id,
            naks_received_counter_id=naks_id,
            now_ns=context.now_ns,
        )
        counter_ids = (
            position_id,
            limit_id,
            sender_position_id,
            sender_limit_id,
            back_pressure_id,
            naks_id,
            *(() if receivers_id < 0 else (receivers_id,)),
        )
        stream = NetworkStream(
            context,
            owner,
            endpoint,
            command,
            log.session_id,
            is_exclusive,
            parameters,
            counter_ids,
        )
        self._streams[stream.registration_id] = stream
        context.pacer.add_publication(owner)
        context.run(self._add_to_sender(stream))
        return stream

    def _add_to_sender(self, stream: NetworkStream) -> Iterator[None]:
        while not self._context.sender.add_publication(stream.owner):
            yield

    def _answer(self, client: DriverClient, command: AddPublication, stream: NetworkStream) -> None:
        client.owned[command.correlation_id] = PublicationLink(command.correlation_id, stream)
        stream.change_references(+1)
        self._context.events.send(publication_ready(command, stream))

    def _find_shared(
        self, endpoint: SendEndpoint, stream_id: int, response_correlation_id: int
    ) -> NetworkStream | None:
        for stream in self._streams.values():
            if (
                stream.endpoint is endpoint
                and stream.stream_id == stream_id
                and not stream.is_exclusive
                and stream.parameters.response_correlation_id == response_correlation_id
                and stream.owner.state_name == "ACTIVE"
            ):
                return stream
        return None

    def find(self, registration_id: int) -> NetworkStream | None:
        """The stream with that registration id."""
        return self._streams.get(registration_id)

    def with_session_of_tag(self, uri: ChannelUri) -> ChannelUri:
        """`session-id=tag:n`: session, and unless given mtu and term length, of the publication
        with entity tag n. Raises CommandRefusedError when there is none.
        """
        tag = uri.session_id_tag
        if tag is None:
            return uri
        for stream in self._streams.values():
            if stream.parameters.entity_tag == tag != NO_TAG:
                params = {
                    "mtu": str(stream.parameters.mtu_length),
                    "term-length": str(stream.parameters.term_length),
                    **uri.params,
                    "session-id": str(stream.session_id),
                }
                return replace(uri, params=params)
        raise invalid_channel(f"session-id=tag:{tag} must reference a network publication")

    def session_ids(self, stream_id: int) -> set[int]:
        """In use for a stream id."""
        return {s.session_id for s in self._streams.values() if s.stream_id == stream_id}

    def close(self) -> None:
        """The driver ends and its agents have stopped: close sockets, unmap logs."""
        self.endpoints.close_sockets()
        for stream in self._streams.values():
            stream.owner.log_file.close()

    # --- spies ----------------------------------------------------------------------------------

    def add_spy(
        self, client: DriverClient, command: AddSubscription, uri: ChannelUri, when_done: WhenDone
    ) -> None:
        """A subscription that reads an outgoing publication of this driver."""
        parameters = SubscriptionParameters.of(uri, self._context.config)

        def resolved(channel: UdpChannel) -> None:
            link = SpyLink(self, self._context, client.client_id, command, parameters, channel)
            self._start_spy(client, command, link)
            when_done(None)

        resolve_channel(self._context, uri, resolved, when_done)

    def _start_spy(self, client: DriverClient, command: AddSubscription, link: SpyLink) -> None:
        context = self._context
        self._spies[link.registration_id] = link
        client.owned[link.registration_id] = link
        context.events.send(SubscriptionReady(command.correlation_id, NO_CHANNEL_STATUS))
        self.join_existing(link)

    def add_spy_destination(
        self, client_id: int, command: AddSubscription, uri: ChannelUri, channel: UdpChannel
    ) -> SpyLink:
        """A spy as one of a network subscription's destinations; `command` is as if it were a
        subscription by itself, with that one's registration id. It reads after `join_existing`.
        """
        parameters = SubscriptionParameters.of(uri, self._context.config)
        link = SpyLink(self, self._context, client_id, command, parameters, channel)
        self._spy_destinations.append(link)
        return link

    def join_existing(self, link: SpyLink) -> None:
        """It reads the publications that are there."""
        for stream in list(self._streams.values()):
            if stream.owner.accepts_subscribers:
                self._join(link, stream)

    def _join(self, link: SpyLink, stream: NetworkStream) -> None:
        # Another destination of the same subscription may read it already.
        if link.wants(stream) and link.registration_id not in stream.subscriptions:
            link.join(stream)

    def remove_spy(self, link: SpyLink) -> None:
        if link in self._spy_destinations:
            self._spy_destinations.remove(link)
        else:
            self._spies.pop(link.registration_id, None)

    def _link_spies(self, stream: NetworkStream) -> None:
        for link in (*self._spies.values(), *self._spy_destinations):
            self._join(link, stream)

    # --- life cycle, as the pacer tells it --------------------------------------------------------

    def on_linger(self, registration_id: int) -> None:
        stream = self._streams.get(registration_id)
        if stream is not None:
            announce_unavailable(self._context, stream)

    def on_done(self, registration_id: int) -> None:
        stream = self._streams.pop(registration_id, None)
        if stream is not None:
            announce_unavailable(self._context, stream)
            self._context.run(self._close(stream))

    def _close(self, stream: NetworkStream) -> Iterator[None]:
        context = self._context
        context.pacer.remove_publication(stream.owner)
        while not context.sender.remove_publication(stream.owner):
            yield
        while not stream.owner.released:
            yield
        for counter_id in stream.counter_ids:
            context.counters.free(counter_id)
        delete_log(context, stream.owner.log_file)
        self.endpoints.release(stream.endpoint)
