"""What offers and handlers answer with."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Literal

from volans.errors import VolansError


class OfferResult(Enum):
    """Why a message was not accepted. Every member is false: ``while not publication.offer(m)``.

    The values are the official result codes.
    """

    NOT_CONNECTED = -1
    """No subscriber is there (yet)."""
    BACK_PRESSURED = -2
    """The slowest subscriber, or flow control, has not moved on: try again later."""
    ADMIN_ACTION = -3
    """The term buffer was rotated: try again at once."""

    def __bool__(self) -> Literal[False]:
        return False


class ControlledAction(IntEnum):
    """What a handler of ``controlled_poll`` wants next; returning None means CONTINUE."""

    ABORT = 1
    """Stop, and give this message again with the next poll."""
    BREAK = 2
    """Stop after this message."""
    COMMIT = 3
    """Go on, with the position moved on now: the publisher may reuse the space."""
    CONTINUE = 4
    """Go on; the position is moved on at the end of the poll."""


class ChannelStatus(IntEnum):
    """State of the media a publication or subscription goes through."""

    ERRORED = -1
    INITIALIZING = 0
    ACTIVE = 1
    CLOSING = 2
    UNKNOWN = -2


class MessageTooLongError(VolansError, ValueError):
    """A message is longer than the stream can carry.

    Attributes: ``length_bytes`` and ``limit_bytes``.
    """

    def __init__(self, length_bytes: int, limit_bytes: int, what: str, remedy: str) -> None:
        self.length_bytes = length_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"{what} of {length_bytes} bytes is over the limit of {limit_bytes}: {remedy}"
        )


class PublishTimeoutError(VolansError, TimeoutError):
    """``publish`` could not hand its message over in time. Attribute: ``result`` says why."""

    def __init__(self, result: OfferResult, timeout_s: float, detail: str) -> None:
        self.result = result
        super().__init__(f"not published within {timeout_s} s: {result.name}: {detail}")
