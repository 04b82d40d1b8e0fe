"""Lines of the event log: time, event, bytes kept and in all, and the message in words."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from volans.driver.event_log_names import (
    COMMANDS_IN,
    COMMANDS_OUT,
    EVENTS,
    IMAGE_REVOKE,
    PUBLICATION_REVOKE,
    RECEIVER_ADDED,
    RECEIVER_REMOVED,
    RESEND,
)
from volans.driver.naming.address import SocketAddress
from volans.protocol.commands import decode_command
from volans.protocol.events import decode_event
from volans.protocol.frames import TYPE_DATA, TYPE_PAD, TYPE_RES, FrameError, decode_frame
from volans.protocol.messages import MessageError

TIME: Final = struct.Struct("=q")
COMMAND: Final = struct.Struct("=qi4x")  # time ns, message type
DATAGRAM: Final = struct.Struct("=q28siii")  # as event_tap.RECORD
# As event_sink.RECORD: time ns, registration id, receiver or position, session, stream, count of
# receivers, term id and offset, length.
STREAM: Final = struct.Struct("=qqqiiiiii")
FRAME_EVENTS: Final = frozenset({1, 2, 54, 58})
STREAM_EVENTS: Final = frozenset(
    {RECEIVER_ADDED, RECEIVER_REMOVED, RESEND, PUBLICATION_REVOKE, IMAGE_REVOKE}
)
COMMAND_EVENTS: Final = frozenset(COMMANDS_IN.values()) | frozenset(COMMANDS_OUT.values())
CONTEXT: Final = "DRIVER"
_DATA_HEADER: Final = struct.Struct("<iBBhiiiiq")
_TEXT_MAX: Final = 4096


def encode_command(time_ns: int, msg_type_id: int, payload: bytes | memoryview) -> bytes:
    """What the ring holds of a command or of an answer."""
    return COMMAND.pack(time_ns, msg_type_id) + bytes(payload)


def encode_text(time_ns: int, text: str) -> bytes:
    """What the ring holds of any other event."""
    return TIME.pack(time_ns) + text.encode("utf-8", "replace")[:_TEXT_MAX]


def format_record(
    event_id: int, record: bytes, channel_of: Callable[[int], str | None] = lambda _id: None
) -> str:
    """The line of a ring's record, without its end.

    ``channel_of`` says the channel of a stream's registration id, None when it is gone.
    """
    if event_id in STREAM_EVENTS:
        return _stream_line(event_id, record, channel_of)
    if event_id in FRAME_EVENTS:
        return _frame_line(event_id, record)
    if event_id in COMMAND_EVENTS:
        time_ns, msg_type_id = COMMAND.unpack_from(record)
        payload = record[COMMAND.size :]
        decode = decode_event if msg_type_id in COMMANDS_OUT else decode_command
        try:
            words = repr(decode(msg_type_id, payload))
        except MessageError as error:
            words = f"malformed: {error}"
        return f"{_head(time_ns, event_id, len(payload), len(payload))}: {words}"
    (time_ns,) = TIME.unpack_from(record)
    text = record[TIME.size :]
    return f"{_head(time_ns, event_id, len(text), len(text))}: {_one_line(text.decode())}"


def _stream_line(event_id: int, record: bytes, channel_of: Callable[[int], str | None]) -> str:
    (
        time_ns,
        registration_id,
        value,
        session_id,
        stream_id,
        count,
        term_id,
        term_offset,
        length,
    ) = STREAM.unpack_from(record)
    words = f"sessionId={session_id} streamId={stream_id}"
    if event_id == RESEND:
        words += f" termId={term_id} termOffset={term_offset} length={length}"
    elif event_id in (RECEIVER_ADDED, RECEIVER_REMOVED):
        words = f"receiverCount={count} receiverId={value} {words}"
    else:
        words = f"revokedPos={value} {words}"
    channel = channel_of(registration_id) or "unknown"
    size = STREAM.size
    return f"{_head(time_ns, event_id, size, size)}: {words} channel={_one_line(channel)}"


def _frame_line(event_id: int, record: bytes) -> str:
    time_ns, peer, peer_length, length, captured_length = DATAGRAM.unpack_from(record)
    data = record[DATAGRAM.size : DATAGRAM.size + captured_length]
    where = "connected peer"
    if peer_length > 0:
        where = str(SocketAddress.from_sockaddr(peer[:peer_length]))
    return f"{_head(time_ns, event_id, captured_length, length)}: {where} {describe_frame(data)}"


def describe_frame(data: bytes) -> str:
    """A frame in words, even when only its beginning was kept."""
    if len(data) >= _DATA_HEADER.size:
        fields = _DATA_HEADER.unpack_from(data)
        length, _version, flags, kind, offset, session_id, stream_id, term_id, reserved = fields
        if kind in (TYPE_DATA, TYPE_PAD):
            name = "DATA" if kind == TYPE_DATA else "PAD"
            return (
                f"{name} flags={flags:08b} length={length} session={session_id} "
                f"stream={stream_id} term={term_id} offset={offset} reserved={reserved}"
            )
    if len(data) >= 8 and struct.unpack_from("<h", data, 6)[0] == TYPE_RES:
        return _describe_names(data)
    try:
        return _one_line(repr(decode_frame(data)))
    except FrameError as error:
        return f"malformed: {error}: {data[:32].hex()}"


def _describe_names(data: bytes) -> str:
    from volans.driver.naming.resolution_entries import decode_frame as decode_names

    try:
        entries = decode_names(data)
    except FrameError as error:
        return f"RES cut off or malformed: {error}"
    told = ", ".join(
        f"{entry.name.decode('utf-8', 'replace')}={entry.address}"
        f"{' self' if entry.is_self else ''} age={entry.age_ms}ms"
        for entry in entries
    )
    return f"RES {_one_line(told)}"


def _head(time_ns: int, event_id: int, captured: int, length: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return (
        f"[{seconds}.{nanoseconds:09}] {CONTEXT}: {EVENTS.get(event_id, event_id)} "
        f"[{captured}/{length}]"
    )


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
