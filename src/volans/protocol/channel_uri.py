"""Channel URIs: ``aeron:udp?endpoint=localhost:40123|mtu=8k`` (FEATURES.md section 2).

Parsing keeps every parameter, known or not, in the order written; the typed getters judge a
value when it is asked for, so that a channel says the same to every reader.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from volans.errors import VolansError
from volans.protocol.error_codes import ErrorCode
from volans.protocol.units import (
    INT64_MAX,
    UnitError,
    parse_bool,
    parse_duration_ns,
    parse_integer,
    parse_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.protocol.channel_uri_builder import ChannelUriBuilder

__all__ = ["ChannelUri", "ChannelUriBuilder", "InvalidChannelError"]

MAX_LENGTH: Final = 4095  # bytes
SPY_PREFIX: Final = "aeron-spy:"
SCHEME: Final = "aeron:"
MEDIA_UDP: Final = "udp"
MEDIA_IPC: Final = "ipc"
CONTROL_MODES: Final = ("manual", "dynamic", "response")
GROUP_MODES: Final = ("true", "false", "infer")
RESERVED_VALUE_OFFSET: Final = -8  # timestamp offset "reserved": into the reserved value
PROTOTYPE_CORRELATION_ID: Final = -2  # response-correlation-id "prototype"
DATA_HEADER_LENGTH: Final = 32
FRAME_ALIGNMENT: Final = 32
MAX_MTU_LENGTH: Final = 65504
MIN_TERM_LENGTH: Final = 64 * 1024
MAX_TERM_LENGTH: Final = 1 << 30
MAX_RESEND_LIMIT: Final = 256
_INT32_MIN: Final = -(1 << 31)
_INT32_MAX: Final = (1 << 31) - 1

PARAMETERS: Final = (
    "endpoint",
    "interface",
    "control",
    "control-mode",
    "tags",
    "session-id",
    "stream-id",
    "alias",
    "mtu",
    "term-length",
    "init-term-id",
    "term-id",
    "term-offset",
    "linger",
    "sparse",
    "eos",
    "ssc",
    "fc",
    "max-resend",
    "pub-wnd",
    "ttl",
    "so-sndbuf",
    "so-rcvbuf",
    "rcv-wnd",
    "reliable",
    "tether",
    "rejoin",
    "group",
    "gtag",
    "cc",
    "nak-delay",
    "untethered-window-limit-timeout",
    "untethered-linger-timeout",
    "untethered-resting-timeout",
    "response-endpoint",
    "response-correlation-id",
    "media-rcv-ts-offset",
    "channel-rcv-ts-offset",
    "channel-snd-ts-offset",
    "ats",
)

_T = TypeVar("_T")


class InvalidChannelError(VolansError, ValueError):
    """A channel URI, or the value of one of its parameters, is not valid.

    Attributes: ``parameter`` (None for the URI as a whole), ``value``, ``allowed`` (what would
    do) and ``error_code``, which a media driver answers with.
    """

    def __init__(
        self,
        parameter: str | None,
        value: str,
        allowed: str,
        error_code: ErrorCode = ErrorCode.INVALID_CHANNEL,
    ) -> None:
        self.parameter = parameter
        self.value = value
        self.allowed = allowed
        self.error_code = error_code
        # ASCII only: the text goes to clients of all kinds.
        shown = ascii(value if len(value) <= 200 else value[:200] + "...")
        super().__init__(f"invalid channel: {parameter or 'URI'}={shown}, allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class ChannelUri:
    """A parsed channel. Getters give None for a parameter that is absent.

    ``media`` is ``"udp"`` or ``"ipc"``; ``is_spy`` tells the ``aeron-spy:`` prefix; ``params``
    are the parameters in the order written. ``str(uri)`` is the URI again.
    """

    media: str
    is_spy: bool = False
    params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ChannelUri:
        """The channel of a text of at most 4095 bytes; InvalidChannelError when it is none."""
        length_bytes = len(text.encode("utf-8", "surrogatepass"))
        if length_bytes > MAX_LENGTH:
            raise InvalidChannelError(None, text, f"at most {MAX_LENGTH} bytes, not {length_bytes}")
        if not text.isprintable() and any(c < " " or c == "\x7f" for c in text):
            raise InvalidChannelError(None, text, "no control characters")
        is_spy = text.startswith(SPY_PREFIX)
        rest = text[len(SPY_PREFIX) :] if is_spy else text
        head, _, query = rest.partition("?")
        media = head[len(SCHEME) :]
        if not head.startswith(SCHEME) or media not in (MEDIA_UDP, MEDIA_IPC):
            raise InvalidChannelError(
                None, text, "aeron:udp?key=value|... or aeron:ipc, optionally after aeron-spy:"
            )
        return cls(media, is_spy, _parse_parameters(text, query))

    def __str__(self) -> str:
        start = f"{SPY_PREFIX if self.is_spy else ''}{SCHEME}{self.media}"
        if not self.params:
            return start
        return start + "?" + "|".join(f"{key}={value}" for key, value in self.params.items())

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def is_udp(self) -> bool:
        """Whether the medium is the network."""
        return self.media == MEDIA_UDP

    @property
    def is_ipc(self) -> bool:
        """Whether the medium is shared memory."""
        return self.media == MEDIA_IPC

    def get(self, key: str, default: str | None = None) -> str | None:
        """The text of a parameter as written, or ``default``."""
        return self.params.get(key, default)

    # --- Addresses -------------------------------------------------------------------------

    @property
    def endpoint(self) -> str | None:
        """``host:port`` of the data."""
        return self.params.get("endpoint")

    @property
    def interface(self) -> str | None:
        """Local interface: ``address[:port][/prefix]`` or ``{name}[:port]``."""
        return self.params.get("interface")

    @property
    def control(self) -> str | None:
        """Explicit control address, ``host:port``."""
        return self.params.get("control")

    @property
    def control_mode(self) -> str | None:
        """``manual``, ``dynamic`` or ``response``."""
        value = self.params.get("control-mode")
        if value is not None and value not in CONTROL_MODES:
            raise InvalidChannelError("control-mode", value, "manual, dynamic or response")
        return value

    @property
    def response_endpoint(self) -> str | None:
        """``host:port`` for response streams."""
        return self.params.get("response-endpoint")

    @property
    def ttl(self) -> int | None:
        """Multicast time to live; more than 255 counts as 255."""
        value = self._integer("ttl", 0, INT64_MAX)
        return None if value is None else min(value, 255)

    # --- Identity --------------------------------------------------------------------------

    @property
    def channel_tag(self) -> int | None:
        """First of the tags: names the channel's endpoint."""
        return self._tag(0)

    @property
    def entity_tag(self) -> int | None:
        """Second of the tags: names the publication or subscription."""
        return self._tag(1)

    @property
    def session_id(self) -> int | None:
        """The session id; None also when it is to be copied, see :attr:`session_id_tag`."""
        if self.params.get("session-id", "").startswith("tag:"):
            return None
        return self._integer("session-id", _INT32_MIN, _INT32_MAX)

    @property
    def session_id_tag(self) -> int | None:
        """Entity tag of the publication to copy session id, mtu and term length from."""
        value = self.params.get("session-id", "")
        if not value.startswith("tag:"):
            return None
        try:
            return parse_integer(value[4:], -INT64_MAX - 1, INT64_MAX)
        except UnitError:
            raise InvalidChannelError("session-id", value, "a number or tag:number") from None

    @property
    def stream_id(self) -> int | None:
        """The stream id, where the channel has to carry it."""
        return self._integer("stream-id", _INT32_MIN, _INT32_MAX)

    @property
    def alias(self) -> str | None:
        """A name for people."""
        return self.params.get("alias")

    @property
    def response_correlation_id(self) -> int | None:
        """Image to answer; -2 for ``prototype``."""
        if self.params.get("response-correlation-id") == "prototype":
            return PROTOTYPE_CORRELATION_ID
        return self._integer("response-correlation-id", -1, INT64_MAX, " or prototype")

    @property
    def group_tag(self) -> int | None:
        """Group tag sent in status messages."""
        return self._integer("gtag", -INT64_MAX - 1, INT64_MAX)

    # --- Log ---------------------------------------------------------------------------------

    @property
    def mtu_length(self) -> int | None:
        """Longest datagram payload in bytes: a multiple of 32, over 32, up to 65504."""
        value = self._size("mtu")
        if value is not None and (
            not DATA_HEADER_LENGTH < value <= MAX_MTU_LENGTH or value % FRAME_ALIGNMENT
        ):
            raise InvalidChannelError(
                "mtu", self.params["mtu"], "a multiple of 32 bytes from 64 to 65504"
            )
        return value

    @property
    def term_length(self) -> int | None:
        """Bytes of a term: a power of two from 64k to 1g."""
        value = self._size("term-length")
        if value is not None and (
            not MIN_TERM_LENGTH <= value <= MAX_TERM_LENGTH or value & (value - 1)
        ):
            raise InvalidChannelError(
                "term-length", self.params["term-length"], "a power of two from 64k to 1g"
            )
        return value

    @property
    def initial_term_id(self) -> int | None:
        """First term id of the stream."""
        return self._integer("init-term-id", _INT32_MIN, _INT32_MAX)

    @property
    def term_id(self) -> int | None:
        """Term id to start at."""
        return self._integer("term-id", _INT32_MIN, _INT32_MAX)

    @property
    def term_offset(self) -> int | None:
        """Bytes into the term to start at: a multiple of 32."""
        value = self._integer("term-offset", 0, MAX_TERM_LENGTH)
        if value is not None and value % FRAME_ALIGNMENT:
            raise InvalidChannelError(
                "term-offset", self.params["term-offset"], "a multiple of 32 bytes"
            )
        return value

    def start_position(self, term_length: int) -> tuple[int, int, int] | None:
        """(initial term id, term id, term offset), or None when none of them is given.

        Raises InvalidChannelError when only some are, or they do not fit ``term_length``.
        """
        start = (self.initial_term_id, self.term_id, self.term_offset)
        initial_term_id, term_id, term_offset = start
        if initial_term_id is None or term_id is None or term_offset is None:
            if start == (None, None, None):
                return None
            raise InvalidChannelError(
                None, str(self), "init-term-id, term-id and term-offset as a complete set"
            )
        if (term_id - initial_term_id) & 0xFFFF_FFFF > _INT32_MAX:
            raise InvalidChannelError(
                "term-id", str(term_id), f"init-term-id={initial_term_id} up to 2**31 - 1 more"
            )
        if term_offset > term_length:
            raise InvalidChannelError(
                "term-offset", str(term_offset), f"at most the term length, {term_length}"
            )
        return initial_term_id, term_id, term_offset

    @property
    def is_sparse(self) -> bool | None:
        """Whether the log's file is sparse."""
        return self._bool("sparse")

    @property
    def linger_timeout_ns(self) -> int | None:
        """How long a drained publication's log is kept."""
        return self._duration("linger")

    # --- Publication -------------------------------------------------------------------------

    @property
    def signal_eos(self) -> bool | None:
        """Whether the end of the stream is signalled."""
        return self._bool("eos")

    @property
    def spies_simulate_connection(self) -> bool | None:
        """Whether spies alone make the publication connected."""
        return self._bool("ssc")

    @property
    def publication_window_length(self) -> int | None:
        """How far publishers may be ahead, in bytes."""
        return self._size("pub-wnd")

    @property
    def flow_control(self) -> str | None:
        """Flow control strategy and its options, as written."""
        return self.params.get("fc")

    @property
    def max_resend(self) -> int | None:
        """Concurrent retransmits, 1 to 256."""
        return self._integer("max-resend", 1, MAX_RESEND_LIMIT)

    # --- Subscription ------------------------------------------------------------------------

    @property
    def is_reliable(self) -> bool | None:
        """Whether gaps are asked for again (else filled)."""
        return self._bool("reliable")

    @property
    def is_tether(self) -> bool | None:
        """Whether the subscription always takes part in flow control."""
        return self._bool("tether")

    @property
    def is_rejoin(self) -> bool | None:
        """Whether a closed image may come back."""
        return self._bool("rejoin")

    @property
    def group(self) -> str | None:
        """``true``, ``false`` or ``infer``: whether receivers are a group."""
        value = self.params.get("group")
        if value is not None and value not in GROUP_MODES:
            raise InvalidChannelError("group", value, "true, false or infer")
        return value

    @property
    def receiver_window_length(self) -> int | None:
        """Initial receiver window in bytes."""
        return self._size("rcv-wnd")

    @property
    def congestion_control(self) -> str | None:
        """Congestion control strategy."""
        return self.params.get("cc")

    @property
    def nak_delay_ns(self) -> int | None:
        """Delay of the first NAK of a unicast stream."""
        return self._duration("nak-delay")

    @property
    def untethered_window_limit_timeout_ns(self) -> int | None:
        """How long an untethered subscriber may hold the window up."""
        return self._duration("untethered-window-limit-timeout")

    @property
    def untethered_linger_timeout_ns(self) -> int | None:
        """How long it lingers after that."""
        return self._duration("untethered-linger-timeout")

    @property
    def untethered_resting_timeout_ns(self) -> int | None:
        """How long it rests before it joins again."""
        return self._duration("untethered-resting-timeout")

    # --- Sockets and timestamps --------------------------------------------------------------

    @property
    def socket_sndbuf_length(self) -> int | None:
        """Socket send buffer in bytes."""
        return self._size("so-sndbuf")

    @property
    def socket_rcvbuf_length(self) -> int | None:
        """Socket receive buffer in bytes."""
        return self._size("so-rcvbuf")

    @property
    def media_receive_timestamp_offset(self) -> int | None:
        """Where the network card's receive time goes in the payload; -8: reserved value."""
        return self._timestamp_offset("media-rcv-ts-offset")

    @property
    def channel_receive_timestamp_offset(self) -> int | None:
        """Where the driver's receive time goes in the payload; -8: reserved value."""
        return self._timestamp_offset("channel-rcv-ts-offset")

    @property
    def channel_send_timestamp_offset(self) -> int | None:
        """Where the driver's send time goes in the payload; -8: reserved value."""
        return self._timestamp_offset("channel-snd-ts-offset")

    @property
    def ats(self) -> bool | None:
        """Whether transport security is asked for."""
        return self._bool("ats")

    def validate(self) -> None:
        """Judge every parameter that is there. Raises InvalidChannelError for the first bad one."""
        for name in _VALIDATED:
            getattr(self, name)

    # --- Parsing of values -------------------------------------------------------------------

    def _parsed(self, key: str, parse: Callable[[str], _T], allowed: str = "") -> _T | None:
        value = self.params.get(key)
        if value is None:
            return None
        try:
            return parse(value)
        except UnitError as error:
            raise InvalidChannelError(key, value, error.expected + allowed) from None

    def _size(self, key: str) -> int | None:
        return self._parsed(key, parse_size)

    def _duration(self, key: str) -> int | None:
        return self._parsed(key, parse_duration_ns)

    def _bool(self, key: str) -> bool | None:
        value = self.params.get(key)
        if value is None:
            return None
        if value not in ("true", "false"):
            raise InvalidChannelError(key, value, "true or false")
        return parse_bool(value)

    def _integer(self, key: str, minimum: int, maximum: int, also: str = "") -> int | None:
        return self._parsed(key, lambda text: parse_integer(text, minimum, maximum), also)

    def _timestamp_offset(self, key: str) -> int | None:
        if self.params.get(key) == "reserved":
            return RESERVED_VALUE_OFFSET
        return self._integer(key, 0, _INT32_MAX, " or reserved")

    def _tag(self, index: int) -> int | None:
        value = self.params.get("tags")
        if value is None:
            return None
        tags = value.split(",")
        if len(tags) > 2:
            raise InvalidChannelError("tags", value, "channelTag or channelTag,entityTag")
        if index >= len(tags) or not tags[index]:
            return None
        try:
            return parse_integer(tags[index], -INT64_MAX - 1 if index else 0, INT64_MAX)
        except UnitError as error:
            raise InvalidChannelError("tags", value, error.expected) from None


_VALIDATED: Final = tuple(
    name for name, member in vars(ChannelUri).items() if isinstance(member, property)
)


def _parse_parameters(text: str, query: str) -> dict[str, str]:
    params: dict[str, str] = {}
    # A bar at the very end is let pass, as the official C driver does.
    items = query.removesuffix("|").split("|") if query else ()
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not equals or not value:
            raise InvalidChannelError(None, text, f"key=value between the bars, not {item!a}")
        params[key] = value
    return params


def __getattr__(name: str) -> Any:
    if name == "ChannelUriBuilder":
        from volans.protocol.channel_uri_builder import ChannelUriBuilder

        return ChannelUriBuilder
    raise AttributeError(name)
