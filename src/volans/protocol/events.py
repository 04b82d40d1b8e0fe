"""What a media driver tells its clients: the to-clients broadcast (PROTOCOL.md section 7.2).

Each class is one message: ``msg_type_id``, ``encode()``, and :func:`decode_event` the way back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from volans.protocol.messages import (
    Buffer,
    MalformedError,
    MessageError,
    PayloadReader,
    aligned_to_four,
    encode_text,
    length_and_text,
)

ADDRESS_TYPE_IPV4: Final = 1
ADDRESS_TYPE_IPV6: Final = 2

_I32: Final = struct.Struct("=i")
_I64: Final = struct.Struct("=q")
_I64_I32: Final = struct.Struct("=qi")
_IMAGE: Final = struct.Struct("=qiiqi")
_PUBLICATION: Final = struct.Struct("=qqiiii")
_UNAVAILABLE_IMAGE: Final = struct.Struct("=qqi")
_PUBLICATION_ERROR: Final = struct.Struct("=qqiiqqhH")
_ADDRESS_BYTES: Final = 16


class MalformedEventError(MessageError):
    """An event is shorter than its fields say, or a length in it is negative or too large."""


class UnknownEventError(MessageError):
    """No event of this protocol version has this type id: a newer driver's, may be skipped."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    msg_type_id: ClassVar[int] = 0

    def encode(self) -> bytes:
        """The message's bytes, as they go into the broadcast buffer."""
        return b""


@dataclass(frozen=True, slots=True)
class ErrorResponse(Event):
    """The command with this correlation id failed; ``error_code`` is an ``ErrorCode`` value."""

    msg_type_id: ClassVar[int] = 0x0F01
    offending_correlation_id: int
    error_code: int
    message: str

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _I64_I32.pack(self.offending_correlation_id, self.error_code)
        return start + length_and_text(self.message)


@dataclass(frozen=True, slots=True)
class AvailableImage(Event):
    """A stream has arrived for a subscription; ``correlation_id`` is the image's id."""

    msg_type_id: ClassVar[int] = 0x0F02
    correlation_id: int
    session_id: int
    stream_id: int
    subscription_registration_id: int
    subscriber_position_counter_id: int
    log_file_name: str
    source_identity: str

    def encode(self) -> bytes:
        """The message's bytes; the source identity is aligned to four bytes after the name."""
        start = _IMAGE.pack(
            self.correlation_id,
            self.session_id,
            self.stream_id,
            self.subscription_registration_id,
            self.subscriber_position_counter_id,
        )
        name = encode_text(self.log_file_name)
        source = length_and_text(self.source_identity)
        return start + _I32.pack(len(name)) + aligned_to_four(name) + source


@dataclass(frozen=True, slots=True)
class PublicationReady(Event):
    """A publication can be used; ``registration_id`` is that of the one it is shared with."""

    msg_type_id: ClassVar[int] = 0x0F03
    correlation_id: int
    registration_id: int
    session_id: int
    stream_id: int
    position_limit_counter_id: int
    channel_status_counter_id: int
    log_file_name: str

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _PUBLICATION.pack(
            self.correlation_id,
            self.registration_id,
            self.session_id,
            self.stream_id,
            self.position_limit_counter_id,
            self.channel_status_counter_id,
        )
        return start + length_and_text(self.log_file_name)


@dataclass(frozen=True, slots=True)
class OperationSuccess(Event):
    """The command with this correlation id has been done."""

    msg_type_id: ClassVar[int] = 0x0F04
    correlation_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _I64.pack(self.correlation_id)


@dataclass(frozen=True, slots=True)
class UnavailableImage(Event):
    """An image (``correlation_id``) of a subscription has gone."""

    msg_type_id: ClassVar[int] = 0x0F05
    correlation_id: int
    subscription_registration_id: int
    stream_id: int
    channel: str

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _UNAVAILABLE_IMAGE.pack(
            self.correlation_id, self.subscription_registration_id, self.stream_id
        )
        return start + length_and_text(self.channel)


@dataclass(frozen=True, slots=True)
class ExclusivePublicationReady(PublicationReady):
    """An exclusive publication can be used."""

    msg_type_id: ClassVar[int] = 0x0F06


@dataclass(frozen=True, slots=True)
class SubscriptionReady(Event):
    """A subscription has been added; its images are told next."""

    msg_type_id: ClassVar[int] = 0x0F07
    correlation_id: int
    channel_status_counter_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _I64_I32.pack(self.correlation_id, self.channel_status_counter_id)


@dataclass(frozen=True, slots=True)
class CounterReady(Event):
    """A counter has been added; told to all clients."""

    msg_type_id: ClassVar[int] = 0x0F08
    correlation_id: int
    counter_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _I64_I32.pack(self.correlation_id, self.counter_id)


@dataclass(frozen=True, slots=True)
class UnavailableCounter(Event):
    """A counter has been freed; told to all clients."""

    msg_type_id: ClassVar[int] = 0x0F09
    registration_id: int
    counter_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _I64_I32.pack(self.registration_id, self.counter_id)


@dataclass(frozen=True, slots=True)
class ClientTimeout(Event):
    """The driver has given this client up."""

    msg_type_id: ClassVar[int] = 0x0F0A
    client_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _I64.pack(self.client_id)


@dataclass(frozen=True, slots=True)
class StaticCounterReady(Event):
    """A static counter is there, new or from before."""

    msg_type_id: ClassVar[int] = 0x0F0B
    correlation_id: int
    counter_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _I64_I32.pack(self.correlation_id, self.counter_id)


@dataclass(frozen=True, slots=True)
class PublicationErrorEvent(Event):
    """A receiver has refused a publication's stream, or something else went wrong with it.

    ``group_tag`` is -1 when absent; ``source_address`` is 16 bytes, an IPv4 one in the first 4.
    """

    msg_type_id: ClassVar[int] = 0x0F0C
    registration_id: int
    destination_registration_id: int
    session_id: int
    stream_id: int
    receiver_id: int
    group_tag: int
    address_type: int
    source_port: int
    source_address: bytes
    error_code: int
    message: str

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _PUBLICATION_ERROR.pack(
            self.registration_id,
            self.destination_registration_id,
            self.session_id,
            self.stream_id,
            self.receiver_id,
            self.group_tag,
            self.address_type,
            self.source_port,
        )
        address = self.source_address.ljust(_ADDRESS_BYTES, b"\0")[:_ADDRESS_BYTES]
        return start + address + _I32.pack(self.error_code) + length_and_text(self.message)


@dataclass(frozen=True, slots=True)
class NextAvailableSessionId(Event):
    """A session id that is free on the stream asked for."""

    msg_type_id: ClassVar[int] = 0x0F0D
    correlation_id: int
    next_session_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _I64_I32.pack(self.correlation_id, self.next_session_id)


def _read_id(reader: PayloadReader) -> tuple[object, ...]:
    return reader.fields(_I64)


def _read_id_and_i32(reader: PayloadReader) -> tuple[object, ...]:
    return reader.fields(_I64_I32)


def _read_error(reader: PayloadReader) -> tuple[object, ...]:
    return (*reader.fields(_I64_I32), reader.text("message"))


def _read_image(reader: PayloadReader) -> tuple[object, ...]:
    fields = reader.fields(_IMAGE)
    name_start = reader.position + _I32.size
    log_file_name = reader.text("log file name")
    reader.align_to_four(name_start)
    return (*fields, log_file_name, reader.text("source identity"))


def _read_publication(reader: PayloadReader) -> tuple[object, ...]:
    return (*reader.fields(_PUBLICATION), reader.text("log file name"))


def _read_unavailable_image(reader: PayloadReader) -> tuple[object, ...]:
    return (*reader.fields(_UNAVAILABLE_IMAGE), reader.text("channel"))


def _read_publication_error(reader: PayloadReader) -> tuple[object, ...]:
    fields = reader.fields(_PUBLICATION_ERROR)
    address_start = reader.position
    reader.fields(_ADDRESS)
    address = reader.data[address_start : reader.position]
    return (*fields, address, *reader.fields(_I32), reader.text("message"))


_ADDRESS: Final = struct.Struct("=16B")
_Make = Callable[..., Event]
_Read = Callable[[PayloadReader], tuple[object, ...]]
_DECODERS: Final[dict[int, tuple[_Make, _Read]]] = {
    ErrorResponse.msg_type_id: (ErrorResponse, _read_error),
    AvailableImage.msg_type_id: (AvailableImage, _read_image),
    PublicationReady.msg_type_id: (PublicationReady, _read_publication),
    OperationSuccess.msg_type_id: (OperationSuccess, _read_id),
    UnavailableImage.msg_type_id: (UnavailableImage, _read_unavailable_image),
    ExclusivePublicationReady.msg_type_id: (ExclusivePublicationReady, _read_publication),
    SubscriptionReady.msg_type_id: (SubscriptionReady, _read_id_and_i32),
    CounterReady.msg_type_id: (CounterReady, _read_id_and_i32),
    UnavailableCounter.msg_type_id: (UnavailableCounter, _read_id_and_i32),
    ClientTimeout.msg_type_id: (ClientTimeout, _read_id),
    StaticCounterReady.msg_type_id: (StaticCounterReady, _read_id_and_i32),
    PublicationErrorEvent.msg_type_id: (PublicationErrorEvent, _read_publication_error),
    NextAvailableSessionId.msg_type_id: (NextAvailableSessionId, _read_id_and_i32),
}


def decode_event(msg_type_id: int, payload: Buffer) -> Event:
    """The event in ``payload``, a message of the to-clients broadcast buffer.

    Raises MalformedEventError (a length is wrong) or UnknownEventError. All events but a
    client timeout begin with a correlation or registration id, which the errors tell.
    """
    data = bytes(payload)
    correlation_id = _I64.unpack_from(data)[0] if len(data) >= _I64.size else None
    decoder = _DECODERS.get(msg_type_id)
    if decoder is None:
        raise UnknownEventError(
            f"event type id {msg_type_id:#x} is unknown: known are 0xf01 to 0xf0d",
            msg_type_id,
            None,
            correlation_id,
        )
    make, read = decoder
    try:
        return make(*read(PayloadReader(data)))
    except MalformedError as error:
        raise MalformedEventError(
            f"event {getattr(make, '__name__', msg_type_id)} is malformed: {error}",
            msg_type_id,
            None,
            correlation_id,
        ) from None
