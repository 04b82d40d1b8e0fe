"""Fragments put together to messages in front of a handler of one's own.

Subscriptions and images assemble by themselves unless they are asked for fragments; these are for
polls with ``fragments=True``, where some handlers want fragments and others whole messages::

    subscription = client.add_subscription(channel, stream_id, fragments=True)
    assembler = volans.FragmentAssembler(handler)
    subscription.poll(assembler)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from volans.client.log_file import CorruptLogError
from volans.client.results import ControlledAction

if TYPE_CHECKING:
    from volans.client.header import Header
    from volans.client.image import Image

Handler = Callable[[Any, Any], Any]

_BEGIN = 0x80
_END = 0x40
_UNFRAGMENTED = _BEGIN | _END
_HEADER_LENGTH = 32
_ALIGNMENT = 32
_MAX_MESSAGE_LENGTH = 16 << 20  # no publisher makes a longer one


@dataclass(frozen=True, slots=True)
class AssembledHeader:
    """Header of an assembled message: that of its first fragment, its position behind the last."""

    session_id: int
    stream_id: int
    term_id: int
    term_offset: int
    flags: int
    type: int
    frame_length: int
    reserved_value: int
    position: int
    initial_term_id: int
    image: Image


class _Message:
    """What has come of one session's message so far."""

    __slots__ = ("data", "first", "length_before", "next_place")

    def __init__(self) -> None:
        self.data = bytearray()
        self.first: dict[str, Any] = {}
        self.length_before = 0
        self.next_place: tuple[int, int] | None = None  # term id and offset of what must follow

    def add(self, buffer: Any, header: Header) -> bool:
        """Whether the fragment belongs to the message."""
        if header.flags & _BEGIN:
            self.data = bytearray()
            self.first = {
                name: getattr(header, name)
                for name in ("term_id", "term_offset", "reserved_value", "flags", "type")
            }
        elif self.next_place != (header.term_id, header.term_offset):
            self.next_place = None  # its beginning, or something between, has not come
            return False
        self.length_before = len(self.data)
        length = self.length_before + len(buffer)
        if length > _MAX_MESSAGE_LENGTH:
            self.data, self.next_place = bytearray(), None
            start = header.position - ((header.frame_length + _ALIGNMENT - 1) & -_ALIGNMENT)
            raise CorruptLogError(header.session_id, start, header.frame_length, length)
        self.data += memoryview(buffer)
        end = header.term_offset + header.frame_length
        self.next_place = (header.term_id, (end + _ALIGNMENT - 1) & -_ALIGNMENT)
        return True

    def take_back(self, header: Header) -> None:
        """The last fragment will come again."""
        del self.data[self.length_before :]
        self.next_place = (header.term_id, header.term_offset)

    def header(self, last: Header) -> AssembledHeader:
        return AssembledHeader(
            session_id=last.session_id,
            stream_id=last.stream_id,
            term_id=self.first["term_id"],
            term_offset=self.first["term_offset"],
            flags=self.first["flags"] | last.flags,
            type=self.first["type"],
            frame_length=len(self.data) + _HEADER_LENGTH,
            reserved_value=self.first["reserved_value"],
            position=last.position,
            initial_term_id=last.initial_term_id,
            image=last.image,
        )


class FragmentAssembler:
    """A handler for polls of a subscription: calls ``handler(buffer, header)`` with whole messages.

    ``buffer`` is valid inside the handler only; of a message that came in fragments it is a
    read-only memoryview, and ``header`` an :class:`AssembledHeader`. A message whose beginning or
    middle is missing is dropped. Threading: the thread that polls.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._messages: dict[int, _Message] = {}

    def __call__(self, buffer: Any, header: Header) -> None:
        """Take one fragment."""
        if header.flags & _UNFRAGMENTED == _UNFRAGMENTED:
            self._handler(buffer, header)
            return
        message = self._message(header)
        if message.add(buffer, header) and header.flags & _END:
            message.next_place = None
            _call(self._handler, message, header)

    def _message(self, header: Header) -> _Message:
        return self._messages.setdefault(header.session_id, _Message())

    def free(self, session_id: int) -> bool:
        """Forget what has come of a session's message; whether there was anything to forget."""
        return self._messages.pop(session_id, None) is not None

    def clear(self) -> None:
        """Forget what has come of every message."""
        self._messages.clear()


class ControlledFragmentAssembler(FragmentAssembler):
    """As :class:`FragmentAssembler` for controlled polls: the handler gives a ControlledAction.

    After ABORT the message is handed over again by the next poll.
    """

    def __call__(self, buffer: Any, header: Header) -> ControlledAction | None:  # type: ignore[override]
        """Take one fragment; what the handler says to the message it completes."""
        if header.flags & _UNFRAGMENTED == _UNFRAGMENTED:
            action: ControlledAction | None = self._handler(buffer, header)
            return action
        message = self._message(header)
        if not message.add(buffer, header) or not header.flags & _END:
            return ControlledAction.CONTINUE
        message.next_place = None
        action = _call(self._handler, message, header)
        if action is ControlledAction.ABORT:
            message.take_back(header)
        return action


class ImageFragmentAssembler(FragmentAssembler):
    """As :class:`FragmentAssembler` for polls of one image: it looks no session up."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self._only = _Message()

    def _message(self, header: Header) -> _Message:
        return self._only

    def clear(self) -> None:
        """Forget what has come of the message."""
        self._only = _Message()


class ImageControlledFragmentAssembler(ControlledFragmentAssembler):
    """As :class:`ControlledFragmentAssembler` for polls of one image: it looks no session up."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self._only = _Message()

    def _message(self, header: Header) -> _Message:
        return self._only

    def clear(self) -> None:
        """Forget what has come of the message."""
        self._only = _Message()


def _call(handler: Handler, message: _Message, last: Header) -> Any:
    view = memoryview(message.data).toreadonly()
    try:
        return handler(view, message.header(last))
    finally:
        try:
            view.release()
        except BufferError:
            message.data = bytearray(message.data)  # somebody keeps the memory: leave it to them
