"""What clients ask of a media driver: the messages of the to-driver ring (PROTOCOL.md section 7.1).

Each class is one message: ``msg_type_id``, ``encode()``, and :func:`decode_command` the way back.
Integers are native order. Messages may be longer than their fields, never shorter.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from volans.protocol.error_codes import ErrorCode
from volans.protocol.messages import (
    Buffer,
    MalformedError,
    MessageError,
    PayloadReader,
    aligned_to_four,
    encode_text,
    length_and_text,
)

NULL_VALUE: Final = -1
MAX_REASON_LENGTH: Final = 1023  # bytes; drivers refuse to reject an image with a longer reason
REVOKE_FLAG: Final = 0x1

_I32: Final = struct.Struct("=i")
_I64: Final = struct.Struct("=q")
_U64: Final = struct.Struct("=Q")
_TWO_I64: Final = struct.Struct("=qq")
_THREE_I64: Final = struct.Struct("=qqq")
_FOUR_I64: Final = struct.Struct("=qqqq")
_I64_I32: Final = struct.Struct("=qi")
_CORRELATED_I32: Final = struct.Struct("=qqi")
_CORRELATED_I64_I32: Final = struct.Struct("=qqqi")
# The official driver takes nothing shorter, although the reason begins at 36.
_REJECT_IMAGE_MINIMUM_BYTES: Final = 40


class MalformedCommandError(MessageError):
    """A command is shorter than its fields say, or a length in it is negative or too large."""

    error_code = ErrorCode.MALFORMED_COMMAND


class UnknownCommandError(MessageError):
    """No command of this protocol version has this type id."""

    error_code = ErrorCode.UNKNOWN_COMMAND_TYPE_ID


@dataclass(frozen=True, slots=True)
class Command:
    """Start of every command: who asks, and the id the answer will bear."""

    msg_type_id: ClassVar[int] = 0
    client_id: int
    correlation_id: int

    def encode(self) -> bytes:
        """The message's bytes, as they go into the ring."""
        return _TWO_I64.pack(self.client_id, self.correlation_id)


@dataclass(frozen=True, slots=True)
class AddPublication(Command):
    """Add a publication that other publishers of the same channel and stream share."""

    msg_type_id: ClassVar[int] = 0x01
    stream_id: int
    channel: str

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _CORRELATED_I32.pack(self.client_id, self.correlation_id, self.stream_id)
        return start + length_and_text(self.channel)


@dataclass(frozen=True, slots=True)
class AddExclusivePublication(AddPublication):
    """Add a publication with a session of its own."""

    msg_type_id: ClassVar[int] = 0x03


@dataclass(frozen=True, slots=True)
class RemovePublication(Command):
    """Give a publication up; with ``revoke``, its images end at once wherever they are."""

    msg_type_id: ClassVar[int] = 0x02
    registration_id: int
    revoke: bool = False

    def encode(self) -> bytes:
        """The message's bytes, flags included."""
        start = _THREE_I64.pack(self.client_id, self.correlation_id, self.registration_id)
        return start + _U64.pack(REVOKE_FLAG if self.revoke else 0)


@dataclass(frozen=True, slots=True)
class AddSubscription(Command):
    """Add a subscription; ``registration_correlation_id`` is -1 from today's clients."""

    msg_type_id: ClassVar[int] = 0x04
    stream_id: int
    channel: str
    registration_correlation_id: int = NULL_VALUE

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _CORRELATED_I64_I32.pack(
            self.client_id, self.correlation_id, self.registration_correlation_id, self.stream_id
        )
        return start + length_and_text(self.channel)


@dataclass(frozen=True, slots=True)
class _RemoveById(Command):
    registration_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _THREE_I64.pack(self.client_id, self.correlation_id, self.registration_id)


@dataclass(frozen=True, slots=True)
class RemoveSubscription(_RemoveById):
    """Give a subscription up."""

    msg_type_id: ClassVar[int] = 0x05


@dataclass(frozen=True, slots=True)
class ClientKeepalive(Command):
    """Tell a driver that already knows the client that it lives. Not answered."""

    msg_type_id: ClassVar[int] = 0x06


@dataclass(frozen=True, slots=True)
class _DestinationCommand(Command):
    registration_id: int
    channel: str

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _THREE_I64.pack(self.client_id, self.correlation_id, self.registration_id)
        return start + length_and_text(self.channel)


@dataclass(frozen=True, slots=True)
class AddDestination(_DestinationCommand):
    """Send a publication (``registration_id``) to one more destination."""

    msg_type_id: ClassVar[int] = 0x07


@dataclass(frozen=True, slots=True)
class RemoveDestination(_DestinationCommand):
    """Send a publication to a destination no longer."""

    msg_type_id: ClassVar[int] = 0x08


@dataclass(frozen=True, slots=True)
class AddCounter(Command):
    """Add a counter that lives as long as the client keeps it."""

    msg_type_id: ClassVar[int] = 0x09
    type_id: int
    key: bytes
    label: str

    def encode(self) -> bytes:
        """The message's bytes; the label is aligned to four bytes after the key."""
        start = _CORRELATED_I32.pack(self.client_id, self.correlation_id, self.type_id)
        return start + _key_and_label(self.key, self.label)


@dataclass(frozen=True, slots=True)
class RemoveCounter(_RemoveById):
    """Free a counter."""

    msg_type_id: ClassVar[int] = 0x0A


@dataclass(frozen=True, slots=True)
class ClientClose(Command):
    """The client goes: free all it holds. Not answered; the correlation id is -1."""

    msg_type_id: ClassVar[int] = 0x0B
    correlation_id: int = NULL_VALUE


@dataclass(frozen=True, slots=True)
class AddReceiveDestination(_DestinationCommand):
    """Let a subscription (``registration_id``) receive from one more channel."""

    msg_type_id: ClassVar[int] = 0x0C


@dataclass(frozen=True, slots=True)
class RemoveReceiveDestination(_DestinationCommand):
    """Let a subscription receive from a channel no longer."""

    msg_type_id: ClassVar[int] = 0x0D


@dataclass(frozen=True, slots=True)
class TerminateDriver(Command):
    """Ask the driver to end; its termination validator judges by the token. Not answered."""

    msg_type_id: ClassVar[int] = 0x0E
    token: bytes = b""

    def encode(self) -> bytes:
        """The message's bytes."""
        start = _CORRELATED_I32.pack(self.client_id, self.correlation_id, len(self.token))
        return start + self.token


@dataclass(frozen=True, slots=True)
class AddStaticCounter(Command):
    """Add a counter that outlives the client, one for each type and ``registration_id``."""

    msg_type_id: ClassVar[int] = 0x0F
    registration_id: int
    type_id: int
    key: bytes
    label: str

    def encode(self) -> bytes:
        """The message's bytes; the label is aligned to four bytes after the key."""
        start = _CORRELATED_I64_I32.pack(
            self.client_id, self.correlation_id, self.registration_id, self.type_id
        )
        return start + _key_and_label(self.key, self.label)


@dataclass(frozen=True, slots=True)
class RejectImage(Command):
    """Refuse an image from ``position`` on; its publishers are told the reason."""

    msg_type_id: ClassVar[int] = 0x10
    image_correlation_id: int
    position: int
    reason: str

    def encode(self) -> bytes:
        """The message's bytes, filled up to the least length official drivers take."""
        message = _FOUR_I64.pack(
            self.client_id, self.correlation_id, self.image_correlation_id, self.position
        ) + length_and_text(self.reason)
        return message.ljust(_REJECT_IMAGE_MINIMUM_BYTES, b"\0")


@dataclass(frozen=True, slots=True)
class RemoveDestinationById(Command):
    """Remove the destination that the command ``destination_registration_id`` had added."""

    msg_type_id: ClassVar[int] = 0x11
    resource_registration_id: int
    destination_registration_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _FOUR_I64.pack(
            self.client_id,
            self.correlation_id,
            self.resource_registration_id,
            self.destination_registration_id,
        )


@dataclass(frozen=True, slots=True)
class GetNextAvailableSessionId(Command):
    """Ask for a session id that is free on the stream."""

    msg_type_id: ClassVar[int] = 0x12
    stream_id: int

    def encode(self) -> bytes:
        """The message's bytes."""
        return _CORRELATED_I32.pack(self.client_id, self.correlation_id, self.stream_id)


def _key_and_label(key: bytes, label: str) -> bytes:
    return _I32.pack(len(key)) + aligned_to_four(key) + length_and_text(label)


def _read_publication(reader: PayloadReader) -> tuple[object, ...]:
    return (*reader.fields(_I32), reader.text("channel"))


def _read_remove_publication(reader: PayloadReader) -> tuple[object, ...]:
    registration_id = reader.i64()
    # Clients of before revocation send no flags; half of them is nonsense.
    if reader.position == len(reader.data):
        return registration_id, False
    return registration_id, bool(reader.fields(_U64)[0] & REVOKE_FLAG)


def _read_subscription(reader: PayloadReader) -> tuple[object, ...]:
    registration_correlation_id, stream_id = reader.fields(_I64_I32)
    return stream_id, reader.text("channel"), registration_correlation_id


def _read_one_id(reader: PayloadReader) -> tuple[object, ...]:
    return reader.fields(_I64)


def _read_two_ids(reader: PayloadReader) -> tuple[object, ...]:
    return reader.fields(_TWO_I64)


def _read_nothing(_reader: PayloadReader) -> tuple[object, ...]:
    return ()


def _read_destination(reader: PayloadReader) -> tuple[object, ...]:
    return reader.i64(), reader.text("channel")


def _read_counter(reader: PayloadReader) -> tuple[object, ...]:
    return (*reader.fields(_I32), *_read_key_and_label(reader))


def _read_static_counter(reader: PayloadReader) -> tuple[object, ...]:
    return (*reader.fields(_I64_I32), *_read_key_and_label(reader))


def _read_key_and_label(reader: PayloadReader) -> tuple[bytes, str]:
    key_start = reader.position + _I32.size
    key = reader.blob("key")
    reader.align_to_four(key_start)
    return key, reader.text("label")


def _read_token(reader: PayloadReader) -> tuple[object, ...]:
    return (reader.blob("token"),)


def _read_reject_image(reader: PayloadReader) -> tuple[object, ...]:
    return (*reader.fields(_TWO_I64), reader.text("reason"))


def _read_stream_id(reader: PayloadReader) -> tuple[object, ...]:
    return reader.fields(_I32)


_Make = Callable[..., Command]
_Read = Callable[[PayloadReader], tuple[object, ...]]
_DECODERS: Final[dict[int, tuple[_Make, _Read]]] = {
    AddPublication.msg_type_id: (AddPublication, _read_publication),
    RemovePublication.msg_type_id: (RemovePublication, _read_remove_publication),
    AddExclusivePublication.msg_type_id: (AddExclusivePublication, _read_publication),
    AddSubscription.msg_type_id: (AddSubscription, _read_subscription),
    RemoveSubscription.msg_type_id: (RemoveSubscription, _read_one_id),
    ClientKeepalive.msg_type_id: (ClientKeepalive, _read_nothing),
    AddDestination.msg_type_id: (AddDestination, _read_destination),
    RemoveDestination.msg_type_id: (RemoveDestination, _read_destination),
    AddCounter.msg_type_id: (AddCounter, _read_counter),
    RemoveCounter.msg_type_id: (RemoveCounter, _read_one_id),
    ClientClose.msg_type_id: (ClientClose, _read_nothing),
    AddReceiveDestination.msg_type_id: (AddReceiveDestination, _read_destination),
    RemoveReceiveDestination.msg_type_id: (RemoveReceiveDestination, _read_destination),
    TerminateDriver.msg_type_id: (TerminateDriver, _read_token),
    AddStaticCounter.msg_type_id: (AddStaticCounter, _read_static_counter),
    RejectImage.msg_type_id: (RejectImage, _read_reject_image),
    RemoveDestinationById.msg_type_id: (RemoveDestinationById, _read_two_ids),
    GetNextAvailableSessionId.msg_type_id: (GetNextAvailableSessionId, _read_stream_id),
}


def decode_command(msg_type_id: int, payload: Buffer) -> Command:
    """The command in ``payload``, a message of the to-driver ring buffer.

    Raises MalformedCommandError (a length is wrong) or UnknownCommandError; both tell the
    client and correlation id when the payload is long enough to hold them.
    """
    data = bytes(payload)
    client_id = correlation_id = None
    if len(data) >= _TWO_I64.size:
        client_id, correlation_id = _TWO_I64.unpack_from(data)
    decoder = _DECODERS.get(msg_type_id)
    if decoder is None:
        raise UnknownCommandError(
            f"command type id {msg_type_id} is unknown: known are 1 to 18",
            msg_type_id,
            client_id,
            correlation_id,
        )
    make, read = decoder
    try:
        reader = PayloadReader(data)
        reader.fields(_TWO_I64)
        return make(client_id, correlation_id, *read(reader))
    except MalformedError as error:
        raise MalformedCommandError(
            f"command {getattr(make, '__name__', msg_type_id)} is malformed: {error}",
            msg_type_id,
            client_id,
            correlation_id,
        ) from None


def encoded_channel_length(channel: str) -> int:
    """Bytes a channel takes in a command."""
    return len(encode_text(channel))
