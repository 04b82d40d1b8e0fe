"""A UDP channel with its names resolved: who sends to whom, and by which form it is shared.

Two channels of equal :attr:`UdpChannel.canonical_form` use one endpoint (PROTOCOL.md 10.10).
"""

from __future__ import annotations

import itertools
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from volans.driver.naming.address import SocketAddress, wildcard
from volans.protocol.channel_uri import ChannelUri, InvalidChannelError
from volans.protocol.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.naming.resolve import Resolver

TIMESTAMP_LENGTH: Final = 8
CONTROL_MODE_MANUAL: Final = "manual"
CONTROL_MODE_DYNAMIC: Final = "dynamic"
CONTROL_MODE_RESPONSE: Final = "response"

_process_wide = itertools.count()


@dataclass(frozen=True, slots=True)
class UdpChannel:
    """One resolved channel; equal and hashed by its canonical form.

    ``remote_data`` is where data goes to (or, for a receiver, comes in at); ``local_data``
    where a sender binds; the ``…_control`` addresses likewise for status messages and NAKs.
    ``control_mode`` is None, ``manual``, ``dynamic`` or ``response``. Lengths are bytes, 0
    when the channel says nothing; timestamp offsets are None when not asked for.
    """

    uri: ChannelUri
    original_uri: str
    canonical_form: str
    remote_data: SocketAddress
    local_data: SocketAddress
    remote_control: SocketAddress
    local_control: SocketAddress
    interface_index: int
    control_mode: str | None
    has_explicit_endpoint: bool
    has_explicit_control: bool
    is_multicast: bool
    multicast_ttl: int
    tag: int | None
    socket_sndbuf_length: int
    socket_rcvbuf_length: int
    receiver_window_length: int
    media_receive_timestamp_offset: int | None
    channel_receive_timestamp_offset: int | None
    channel_send_timestamp_offset: int | None

    @classmethod
    def from_uri(
        cls,
        uri: ChannelUri | str,
        resolver: Resolver,
        *,
        is_destination: bool = False,
        next_unique: Callable[[], int] | None = None,
    ) -> UdpChannel:
        """Resolve a channel; may ask name servers, so not for a conductor's thread.

        ``next_unique`` numbers channels that must not be shared (process-wide when None);
        destinations never need it. Raises InvalidChannelError, UnknownHostError among them.
        """
        original = uri if isinstance(uri, str) else str(uri)
        if isinstance(uri, str):
            uri = ChannelUri.parse(uri)
        _check_kind(uri, original)
        endpoint, control = _resolve_ends(uri, resolver)
        family = (control or endpoint or wildcard(socket.AF_INET)).family
        remote = endpoint or wildcard(family)
        is_multicast = remote.is_multicast
        if is_multicast:
            local, index = resolver.find_interface(uri.interface, remote.family)
            remote_control = multicast_control_address(remote, uri)
            canonical = f"UDP-{local}-{remote}"
        else:
            local_family = remote.family if control is None else control.family
            interface, index = resolver.resolve_interface(uri.interface, local_family)
            local = control or interface
            remote_control = remote
            suffix = ""
            if not is_destination and _must_be_unique(endpoint, control):
                suffix = _unique_suffix(uri, next_unique)
            canonical = f"UDP-{uri.control or interface}-{uri.endpoint or remote}{suffix}"
        channel = cls(
            uri=uri,
            original_uri=original,
            canonical_form=canonical,
            remote_data=remote,
            local_data=local,
            remote_control=remote_control,
            local_control=local,
            interface_index=index,
            control_mode=uri.control_mode,
            has_explicit_endpoint=endpoint is not None,
            has_explicit_control=control is not None and not is_multicast,
            is_multicast=is_multicast,
            multicast_ttl=(uri.ttl or 0) if is_multicast else 0,
            tag=uri.channel_tag,
            socket_sndbuf_length=uri.socket_sndbuf_length or 0,
            socket_rcvbuf_length=uri.socket_rcvbuf_length or 0,
            receiver_window_length=uri.receiver_window_length or 0,
            media_receive_timestamp_offset=uri.media_receive_timestamp_offset,
            channel_receive_timestamp_offset=uri.channel_receive_timestamp_offset,
            channel_send_timestamp_offset=uri.channel_send_timestamp_offset,
        )
        _check_timestamps_do_not_overlap(channel)
        return channel

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UdpChannel) and self.canonical_form == other.canonical_form

    def __hash__(self) -> int:
        return hash(self.canonical_form)

    def __str__(self) -> str:
        return self.canonical_form

    @property
    def is_manual(self) -> bool:
        """Whether destinations are added by the client."""
        return self.control_mode == CONTROL_MODE_MANUAL

    @property
    def is_dynamic(self) -> bool:
        """Whether destinations are learnt from status messages."""
        return self.control_mode == CONTROL_MODE_DYNAMIC

    @property
    def is_response(self) -> bool:
        """Whether the channel belongs to request and response."""
        return self.control_mode == CONTROL_MODE_RESPONSE

    @property
    def is_multi_destination(self) -> bool:
        """Whether a publication may send to several destinations."""
        return self.control_mode in (CONTROL_MODE_MANUAL, CONTROL_MODE_DYNAMIC)

    @property
    def has_group_semantics(self) -> bool:
        """Whether several receivers are to be expected."""
        return self.is_multicast or self.is_multi_destination

    @property
    def bind_address(self) -> SocketAddress:
        """Where a sender's socket is bound: status messages of a group come to its control."""
        return self.remote_control if self.is_multicast else self.local_control

    @property
    def is_wildcard(self) -> bool:
        """Whether neither side names an address or a port."""
        return all(
            address.is_wildcard_host and address.port == 0
            for address in (self.remote_data, self.local_data)
        )

    def matches_tag(self, existing: UdpChannel) -> bool:
        """Whether this channel means the endpoint of ``existing`` by its tag.

        Raises InvalidChannelError when the tags are equal and the rest contradicts.
        """
        if self.tag is None or self.tag != existing.tag:
            return False
        if self.control_mode is not None and self.control_mode != existing.control_mode:
            raise InvalidChannelError(
                "control-mode",
                self.original_uri,
                f"that of the channel with tag {self.tag}, {existing.original_uri}",
                ErrorCode.GENERIC_ERROR,
            )
        if not self.is_wildcard and (self.remote_data, self.local_data) != (
            existing.remote_data,
            existing.local_data,
        ):
            raise InvalidChannelError(
                None,
                self.original_uri,
                f"endpoint and control of the channel with tag {self.tag}, {existing.original_uri}",
                ErrorCode.GENERIC_ERROR,
            )
        return True


def multicast_control_address(data: SocketAddress, uri: ChannelUri) -> SocketAddress:
    """One above an odd data address. Raises InvalidChannelError for an even one."""
    packed = bytearray(data.packed_host())
    if packed[-1] & 1 == 0:
        raise InvalidChannelError(
            "endpoint",
            uri.endpoint or str(data),
            "a multicast address with an odd last byte: one above it is the control address",
        )
    packed[-1] = (packed[-1] + 1) & 0xFF
    host = socket.inet_ntop(data.family, bytes(packed))
    return SocketAddress(data.family, host, data.port, data.scope_id)


def _check_kind(uri: ChannelUri, original: str) -> None:
    if not uri.is_udp:
        raise InvalidChannelError(None, original, "aeron:udp?...")
    mode = uri.control_mode
    if mode == CONTROL_MODE_DYNAMIC and uri.control is None:
        raise InvalidChannelError(None, original, "a control address with control-mode=dynamic")
    distinguished = uri.endpoint or uri.control or uri.channel_tag is not None
    if not distinguished and mode not in (CONTROL_MODE_MANUAL, CONTROL_MODE_RESPONSE):
        raise InvalidChannelError(
            None, original, "endpoint, control, tags or control-mode=manual or response"
        )


def _resolve_ends(
    uri: ChannelUri, resolver: Resolver
) -> tuple[SocketAddress | None, SocketAddress | None]:
    control = None if uri.control is None else resolver.resolve(uri.control, "control")
    endpoint = None if uri.endpoint is None else resolver.resolve(uri.endpoint, "endpoint")
    return endpoint, control


def _must_be_unique(endpoint: SocketAddress | None, control: SocketAddress | None) -> bool:
    if endpoint is None and control is None:
        return True
    return any(address is not None and address.port == 0 for address in (endpoint, control))


def _unique_suffix(uri: ChannelUri, next_unique: Callable[[], int] | None) -> str:
    if uri.channel_tag is not None:
        return f"#{uri.channel_tag}"
    return f"-{next(_process_wide) if next_unique is None else next_unique()}"


def _check_timestamps_do_not_overlap(channel: UdpChannel) -> None:
    offsets = {
        "media-rcv-ts-offset": channel.media_receive_timestamp_offset,
        "channel-rcv-ts-offset": channel.channel_receive_timestamp_offset,
        "channel-snd-ts-offset": channel.channel_send_timestamp_offset,
    }
    for (one, first), (other, second) in itertools.combinations(offsets.items(), 2):
        if first is not None and second is not None and abs(first - second) < TIMESTAMP_LENGTH:
            raise InvalidChannelError(
                one,
                str(first),
                f"at least {TIMESTAMP_LENGTH} bytes from {other}={second}",
            )
