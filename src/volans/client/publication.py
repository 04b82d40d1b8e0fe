# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A publication that threads and clients share."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, pointer
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.client.base_publication import BasePublication
from cython.cimports.volans.log.append import append


@cython.final
@cclass
class Publication(BasePublication):
    """Publishes a stream shared by all who add it. Made by ``client.add_publication``.

    Threading: any thread may publish at any time, without locks.
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
            code = append(
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
