"""Channel URIs put together by name, each value checked when the channel is built."""

from __future__ import annotations

from typing import Self

from volans.protocol.channel_uri import MEDIA_IPC, MEDIA_UDP, ChannelUri, InvalidChannelError
from volans.protocol.units import format_duration_ns, format_size


class ChannelUriBuilder:
    """Fluent builder: ``ChannelUriBuilder.udp().endpoint("host:40123").mtu("8k").build()``.

    Sizes are bytes or texts such as ``"64k"``; durations are nanoseconds or such as ``"5s"``.
    Every method returns the builder; :meth:`build` gives a checked ChannelUri.
    """

    def __init__(self, media: str = MEDIA_UDP, *, is_spy: bool = False) -> None:
        self._media = media
        self._is_spy = is_spy
        self._params: dict[str, str] = {}

    @classmethod
    def udp(cls) -> Self:
        """Start a network channel."""
        return cls(MEDIA_UDP)

    @classmethod
    def ipc(cls) -> Self:
        """Start a shared-memory channel."""
        return cls(MEDIA_IPC)

    @classmethod
    def of(cls, channel: str | ChannelUri) -> Self:
        """Start from an existing channel."""
        uri = ChannelUri.parse(channel) if isinstance(channel, str) else channel
        builder = cls(uri.media, is_spy=uri.is_spy)
        builder._params.update(uri.params)
        return builder

    def spy(self, is_spy: bool = True) -> Self:
        """Subscribe to this driver's own outgoing stream."""
        self._is_spy = is_spy
        return self

    def set(self, key: str, value: object) -> Self:
        """Any parameter by its key in the URI; None removes it."""
        if value is None:
            self._params.pop(key, None)
            return self
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        if not key or not text or "|" in key + text or "=" in key:
            raise InvalidChannelError(key, text, "a text that is not empty, without a bar")
        self._params[key] = text
        return self

    def tags(self, channel_tag: int | None = None, entity_tag: int | None = None) -> Self:
        """Tags of the channel and of the publication or subscription."""
        entity = "" if entity_tag is None else f",{entity_tag}"
        return self.set("tags", f"{'' if channel_tag is None else channel_tag}{entity}")

    def session_id_of_tag(self, entity_tag: int) -> Self:
        """Copy session id, mtu and term length from the publication with this entity tag."""
        return self.set("session-id", f"tag:{entity_tag}")

    def start_position(self, initial_term_id: int, term_id: int, term_offset: int) -> Self:
        """Start the stream at a given place."""
        self.set("init-term-id", initial_term_id).set("term-id", term_id)
        return self.set("term-offset", term_offset)

    def build(self) -> ChannelUri:
        """The channel. Raises InvalidChannelError naming the first bad value."""
        uri = ChannelUri.parse(str(ChannelUri(self._media, self._is_spy, dict(self._params))))
        uri.validate()
        return uri

    def __str__(self) -> str:
        return str(self.build())

    def endpoint(self, value: str) -> Self:
        """``host:port`` of the data."""
        return self.set("endpoint", value)

    def interface(self, value: str) -> Self:
        """Local interface."""
        return self.set("interface", value)

    def control(self, value: str) -> Self:
        """Explicit control address, ``host:port``."""
        return self.set("control", value)

    def control_mode(self, value: str) -> Self:
        """``manual``, ``dynamic`` or ``response``."""
        return self.set("control-mode", value)

    def session_id(self, value: int) -> Self:
        """Fixed session id."""
        return self.set("session-id", value)

    def stream_id(self, value: int) -> Self:
        """Stream id carried in the channel."""
        return self.set("stream-id", value)

    def alias(self, value: str) -> Self:
        """A name for people."""
        return self.set("alias", value)

    def mtu(self, value: int | str) -> Self:
        """Longest datagram payload in bytes."""
        return self.set("mtu", _size(value))

    def term_length(self, value: int | str) -> Self:
        """Bytes of a term."""
        return self.set("term-length", _size(value))

    def linger(self, value: int | str) -> Self:
        """How long the log is kept after close, ns."""
        return self.set("linger", _duration(value))

    def sparse(self, value: bool) -> Self:
        """Whether the log file is sparse."""
        return self.set("sparse", value)

    def eos(self, value: bool) -> Self:
        """Whether the end of the stream is signalled."""
        return self.set("eos", value)

    def spies_simulate_connection(self, value: bool) -> Self:
        """Whether spies alone connect."""
        return self.set("ssc", value)

    def flow_control(self, value: str) -> Self:
        """Flow control strategy and options."""
        return self.set("fc", value)

    def max_resend(self, value: int) -> Self:
        """Concurrent retransmits."""
        return self.set("max-resend", value)

    def publication_window(self, value: int | str) -> Self:
        """Publication window in bytes."""
        return self.set("pub-wnd", _size(value))

    def ttl(self, value: int) -> Self:
        """Multicast time to live."""
        return self.set("ttl", value)

    def socket_sndbuf(self, value: int | str) -> Self:
        """Socket send buffer in bytes."""
        return self.set("so-sndbuf", _size(value))

    def socket_rcvbuf(self, value: int | str) -> Self:
        """Socket receive buffer in bytes."""
        return self.set("so-rcvbuf", _size(value))

    def receiver_window(self, value: int | str) -> Self:
        """Initial receiver window in bytes."""
        return self.set("rcv-wnd", _size(value))

    def reliable(self, value: bool) -> Self:
        """Whether gaps are asked for again."""
        return self.set("reliable", value)

    def tether(self, value: bool) -> Self:
        """Whether flow control always counts it."""
        return self.set("tether", value)

    def rejoin(self, value: bool) -> Self:
        """Whether closed images may come back."""
        return self.set("rejoin", value)

    def group(self, value: bool | str) -> Self:
        """True, False or ``infer``."""
        return self.set("group", value)

    def group_tag(self, value: int) -> Self:
        """Group tag of status messages."""
        return self.set("gtag", value)

    def congestion_control(self, value: str) -> Self:
        """Congestion control strategy."""
        return self.set("cc", value)

    def nak_delay(self, value: int | str) -> Self:
        """Delay of the first NAK, ns."""
        return self.set("nak-delay", _duration(value))

    def untethered_window_limit_timeout(self, value: int | str) -> Self:
        """Untethered window limit, ns."""
        return self.set("untethered-window-limit-timeout", _duration(value))

    def untethered_linger_timeout(self, value: int | str) -> Self:
        """Untethered linger, ns."""
        return self.set("untethered-linger-timeout", _duration(value))

    def untethered_resting_timeout(self, value: int | str) -> Self:
        """Untethered rest, ns."""
        return self.set("untethered-resting-timeout", _duration(value))

    def response_endpoint(self, value: str) -> Self:
        """``host:port`` of responses."""
        return self.set("response-endpoint", value)

    def response_correlation_id(self, value: int | str) -> Self:
        """Image to answer, or ``prototype``."""
        return self.set("response-correlation-id", value)

    def media_receive_timestamp_offset(self, value: int | str) -> Self:
        """Payload offset or ``reserved``."""
        return self.set("media-rcv-ts-offset", value)

    def channel_receive_timestamp_offset(self, value: int | str) -> Self:
        """Payload offset or ``reserved``."""
        return self.set("channel-rcv-ts-offset", value)

    def channel_send_timestamp_offset(self, value: int | str) -> Self:
        """Payload offset or ``reserved``."""
        return self.set("channel-snd-ts-offset", value)

    def ats(self, value: bool) -> Self:
        """Whether transport security is asked for."""
        return self.set("ats", value)


def _size(value: int | str) -> str:
    return value if isinstance(value, str) else format_size(value)


def _duration(value: int | str) -> str:
    return value if isinstance(value, str) else format_duration_ns(value)
