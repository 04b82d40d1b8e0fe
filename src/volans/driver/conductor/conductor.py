"""The control plane's duty cycle: commands of clients, messages of agents, timers.

Runs with the GIL on one thread; nothing on a data path waits for it. A command that needs the
native-resource agent (a
name to resolve, a log file to make) holds back the commands behind it, so that clients see their
commands done in order.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from volans.driver.agent_messages import (
    ImageRequest,
    PublicationError,
    ResponseConnected,
    ResponseSetup,
    SilentPeer,
    SlowSubscriber,
    StreamChange,
    SubscriberChange,
    decode_agent_message,
)
from volans.driver.conductor.clients import Clients
from volans.driver.conductor.counters import ClientCounters
from volans.driver.conductor.destinations import PublicationDestinations
from volans.driver.conductor.errors import CommandRefusedError, not_supported
from volans.driver.conductor.ipc_streams import IPC_CHANNEL, IpcStreams
from volans.driver.conductor.network_publications import NetworkPublications
from volans.driver.conductor.network_subscriptions import NetworkSubscriptions
from volans.driver.conductor.publication_links import PublicationLink
from volans.driver.conductor.re_resolution import ReResolution
from volans.driver.conductor.receive_destinations import SubscriptionDestinations
from volans.driver.conductor.rejections import publication_error_event, reject_image
from volans.driver.conductor.responses import Responses
from volans.driver.conductor.session_ids import SessionIds
from volans.driver.conductor.slow_subscribers import SlowSubscribers
from volans.driver.conductor.subscriptions import SubscriptionLink
from volans.driver.conductor.tethering import on_subscriber_change
from volans.driver.event_log_names import (
    IMAGE_CLEANUP,
    PUBLICATION_CLEANUP,
    SUBSCRIPTION_CLEANUP,
)
from volans.memory.errors import StorageSpaceError
from volans.protocol import commands as c
from volans.protocol.channel_uri import ChannelUri, InvalidChannelError
from volans.protocol.counter_types import SystemCounter
from volans.protocol.error_codes import ErrorCode
from volans.protocol.events import NextAvailableSessionId

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.conductor.context import ConductorContext, WhenDone

COMMAND_DRAIN_LIMIT = 32
CLEANUPS = {
    "ipc_done": PUBLICATION_CLEANUP,
    "publication_done": PUBLICATION_CLEANUP,
    "image_done": IMAGE_CLEANUP,
}
NULL_VALUE = -1


class Conductor:
    """Handles what clients ask and agents report.

    Args:
        context: the driver's parts.
        session_id_seed: where session ids start.
        on_terminate: called with the token of TERMINATE_DRIVER.
    """

    def __init__(
        self,
        context: ConductorContext,
        session_id_seed: int,
        on_terminate: Callable[[bytes], None],
    ) -> None:
        config = context.config
        session_ids = SessionIds(
            session_id_seed,
            config.publication_reserved_session_id_low,
            config.publication_reserved_session_id_high,
        )
        self._context = context
        self._session_ids = session_ids
        self._on_terminate = on_terminate
        self._clients = Clients(context)
        self._counters = ClientCounters(context)
        self._ipc = IpcStreams(context, session_ids)
        self._subscriptions = NetworkSubscriptions(context)
        self._responses = Responses(self._subscriptions)
        self._publications = NetworkPublications(context, session_ids, self._responses)
        self._destinations = PublicationDestinations(context, self._publications)
        self._receive_destinations = SubscriptionDestinations(
            context, self._subscriptions, self._publications, self._ipc
        )
        self._slow_subscribers = SlowSubscribers(context)
        self._re_resolution = ReResolution(
            context, self._publications, self._subscriptions, self._destinations
        )
        self._command_in_progress = False
        self._corrupt_record_count = 0
        self._timer_deadline_ns: int | None = None
        self._last_consumer_position = NULL_VALUE
        self._consumer_moved_ns = 0
        self._stream_changes: dict[str, Callable[[int], None]] = {
            "ipc_linger": self._ipc.on_linger,
            "ipc_done": self._ipc.on_done,
            "publication_linger": self._publications.on_linger,
            "publication_done": self._publications.on_done,
            "image_linger": self._subscriptions.images.on_linger,
            "image_done": self._subscriptions.images.on_done,
        }
        self._handlers: dict[type[c.Command], Callable[[Any, WhenDone], None]] = {
            c.AddPublication: self._add_publication,
            c.AddExclusivePublication: self._add_publication,
            c.RemovePublication: self._remove_publication,
            c.AddSubscription: self._add_subscription,
            c.RemoveSubscription: self._remove_subscription,
            c.AddCounter: self._add_counter,
            c.AddStaticCounter: self._add_static_counter,
            c.RemoveCounter: self._remove_counter,
            c.ClientKeepalive: self._client_keepalive,
            c.ClientClose: self._client_close,
            c.TerminateDriver: self._terminate_driver,
            c.RejectImage: self._reject_image,
            c.AddDestination: self._destinations.add,
            c.RemoveDestination: self._destinations.remove,
            c.AddReceiveDestination: self._receive_destinations.add,
            c.RemoveReceiveDestination: self._receive_destinations.remove,
            c.RemoveDestinationById: self._destinations.remove_by_id,
            c.GetNextAvailableSessionId: self._next_session_id,
        }

    @property
    def has_waiting_tasks(self) -> bool:
        """Whether the next duty cycle has something to look after without a message coming."""
        return bool(self._context.tasks) or self._context.names is not None

    @property
    def client_count(self) -> int:
        """Clients known to the driver."""
        return len(self._clients)

    def channel_of(self, registration_id: int) -> str | None:
        """The channel of a publication or an image, None when it is gone. Any thread."""
        network = self._publications.find(registration_id) or self._subscriptions.images.find(
            registration_id
        )
        if network is not None:
            return network.endpoint.text
        return IPC_CHANNEL if self._ipc.find(registration_id) is not None else None

    def do_work(self, now_ns: int, now_ms: int) -> int:
        """One duty cycle; work count. Time is an argument."""
        context = self._context
        context.now_ns = now_ns
        context.now_ms = now_ms
        work = context.resources.poll()
        work += self._handle_agent_messages()
        if context.names is not None:
            work += context.names.do_work(now_ns, now_ms)
        if context.tasks:
            work += context.run_tasks()
        if not self._command_in_progress:
            work += context.commands.read(self._on_command_message, limit=1)
        for _ in range(COMMAND_DRAIN_LIMIT - 1):
            if self._command_in_progress or not context.commands.read(
                self._on_command_message, limit=1
            ):
                break
            work += 1
        if self._timer_deadline_ns is None or now_ns >= self._timer_deadline_ns:
            self._timer_deadline_ns = now_ns + context.config.timer_interval_ns
            self._on_timer()
            work += 1
        return work

    def close(self) -> None:
        """The agents have stopped: close sockets, unmap logs. Files stay for tools to read."""
        self._ipc.close()
        self._publications.close()
        self._subscriptions.close()

    # --- agents ----------------------------------------------------------------------------------

    def _handle_agent_messages(self) -> int:
        messages = self._context.shared.drain_to_control()
        for msg_type_id, payload in messages:
            try:
                self._on_agent_message(decode_agent_message(msg_type_id, payload))
            except Exception as error:  # the messages behind it must not be lost
                self._log_error(error)
        return len(messages)

    def _on_agent_message(
        self,
        message: StreamChange
        | SubscriberChange
        | SlowSubscriber
        | SilentPeer
        | ImageRequest
        | ResponseSetup
        | ResponseConnected
        | PublicationError,
    ) -> None:
        if isinstance(message, StreamChange):
            if message.change in CLEANUPS:
                self._context.tell(
                    CLEANUPS[message.change], f"registrationId={message.registration_id}"
                )
            self._stream_changes[message.change](message.registration_id)
        elif isinstance(message, SubscriberChange):
            stream = (
                self._ipc.find(message.registration_id)
                or self._publications.find(message.registration_id)
                or self._subscriptions.images.find(message.registration_id)
            )
            on_subscriber_change(self._context, stream, message)
        elif isinstance(message, SlowSubscriber):
            self._slow_subscribers.on_report(message)
        elif isinstance(message, SilentPeer):
            self._re_resolution.on_silent_peer(message)
        elif isinstance(message, ImageRequest):
            self._subscriptions.images.on_request(message)
        elif isinstance(message, ResponseSetup):
            self._responses.on_setup(message)
        elif isinstance(message, ResponseConnected):
            self._responses.on_connected(message)
        else:
            self._context.announce_publication_error(publication_error_event(message))

    # --- commands --------------------------------------------------------------------------------

    def _on_command_message(self, msg_type_id: int, payload: memoryview) -> None:
        if self._context.event_log is not None:
            self._context.event_log.on_command(self._context.now_ns, msg_type_id, payload)
        try:
            command = c.decode_command(msg_type_id, payload)
        except (c.MalformedCommandError, c.UnknownCommandError) as error:
            self._log_error(error)
            if error.correlation_id is not None:
                self._context.events.error(error.correlation_id, error.error_code, str(error))
            return
        self._command_in_progress = True

        def when_done(error: BaseException | None) -> None:
            self._command_in_progress = False
            if error is not None:
                self._refuse(command, error)

        try:
            self._clients.check_id_is_new(command)
            handler = self._handlers.get(type(command))
            if handler is None:
                raise not_supported(f"{type(command).__name__} is not supported by this driver")
            handler(command, when_done)
        except Exception as error:  # whatever it was, the client gets an answer
            when_done(error)

    def _refuse(self, command: c.Command, error: BaseException) -> None:
        self._log_error(error)
        self._context.events.error(command.correlation_id, _error_code(error), str(error))

    def _log_error(self, error: BaseException) -> None:
        self._context.shared.log_error(f"{type(error).__name__}: {error}", self._context.now_ms)

    def _add_publication(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.AddPublication)
        uri = ChannelUri.parse(command.channel)
        uri.validate()
        if uri.is_spy:
            raise InvalidChannelError(None, command.channel, "aeron-spy: for subscriptions only")
        uri = self._publications.with_session_of_tag(uri)
        client = self._clients.get_or_add(command.client_id)
        streams = self._ipc if uri.is_ipc else self._publications
        is_exclusive = isinstance(command, c.AddExclusivePublication)
        streams.add_publication(client, command, uri, is_exclusive, when_done)

    def _remove_publication(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.RemovePublication)
        client = self._clients.get(command.client_id)
        link = client.owned.get(command.registration_id) if client is not None else None
        if client is None or not isinstance(link, PublicationLink):
            raise CommandRefusedError(
                ErrorCode.UNKNOWN_PUBLICATION,
                f"unknown publication client_id={command.client_id} "
                f"registration_id={command.registration_id}",
            )
        del client.owned[command.registration_id]
        if command.revoke:
            link.stream.revoke()
        link.release()
        self._context.events.success(command.correlation_id)
        when_done(None)

    def _add_subscription(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.AddSubscription)
        uri = ChannelUri.parse(command.channel)
        uri.validate()
        client = self._clients.get_or_add(command.client_id)
        if uri.is_spy:
            if uri.is_ipc:
                raise InvalidChannelError(None, command.channel, "aeron-spy: before aeron:udp")
            self._publications.add_spy(client, command, uri, when_done)
        elif uri.is_ipc:
            self._ipc.add_subscription(client, command, uri)
            when_done(None)
        else:
            self._subscriptions.add(client, command, uri, when_done)

    def _remove_subscription(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.RemoveSubscription)
        client = self._clients.get(command.client_id)
        link = client.owned.get(command.registration_id) if client is not None else None
        if client is None or not isinstance(link, SubscriptionLink):
            raise CommandRefusedError(
                ErrorCode.UNKNOWN_SUBSCRIPTION,
                f"unknown subscription client_id={command.client_id} "
                f"registration_id={command.registration_id}",
            )
        client.owned.pop(command.registration_id).release()
        self._context.tell(
            SUBSCRIPTION_CLEANUP, f"registrationId={link.registration_id} streamId={link.stream_id}"
        )
        self._context.events.success(command.correlation_id)
        when_done(None)

    def _add_counter(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.AddCounter)
        self._counters.add(self._clients.get_or_add(command.client_id), command)
        when_done(None)

    def _add_static_counter(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.AddStaticCounter)
        self._clients.get_or_add(command.client_id)
        self._counters.add_static(command)
        when_done(None)

    def _remove_counter(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.RemoveCounter)
        client = self._clients.get(command.client_id)
        self._counters.remove(client, command.registration_id)
        self._context.events.success(command.correlation_id)
        when_done(None)

    def _client_keepalive(self, command: c.Command, when_done: WhenDone) -> None:
        self._clients.keep_alive(command.client_id)
        when_done(None)

    def _client_close(self, command: c.Command, when_done: WhenDone) -> None:
        self._clients.close(command.client_id)
        when_done(None)

    def _terminate_driver(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.TerminateDriver)
        self._on_terminate(command.token)
        when_done(None)

    def _next_session_id(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.GetNextAvailableSessionId)
        used = self._ipc.session_ids(command.stream_id) | self._publications.session_ids(
            command.stream_id
        )
        self._context.events.send(
            NextAvailableSessionId(command.correlation_id, self._session_ids.next(used))
        )
        when_done(None)

    def _reject_image(self, command: c.Command, when_done: WhenDone) -> None:
        assert isinstance(command, c.RejectImage)
        reject_image(self._context, self._subscriptions.images, self._ipc, command)
        self._context.events.success(command.correlation_id)
        when_done(None)

    # --- timers ----------------------------------------------------------------------------------

    def _on_timer(self) -> None:
        # What a command under way adds must find its client, to go with it later.
        if not self._command_in_progress:
            self._clients.check_liveness()
        self._ipc.end_cool_downs()
        self._destinations.retry_unresolved()
        self._re_resolution.on_timer()
        self._check_for_blocked_command()
        self._check_for_corrupt_records()

    def _check_for_corrupt_records(self) -> None:
        """Commands were lost by it: whoever misses an answer must be able to learn why."""
        if self._context.commands.corrupt_record_count != self._corrupt_record_count:
            self._corrupt_record_count = self._context.commands.corrupt_record_count
            self._context.shared.log_error(
                "corrupt record in the to-driver command buffer: a client wrote a length that no "
                "record can have; the commands behind it were skipped",
                self._context.now_ms,
            )

    def _check_for_blocked_command(self) -> None:
        """A client that died while it wrote a command must not block the others (PROTOCOL.md
        section 4).
        """
        context = self._context
        position = context.commands.consumer_position
        if position != self._last_consumer_position or (
            context.commands.producer_position == position
        ):
            self._last_consumer_position = position
            self._consumer_moved_ns = context.now_ns
        elif (
            not self._command_in_progress
            and context.now_ns - self._consumer_moved_ns > context.config.client_liveness_timeout_ns
            and context.commands.unblock()
        ):
            context.shared.add_to_system_counter(SystemCounter.UNBLOCKED_COMMANDS)
            self._consumer_moved_ns = context.now_ns


def _error_code(error: BaseException) -> ErrorCode:
    if isinstance(error, CommandRefusedError | InvalidChannelError):
        return ErrorCode(error.error_code)
    if isinstance(error, StorageSpaceError):
        return ErrorCode.STORAGE_SPACE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.ENOMEM):
        return ErrorCode.STORAGE_SPACE
    return ErrorCode.GENERIC_ERROR
