"""What a channel URI and the driver's configuration together say of a publication or a
subscription.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from volans.driver.conductor.errors import CommandRefusedError, invalid_channel
from volans.driver.conductor.strategies import congestion_control_name, strategy_name
from volans.protocol.channel_uri import PROTOTYPE_CORRELATION_ID

if TYPE_CHECKING:
    from volans.driver.config import DriverConfig
    from volans.protocol.channel_uri import ChannelUri

NULL_VALUE = -1
TERM_MIN_LENGTH = 64 * 1024
# What `strategy_name` may give; the registries of the two folders hold their code.
FLOW_CONTROLS = ("unicast", "max", "min", "tagged")
CONGESTION_CONTROLS = ("static", "cubic")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UntetheredTimeouts:
    """How long an untethered subscriber may lag, linger and rest (nanoseconds)."""

    window_limit_ns: int
    linger_ns: int
    resting_ns: int

    @classmethod
    def of(cls, uri: ChannelUri, config: DriverConfig) -> UntetheredTimeouts:
        window_limit = _given(
            uri.untethered_window_limit_timeout_ns, config.untethered_window_limit_timeout_ns
        )
        linger = uri.untethered_linger_timeout_ns
        if linger is None:
            linger = config.untethered_linger_timeout_ns
        return cls(
            window_limit,
            window_limit if linger is None else linger,
            _given(uri.untethered_resting_timeout_ns, config.untethered_resting_timeout_ns),
        )


@dataclass(frozen=True, slots=True)
class PublicationParameters:
    """Of one publication. Lengths in bytes, time-outs in nanoseconds."""

    term_length: int
    mtu_length: int
    publication_window_length: int
    start: tuple[int, int, int] | None  # initial term id, term id, term offset
    session_id: int | None
    linger_timeout_ns: int
    is_sparse: bool
    signal_eos: bool
    spies_simulate_connection: bool
    entity_tag: int
    response_correlation_id: int  # of a request: the subscription; of a response: the image
    is_response: bool
    max_resend: int
    channel_max_resend: int  # 0 unless the channel gives it
    untethered: UntetheredTimeouts

    @classmethod
    def of(cls, uri: ChannelUri, config: DriverConfig) -> PublicationParameters:
        """Raises InvalidChannelError or CommandRefusedError."""
        refuse_unsupported(uri)
        is_ipc = uri.is_ipc
        term_length = _given(
            uri.term_length, config.ipc_term_buffer_length if is_ipc else config.term_buffer_length
        )
        response_correlation_id = _given(uri.response_correlation_id, NULL_VALUE)
        is_response = uri.control_mode == "response"
        if is_response and response_correlation_id == PROTOTYPE_CORRELATION_ID and uri.is_udp:
            term_length = TERM_MIN_LENGTH  # it holds the channel open and carries nothing
        mtu_length = _given(uri.mtu_length, config.ipc_mtu_length if is_ipc else config.mtu_length)
        return cls(
            term_length=term_length,
            mtu_length=mtu_length,
            publication_window_length=_publication_window(uri, config, term_length, mtu_length),
            start=uri.start_position(term_length),
            session_id=uri.session_id,
            linger_timeout_ns=_given(uri.linger_timeout_ns, config.publication_linger_timeout_ns),
            is_sparse=_given(uri.is_sparse, config.term_buffer_sparse_file),
            signal_eos=_given(uri.signal_eos, True),
            spies_simulate_connection=_given(
                uri.spies_simulate_connection, config.spies_simulate_connection
            ),
            entity_tag=_given(uri.entity_tag, NULL_VALUE),
            response_correlation_id=response_correlation_id,
            is_response=is_response,
            max_resend=_given(uri.max_resend, config.max_resend),
            channel_max_resend=_given(uri.max_resend, 0),
            untethered=UntetheredTimeouts.of(uri, config),
        )


@dataclass(frozen=True, slots=True)
class SubscriptionParameters:
    """Of one subscription."""

    session_id: int | None
    is_reliable: bool
    is_sparse: bool
    is_tether: bool
    is_rejoin: bool
    group: str
    receiver_window_length: int
    group_tag: int | None
    nak_delay_ns: int | None
    congestion_control: str
    is_response: bool  # of the one session that answers this client's request
    untethered: UntetheredTimeouts

    @classmethod
    def of(cls, uri: ChannelUri, config: DriverConfig) -> SubscriptionParameters:
        """Raises InvalidChannelError or CommandRefusedError."""
        refuse_unsupported(uri)
        window = _given(uri.receiver_window_length, config.initial_window_length)
        socket_rcvbuf = uri.socket_rcvbuf_length
        if socket_rcvbuf and window > socket_rcvbuf:
            raise invalid_channel(
                f"rcv-wnd={window} is more than so-rcvbuf={socket_rcvbuf}: lower the window or "
                "raise the socket buffer"
            )
        return cls(
            session_id=uri.session_id,
            is_reliable=_given(uri.is_reliable, config.reliable_stream),
            is_sparse=_given(uri.is_sparse, config.term_buffer_sparse_file),
            is_tether=_given(uri.is_tether, config.tether_subscriptions),
            is_rejoin=_given(uri.is_rejoin, config.rejoin_stream),
            group=_given(uri.group, config.receiver_group_consideration),
            receiver_window_length=window,
            group_tag=_given(uri.group_tag, config.receiver_group_tag),
            nak_delay_ns=uri.nak_delay_ns,
            congestion_control=congestion_control_name(uri, config),
            is_response=uri.control_mode == "response" and not uri.is_spy,
            untethered=UntetheredTimeouts.of(uri, config),
        )


def refuse_unsupported(uri: ChannelUri) -> None:
    """Refuse what this driver does not do, rather than do something else."""
    if uri.session_id_tag is not None:
        raise invalid_channel(f"session-id=tag:{uri.session_id_tag} is for publications only")


def _given(value: T | None, default: T) -> T:
    return default if value is None else value


def _publication_window(
    uri: ChannelUri, config: DriverConfig, term_length: int, mtu_length: int
) -> int:
    window = uri.publication_window_length
    if window is None:
        configured = (
            config.ipc_publication_window_length if uri.is_ipc else config.publication_window_length
        )
        return min(term_length // 2, configured) if configured else term_length // 2
    if not mtu_length <= window <= term_length // 2:
        raise invalid_channel(
            f"pub-wnd={window} must be from mtu={mtu_length} to half of term-length={term_length}"
        )
    return window


__all__ = [
    "CommandRefusedError",
    "PublicationParameters",
    "SubscriptionParameters",
    "UntetheredTimeouts",
    "refuse_unsupported",
    "strategy_name",
]
