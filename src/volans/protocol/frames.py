"""Wire frames as Python values, for tools and tests (PROTOCOL.md section 10).

The data path reads frames as C structs (``layout.pxd``); this is the readable counterpart.
Wire integers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from volans.errors import VolansError
from volans.protocol.messages import Buffer, decode_text, encode_text

TYPE_PAD: Final = 0x00
TYPE_DATA: Final = 0x01
TYPE_NAK: Final = 0x02
TYPE_SM: Final = 0x03
TYPE_ERR: Final = 0x04
TYPE_SETUP: Final = 0x05
TYPE_RTTM: Final = 0x06
TYPE_RES: Final = 0x07
TYPE_RSP_SETUP: Final = 0x0B

FLAG_BEGIN: Final = 0x80
FLAG_END: Final = 0x40
FLAG_UNFRAGMENTED: Final = FLAG_BEGIN | FLAG_END
FLAG_EOS: Final = 0x20
FLAG_REVOKED: Final = 0x10
FLAG_SETUP_SEND_RESPONSE: Final = 0x80
FLAG_SETUP_GROUP: Final = 0x40
FLAG_SM_SEND_SETUP: Final = 0x80
FLAG_SM_EOS: Final = 0x40
FLAG_RTTM_REPLY: Final = 0x80
FLAG_ERR_GROUP_TAG: Final = 0x08

FRAME_ALIGNMENT: Final = 32
HEADER_LENGTH: Final = 8
DATA_HEADER_LENGTH: Final = 32
SM_LENGTH: Final = 36
SM_WITH_GROUP_TAG_LENGTH: Final = 44
MAX_ERROR_TEXT_LENGTH: Final = 1023

_HEADER: Final = struct.Struct("<ibBh")
_DATA: Final = struct.Struct("<iiiiq")
_SETUP: Final = struct.Struct("<iiiiiiii")
_SM: Final = struct.Struct("<iiiiiq")
_NAK: Final = struct.Struct("<iiiii")
_ERR: Final = struct.Struct("<iiqqii")
_RTTM: Final = struct.Struct("<iiqqq")
_RSP_SETUP: Final = struct.Struct("<iii")
_I64: Final = struct.Struct("<q")


class FrameError(VolansError, ValueError):
    """A datagram is no frame of this protocol, or cut off."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Base of all frames; ``flags`` are those of its type, ``FLAG_…`` above."""

    frame_type: ClassVar[int] = -1
    flags: int

    def encode(self) -> bytes:
        """The frame's bytes as they travel."""
        raise NotImplementedError

    def _with_header(self, body: bytes) -> bytes:
        return _HEADER.pack(HEADER_LENGTH + len(body), 0, self.flags, self.frame_type) + body


@dataclass(frozen=True, slots=True)
class DataFrame(Frame):
    """Part of a stream. ``frame_length`` counts the header; 0 makes it a heartbeat."""

    frame_type: ClassVar[int] = TYPE_DATA
    term_offset: int
    session_id: int
    stream_id: int
    term_id: int
    reserved_value: int = 0
    payload: bytes = b""
    frame_length: int = -1

    @property
    def is_heartbeat(self) -> bool:
        """Whether it only tells the sender's position."""
        return self.frame_length == 0

    def encode(self) -> bytes:
        """The frame's bytes, filled up to the frame alignment."""
        length = self.frame_length
        if length < 0:
            length = DATA_HEADER_LENGTH + len(self.payload)
        fields = _DATA.pack(
            self.term_offset, self.session_id, self.stream_id, self.term_id, self.reserved_value
        )
        data = _HEADER.pack(length, 0, self.flags, self.frame_type) + fields + self.payload
        return data + bytes(-len(data) % FRAME_ALIGNMENT)


@dataclass(frozen=True, slots=True)
class PadFrame(DataFrame):
    """Space without messages. On the wire its payload may be missing."""

    frame_type: ClassVar[int] = TYPE_PAD


@dataclass(frozen=True, slots=True)
class SetupFrame(Frame):
    """A publication introduces its stream."""

    frame_type: ClassVar[int] = TYPE_SETUP
    term_offset: int
    session_id: int
    stream_id: int
    initial_term_id: int
    active_term_id: int
    term_length: int
    mtu_length: int
    ttl: int

    def encode(self) -> bytes:
        """The frame's 40 bytes."""
        return self._with_header(
            _SETUP.pack(
                self.term_offset,
                self.session_id,
                self.stream_id,
                self.initial_term_id,
                self.active_term_id,
                self.term_length,
                self.mtu_length,
                self.ttl,
            )
        )


@dataclass(frozen=True, slots=True)
class StatusMessage(Frame):
    """A receiver tells what it consumed and how much more it takes."""

    frame_type: ClassVar[int] = TYPE_SM
    session_id: int
    stream_id: int
    consumption_term_id: int
    consumption_term_offset: int
    receiver_window_length: int
    receiver_id: int
    group_tag: int | None = None

    def encode(self) -> bytes:
        """The frame's 36 bytes, 44 with a group tag."""
        body = _SM.pack(
            self.session_id,
            self.stream_id,
            self.consumption_term_id,
            self.consumption_term_offset,
            self.receiver_window_length,
            self.receiver_id,
        )
        return self._with_header(
            body if self.group_tag is None else body + _I64.pack(self.group_tag)
        )


@dataclass(frozen=True, slots=True)
class NakFrame(Frame):
    """A receiver asks for bytes again."""

    frame_type: ClassVar[int] = TYPE_NAK
    session_id: int
    stream_id: int
    term_id: int
    term_offset: int
    length: int

    def encode(self) -> bytes:
        """The frame's 28 bytes."""
        return self._with_header(
            _NAK.pack(self.session_id, self.stream_id, self.term_id, self.term_offset, self.length)
        )


@dataclass(frozen=True, slots=True)
class ErrorFrame(Frame):
    """A receiver refuses a stream."""

    frame_type: ClassVar[int] = TYPE_ERR
    session_id: int
    stream_id: int
    receiver_id: int
    group_tag: int
    error_code: int
    message: str

    def encode(self) -> bytes:
        """The frame's bytes; the text is cut to 1023."""
        text = encode_text(self.message)[:MAX_ERROR_TEXT_LENGTH]
        body = _ERR.pack(
            self.session_id,
            self.stream_id,
            self.receiver_id,
            self.group_tag,
            self.error_code,
            len(text),
        )
        return self._with_header(body + text)


@dataclass(frozen=True, slots=True)
class RttMeasurement(Frame):
    """A question for, or the answer of, the round-trip time."""

    frame_type: ClassVar[int] = TYPE_RTTM
    session_id: int
    stream_id: int
    echo_timestamp_ns: int
    reception_delta_ns: int
    receiver_id: int

    def encode(self) -> bytes:
        """The frame's 40 bytes."""
        return self._with_header(
            _RTTM.pack(
                self.session_id,
                self.stream_id,
                self.echo_timestamp_ns,
                self.reception_delta_ns,
                self.receiver_id,
            )
        )


@dataclass(frozen=True, slots=True)
class ResponseSetup(Frame):
    """Tells the peer of a response subscription which session to answer with."""

    frame_type: ClassVar[int] = TYPE_RSP_SETUP
    session_id: int
    stream_id: int
    response_session_id: int

    def encode(self) -> bytes:
        """The frame's 20 bytes."""
        return self._with_header(
            _RSP_SETUP.pack(self.session_id, self.stream_id, self.response_session_id)
        )


@dataclass(frozen=True, slots=True)
class ResolutionFrame(Frame):
    """Names and addresses told between drivers, undecoded."""

    frame_type: ClassVar[int] = TYPE_RES
    entries: bytes

    def encode(self) -> bytes:
        """The frame's bytes."""
        return self._with_header(self.entries)


def decode_frame(data: Buffer) -> Frame:
    """The first frame of a datagram. Raises FrameError."""
    return next(decode_datagram(data))


def decode_datagram(data: Buffer) -> Iterator[Frame]:
    """All frames of a datagram: several only of data. Raises FrameError where one is wrong."""
    raw = bytes(data)
    if len(raw) < HEADER_LENGTH:
        raise FrameError(f"datagram of {len(raw)} bytes: a frame has at least {HEADER_LENGTH}")
    offset = 0
    while offset < len(raw):
        frame, length = _decode_at(raw, offset)
        yield frame
        offset += length


def _decode_at(raw: bytes, offset: int) -> tuple[Frame, int]:
    room = len(raw) - offset
    if room < HEADER_LENGTH:
        raise FrameError(f"{room} bytes after the last frame")
    frame_length, version, flags, frame_type = _HEADER.unpack_from(raw, offset)
    if version != 0:
        raise FrameError(f"frame version {version}: only 0 is known")
    if frame_length < 0:
        raise FrameError(f"frame length {frame_length} is negative")
    body = offset + HEADER_LENGTH
    if frame_type in (TYPE_DATA, TYPE_PAD):
        return _decode_data(raw, offset, frame_length, flags, frame_type)
    decoder = _FIXED.get(frame_type)
    if decoder is None:
        raise FrameError(f"frame type {frame_type} is unknown")
    make, layout = decoder
    if room < HEADER_LENGTH + layout.size or frame_length > room:
        raise FrameError(
            f"frame of type {frame_type} in {room} bytes: needs {HEADER_LENGTH + layout.size} "
            f"and its frame length {frame_length}"
        )
    fields = layout.unpack_from(raw, body)
    rest = body + layout.size
    if frame_type == TYPE_SM:
        has_tag = frame_length == SM_WITH_GROUP_TAG_LENGTH
        fields = (*fields, _I64.unpack_from(raw, rest)[0] if has_tag else None)
    elif frame_type == TYPE_ERR:
        text_length = fields[-1]
        if not 0 <= text_length <= len(raw) - rest:
            raise FrameError(
                f"error text length {text_length} is outside 0 to the {len(raw) - rest} bytes left"
            )
        fields = (*fields[:-1], decode_text(raw[rest : rest + text_length]))
    elif frame_type == TYPE_RES:
        fields = (raw[body:],)
    return make(flags, *fields), room


def _decode_data(
    raw: bytes, offset: int, frame_length: int, flags: int, frame_type: int
) -> tuple[Frame, int]:
    room = len(raw) - offset
    if room < DATA_HEADER_LENGTH:
        raise FrameError(f"data frame of {room} bytes: its header has {DATA_HEADER_LENGTH}")
    if 0 < frame_length < DATA_HEADER_LENGTH:
        raise FrameError(f"data frame length {frame_length} is less than its header's 32")
    if frame_length > room and frame_type == TYPE_DATA:
        raise FrameError(f"data frame length {frame_length} is more than the {room} bytes left")
    fields = _DATA.unpack_from(raw, offset + HEADER_LENGTH)
    end = min(offset + frame_length, len(raw))
    payload = raw[offset + DATA_HEADER_LENGTH : end]
    make: Callable[..., Frame] = DataFrame if frame_type == TYPE_DATA else PadFrame
    aligned = (max(frame_length, DATA_HEADER_LENGTH) + FRAME_ALIGNMENT - 1) & -FRAME_ALIGNMENT
    return make(flags, *fields, payload, frame_length), aligned


_FIXED: Final[dict[int, tuple[Callable[..., Frame], struct.Struct]]] = {
    TYPE_NAK: (NakFrame, _NAK),
    TYPE_SM: (StatusMessage, _SM),
    TYPE_ERR: (ErrorFrame, _ERR),
    TYPE_SETUP: (SetupFrame, _SETUP),
    TYPE_RTTM: (RttMeasurement, _RTTM),
    TYPE_RES: (ResolutionFrame, struct.Struct("<8xih")),
    TYPE_RSP_SETUP: (ResponseSetup, _RSP_SETUP),
}
