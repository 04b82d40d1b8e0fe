"""What IPC and network publications have in common for the control plane."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from volans.driver.conductor.errors import invalid_channel
from volans.driver.raw_log import LogParameters
from volans.protocol.counter_types import (
    PUBLISHER_LIMIT_NAME,
    PUBLISHER_POSITION_CONCURRENT_NAME,
    PUBLISHER_POSITION_EXCLUSIVE_NAME,
    CounterType,
    stream_counter_key,
    stream_counter_label,
)
from volans.protocol.events import ExclusivePublicationReady, PublicationReady

if TYPE_CHECKING:
    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.parameters import PublicationParameters
    from volans.protocol.channel_uri import ChannelUri
    from volans.protocol.commands import AddPublication

LOG_TYPE_CONCURRENT = 0
LOG_TYPE_EXCLUSIVE = 1


class PublishedStream(Protocol):
    """A publication that clients share."""

    registration_id: int
    session_id: int
    stream_id: int
    is_exclusive: bool
    log_path: str
    limit_counter_id: int
    channel_status_counter_id: int

    def change_references(self, delta: int) -> None: ...
    def revoke(self) -> None: ...


class PublicationLink:
    """One client's hold on a publication."""

    def __init__(self, registration_id: int, stream: PublishedStream) -> None:
        self.registration_id = registration_id
        self.stream = stream

    def release(self) -> None:
        self.stream.change_references(-1)


def with_start(
    context: ConductorContext, parameters: PublicationParameters
) -> PublicationParameters:
    """The initial term id is random unless the channel gives it."""
    if parameters.start is not None:
        return parameters
    initial_term_id = _int32(context.shared.random())
    return replace(parameters, start=(initial_term_id, initial_term_id, 0))


def log_parameters(
    context: ConductorContext,
    parameters: PublicationParameters,
    *,
    registration_id: int,
    session_id: int,
    stream_id: int,
    is_exclusive: bool,
    socket_sndbuf_length: int = 0,
    socket_rcvbuf_length: int = 0,
    group: bool = False,
) -> LogParameters:
    """Of a publication's log, which starts where `with_start` said."""
    assert parameters.start is not None
    initial_term_id, start_term_id, start_term_offset = parameters.start
    return LogParameters(
        correlation_id=registration_id,
        session_id=session_id,
        stream_id=stream_id,
        initial_term_id=initial_term_id,
        start_term_id=start_term_id,
        start_term_offset=start_term_offset,
        term_length=parameters.term_length,
        mtu_length=parameters.mtu_length,
        page_size=context.config.file_page_size,
        type=LOG_TYPE_EXCLUSIVE if is_exclusive else LOG_TYPE_CONCURRENT,
        publication_window_length=parameters.publication_window_length,
        socket_sndbuf_length=socket_sndbuf_length,
        os_default_socket_sndbuf_length=context.default_socket_buffer_lengths[0],
        socket_rcvbuf_length=socket_rcvbuf_length,
        os_default_socket_rcvbuf_length=context.default_socket_buffer_lengths[1],
        max_resend=parameters.channel_max_resend,
        entity_tag=parameters.entity_tag,
        response_correlation_id=parameters.response_correlation_id,
        linger_timeout_ns=parameters.linger_timeout_ns,
        untethered_window_limit_timeout_ns=parameters.untethered.window_limit_ns,
        untethered_linger_timeout_ns=parameters.untethered.linger_ns,
        untethered_resting_timeout_ns=parameters.untethered.resting_ns,
        group=group,
        rejoin=False,
        reliable=False,
        tether=False,
        is_response=parameters.is_response,
        sparse=parameters.is_sparse,
        signal_eos=parameters.signal_eos,
        spies_simulate_connection=parameters.spies_simulate_connection,
    )


def publication_position_counters(
    context: ConductorContext,
    client_id: int,
    command: AddPublication,
    session_id: int,
    is_exclusive: bool,
) -> tuple[int, int]:
    """Allocate pub-pos and pub-lmt; their counter ids."""
    position_name = (
        PUBLISHER_POSITION_EXCLUSIVE_NAME if is_exclusive else PUBLISHER_POSITION_CONCURRENT_NAME
    )
    position = stream_counter(
        context, CounterType.PUBLISHER_POSITION, position_name, client_id, command, session_id
    )
    limit = stream_counter(
        context, CounterType.PUBLISHER_LIMIT, PUBLISHER_LIMIT_NAME, client_id, command, session_id
    )
    return position, limit


def stream_counter(
    context: ConductorContext,
    counter_type: CounterType,
    name: str,
    client_id: int,
    command: AddPublication,
    session_id: int,
) -> int:
    """Allocate a counter of a publication's stream."""
    registration_id = command.correlation_id
    return context.counters.allocate(
        counter_type,
        stream_counter_key(registration_id, session_id, command.stream_id, command.channel),
        stream_counter_label(name, registration_id, session_id, command.stream_id, command.channel),
        registration_id=registration_id,
        owner_id=client_id,
    )


def publication_ready(command: AddPublication, stream: PublishedStream) -> PublicationReady:
    """The answer to an ADD_(EXCLUSIVE_)PUBLICATION."""
    kind = ExclusivePublicationReady if stream.is_exclusive else PublicationReady
    return kind(
        correlation_id=command.correlation_id,
        registration_id=stream.registration_id,
        session_id=stream.session_id,
        stream_id=stream.stream_id,
        position_limit_counter_id=stream.limit_counter_id,
        channel_status_counter_id=stream.channel_status_counter_id,
        log_file_name=stream.log_path,
    )


def check_same_stream(
    uri: ChannelUri,
    asked: PublicationParameters,
    existing: PublicationParameters,
    session_id: int,
) -> None:
    """A shared publication is asked for again: what the channel says must be what is there."""
    for key, wanted, found in (
        ("session-id", asked.session_id, session_id),
        ("mtu", asked.mtu_length, existing.mtu_length),
        ("term-length", asked.term_length, existing.term_length),
    ):
        if uri.get(key) is not None:
            _check_same(key, wanted, found)
    if asked.start is not None and existing.start is not None:
        keys = ("init-term-id", "term-id", "term-offset")
        for key, wanted, found in zip(keys, asked.start, existing.start, strict=True):
            _check_same(key, wanted, found)


def _check_same(key: str, wanted: int | None, found: int | None) -> None:
    if wanted != found:
        raise invalid_channel(
            f"existing publication has different '{key}': existing={found} requested={wanted}"
        )


def _int32(value: int) -> int:
    return ((value + (1 << 31)) % (1 << 32)) - (1 << 31)
