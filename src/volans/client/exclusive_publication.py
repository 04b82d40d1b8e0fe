# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A publication with one producer: its own session, and cheaper to publish on."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, pointer
from cython.cimports.cpython.buffer import (
    Py_buffer,
    PyBUF_SIMPLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.client.base_publication import BasePublication
from cython.cimports.volans.log.append import (
    append_block_exclusive,
    append_exclusive,
    append_padding_exclusive,
)
from cython.cimports.volans.log.position import align_frame
from cython.cimports.volans.protocol.layout import (
    DATA_HEADER_LENGTH,
    FRAME_TYPE_DATA,
    FRAME_TYPE_PAD,
    DataHeader,
)

from volans.client.results import MessageTooLongError


@cython.final
@cclass
class ExclusivePublication(BasePublication):
    """Publishes a stream with a session of its own. Made by ``client.add_exclusive_publication``.

    Attributes: ``revoke_on_close``, False at first: whether ``close`` is to ``revoke``.

    Threading: one thread at a time publishes.
    """

    @cython.binding(False)
    def offer(self, message, reserved_value=None):
        """Publish one message if there is room for it now.

        ``message``: bytes, bytearray, memoryview or any contiguous buffer; a list or tuple of
        such is gathered into one message. ``reserved_value`` travels in the frame header: a
        number, or a function that is given the message and returns it (say, a checksum).

        Returns True, or a falsy OfferResult that says why not: NOT_CONNECTED,
        BACK_PRESSURED, or ADMIN_ACTION (try again at once). Never blocks. The new position is
        ``last_position``. Raises PublicationClosedError, MaxPositionExceededError,
        MessageTooLongError (see ``max_message_length``).
        """
        code: int64_t
        reserved: int64_t = 0
        if reserved_value is not None:
            reserved = self.reserved_value_of(reserved_value, message)
        # Behind it: the function that gives the reserved value may close the publication.
        if self.closed != 0:
            self._raise_closed()
        if (
            PyBytes_CheckExact(message)
            and PyBytes_GET_SIZE(message) <= self.appender.max_message_length
        ):
            code = append_exclusive(
                address(self.appender),
                cast(pointer[uint8_t], PyBytes_AS_STRING(message)),
                cast(int32_t, PyBytes_GET_SIZE(message)),
                reserved,
            )
        else:
            code = self.append_object(message, reserved)
        if code > 0:
            self.last_position_value = code
            return True
        return self.outcome(code, message)

    def append_padding(self, length: int32_t):
        """Put ``length`` bytes of padding (plus header) into the stream, which nobody sees.

        True or a falsy OfferResult, as ``offer``. Raises MessageTooLongError, ValueError.
        """
        if self.closed != 0:
            self._raise_closed()
        if length < 0:
            raise ValueError(f"padding of {length} bytes: give 0 or more")
        self._check_length(length)
        code: int64_t = append_padding_exclusive(address(self.appender), length)
        if code > 0:
            self.last_position_value = code
            return True
        return self.outcome(code, None)

    def offer_block(self, block):
        """Publish whole frames, headers included, that someone else built for this very place.

        The frames' term id, offset, session and stream must be those of this publication's
        next position, and they must fit the rest of the term. True or a falsy OfferResult.
        Raises ValueError naming what does not fit.
        """
        if self.closed != 0:
            self._raise_closed()
        view: Py_buffer
        code: int64_t
        PyObject_GetBuffer(block, address(view), PyBUF_SIMPLE)
        try:
            # Handing out its buffer may have run Python code, which may have closed this.
            if self.closed != 0:
                self._raise_closed()
            self._check_block(cast(int64_t, cast(cython.p_void, view.buf)), cast(int64_t, view.len))
            code = append_block_exclusive(
                address(self.appender), cast(pointer[uint8_t], view.buf), cast(int32_t, view.len)
            )
        finally:
            PyBuffer_Release(address(view))
        if code > 0:
            self.last_position_value = code
            return True
        return self.outcome(code, b"")

    def _check_block(self, block_address: int64_t, length: int64_t) -> None:
        block: pointer[uint8_t] = cast(pointer[uint8_t], cast(cython.p_void, block_address))
        room: int64_t = self.appender.log.term_length - self.appender.term_offset
        offset: int64_t = 0
        frame: pointer[DataHeader]
        if length > room:
            raise MessageTooLongError(
                length, room, "a block", "it must fit the rest of the term: append padding first"
            )
        while offset < length:
            frame = cast(pointer[DataHeader], block + offset)
            if (
                length - offset < DATA_HEADER_LENGTH
                or frame.frame_length < DATA_HEADER_LENGTH
                or align_frame(frame.frame_length) > length - offset
            ):
                raise ValueError(f"block: the frame at offset {offset} does not fit {length} bytes")
            if (frame.type != FRAME_TYPE_DATA and frame.type != FRAME_TYPE_PAD) or (
                frame.session_id != self.appender.session_id
                or frame.stream_id != self.appender.stream_id
                or frame.term_id != self.appender.term_id
                or frame.term_offset != self.appender.term_offset + offset
            ):
                raise ValueError(
                    f"block: the frame at offset {offset} is for session {frame.session_id}, "
                    f"stream {frame.stream_id}, term {frame.term_id}, offset {frame.term_offset}; "
                    f"expected {self.appender.session_id}, {self.appender.stream_id}, "
                    f"{self.appender.term_id}, {self.appender.term_offset + offset}"
                )
            offset += align_frame(frame.frame_length)
        if length == 0:
            raise ValueError("block of 0 bytes: give at least one frame")

    def revoke(self) -> None:
        """Close it at once: no lingering, no recovery of losses; images end where they are."""
        if not self.is_closed:
            self.conductor.remove_publication(self, True)
        self._release()

    def close(self) -> None:
        """Give the publication up, or revoke it when ``revoke_on_close`` is set."""
        if self.revoke_on_close:
            self.revoke()
        else:
            BasePublication.close(self)
