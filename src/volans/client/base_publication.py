# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What concurrent and exclusive publications share."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, pointer, sizeof
from cython.cimports.cpython.buffer import (
    Py_buffer,
    PyBUF_SIMPLE,
    PyBUF_STRIDES,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cython.cimports.cpython.bytearray import (
    PyByteArray_AS_STRING,
    PyByteArray_CheckExact,
    PyByteArray_GET_SIZE,
)
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.client.claim import Claim
from cython.cimports.volans.client.log_file import LogFile
from cython.cimports.volans.log.append import (
    append,
    append_batch,
    append_exclusive,
    append_gather,
    append_gather_exclusive,
    appender_init,
    appender_init_exclusive,
    appender_position,
    claim,
    claim_exclusive,
)
from cython.cimports.volans.log.layout import (
    APPEND_ADMIN_ACTION,
    APPEND_BACK_PRESSURED,
    APPEND_CLOSED,
    APPEND_MAX_POSITION_EXCEEDED,
    APPEND_MESSAGE_TOO_LONG,
    APPEND_NOT_CONNECTED,
    Piece,
)
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
)

from volans.client.results import MessageTooLongError, OfferResult, PublishTimeoutError
from volans.errors import MaxPositionExceededError, PublicationClosedError

_BACK_PRESSURED = OfferResult.BACK_PRESSURED
_NOT_CONNECTED = OfferResult.NOT_CONNECTED
_ADMIN_ACTION = OfferResult.ADMIN_ACTION

_LIMITED_BY = {
    OfferResult.NOT_CONNECTED: "no subscriber is connected",
    OfferResult.BACK_PRESSURED: "the slowest subscriber or flow control holds the position limit",
    OfferResult.ADMIN_ACTION: "the term was being rotated",
}


@cclass
class BasePublication:
    """A stream of messages to all its subscribers.

    Attributes: ``channel``, ``registration_id``, ``original_registration_id`` (of the
    publication it shares), ``position_limit_id`` and ``channel_status_id`` (counters).
    A context manager.
    """

    def __init__(
        self,
        conductor: object,
        log_file: LogFile,
        channel: str,
        stream_id: int32_t,
        session_id: int32_t,
        registration_id: int64_t,
        original_registration_id: int64_t,
        limit_address: int64_t,
        position_limit_id: int32_t,
        channel_status_id: int32_t,
        counters_owner: object,
        exclusive: cython.bint,
    ):
        limit: pointer[int64_t] = cast(pointer[int64_t], cast(cython.p_void, limit_address))
        self.conductor = conductor
        self.log_file = log_file
        self.counters_owner = counters_owner
        self.channel = channel
        self.registration_id = registration_id
        self.original_registration_id = original_registration_id
        self.position_limit_id = position_limit_id
        self.channel_status_id = channel_status_id
        self.exclusive = exclusive
        self.last_result_value = True
        if exclusive:
            appender_init_exclusive(address(self.appender), address(log_file.buffers), limit)
        else:
            appender_init(address(self.appender), address(log_file.buffers), limit)
        self.appender.session_id = session_id
        self.appender.stream_id = stream_id

    # --- publishing ----------------------------------------------------------------------

    def publish(self, message, timeout: float | None = 5.0, reserved_value=None) -> None:
        """Offer until the message is accepted, at most ``timeout`` seconds (None: for ever).

        Waits for a first subscriber as well as for room. Raises PublishTimeoutError, which
        says what held it up, and what ``offer`` raises. In invoker mode the client's work is
        done meanwhile. ``reserved_value``: as for ``offer``.
        """
        reserved: int64_t = 0
        if reserved_value is not None:
            reserved = self.reserved_value_of(reserved_value, message)
        result = self._offer_slowly(message, reserved)
        if result is True:
            return
        waiter = self.conductor.waiter(timeout)
        while result is not True:
            if not waiter.idle():
                raise PublishTimeoutError(result, timeout, _LIMITED_BY[result])
            result = self._offer_slowly(message, reserved)

    @cfunc
    @exceptval(-1, check=True)
    def reserved_value_of(self, given: object, message: object) -> int64_t:
        return given(message) if callable(given) else given

    def _offer_slowly(self, message, reserved_value: int64_t):
        if self.closed != 0:
            self._raise_closed()
        code: int64_t = self.append_object(message, reserved_value)
        if code > 0:
            self.last_position_value = code
            return True
        return self.outcome(code, message)

    def try_claim(self, length: int32_t):
        """Claim room for one message of ``length`` bytes (at most ``max_payload_length``).

        A Claim to fill and commit, or a falsy OfferResult. Raises as ``offer`` does.
        """
        if self.closed != 0:
            self._raise_closed()
        if length < 0 or length > self.appender.max_payload_length:
            raise MessageTooLongError(
                length,
                self.appender.max_payload_length,
                "a claim",
                "claims are one frame; use offer for longer messages",
            )
        claimed: Claim = Claim.__new__(Claim)
        code: int64_t
        if self.exclusive:
            code = claim_exclusive(address(self.appender), length, address(claimed.result))
        else:
            code = claim(address(self.appender), length, address(claimed.result))
        if code > 0:
            claimed.log_file = self.log_file
            claimed.position = code
            self.last_position_value = code
            return claimed
        return self.outcome(code, None)

    def offer_batch(self, messages) -> int:
        """Offer many messages in one call; how many were accepted, from the first on.

        ``messages`` is a two-dimensional array (or other buffer) whose rows are the messages,
        with any distance between rows, or a sequence of buffers, one message each. When fewer
        are accepted ``last_result`` says why. Raises as ``offer`` does, if nothing was
        accepted before.
        """
        if self.closed != 0:
            self._raise_closed()
        if isinstance(messages, (list, tuple)):
            return self._offer_each(messages)
        view: Py_buffer
        code: int64_t = 0
        accepted: int64_t = 0
        more: int64_t
        length: int64_t
        PyObject_GetBuffer(messages, address(view), PyBUF_STRIDES)
        try:
            # Handing out its buffer may have run Python code, which may have closed this.
            if self.closed != 0:
                self._raise_closed()
            if view.ndim != 2 or view.strides[1] != view.itemsize:
                raise ValueError(
                    f"a batch of {view.ndim} dimensions: give rows of contiguous items "
                    f"(two dimensions), or a list of buffers"
                )
            length = view.shape[1] * view.itemsize
            self._check_length(length)
            while accepted < view.shape[0]:
                code = 0
                more = append_batch(
                    address(self.appender),
                    self.exclusive,
                    cast(pointer[uint8_t], view.buf) + accepted * view.strides[0],
                    view.strides[0],
                    cast(int32_t, length),
                    view.shape[0] - accepted,
                    address(code),
                )
                accepted += more
                # A rotation alone is no reason to give up; one in a row without progress is.
                if code != APPEND_ADMIN_ACTION or (
                    more == 0 and self.last_result_value is _ADMIN_ACTION
                ):
                    break
                if more == 0:
                    self.last_result_value = _ADMIN_ACTION
        finally:
            PyBuffer_Release(address(view))
        self.last_result_value = True
        if accepted > 0:
            self.last_position_value = appender_position(address(self.appender), self.exclusive)
        if code < 0 and (accepted == 0 or code > APPEND_CLOSED):
            self.outcome(code, None)
        return accepted

    def _offer_each(self, messages) -> int:
        accepted: int64_t = 0
        code: int64_t
        self.last_result_value = True
        for message in messages:
            # The buffer of the message before may have run Python code that closed this.
            code = APPEND_CLOSED if self.closed != 0 else self.append_object(message, 0)
            if code == APPEND_ADMIN_ACTION:
                code = self.append_object(message, 0)
            if code <= 0:
                if accepted == 0 or code > APPEND_CLOSED:
                    self.outcome(code, message)
                break
            self.last_position_value = code
            accepted += 1
        return accepted

    @cfunc
    @exceptval(-1000, check=True)
    def append_object(self, message: object, reserved_value: int64_t) -> int64_t:
        """Append one message of any kind: the position, or an APPEND_ code.

        The caller has looked at `closed`; a buffer may be Python code that closes, so that it is
        looked at once more behind each.
        """
        view: Py_buffer
        code: int64_t
        data: pointer[uint8_t]
        length: cython.Py_ssize_t
        if PyBytes_CheckExact(message):
            data = cast(pointer[uint8_t], PyBytes_AS_STRING(message))
            length = PyBytes_GET_SIZE(message)
        elif PyByteArray_CheckExact(message):
            data = cast(pointer[uint8_t], PyByteArray_AS_STRING(message))
            length = PyByteArray_GET_SIZE(message)
        elif isinstance(message, (list, tuple)):
            return self.append_pieces(message, reserved_value)
        elif isinstance(message, str):
            raise TypeError("a message is bytes, not str: encode it, for example text.encode()")
        else:
            PyObject_GetBuffer(message, address(view), PyBUF_SIMPLE)
            if self.closed != 0:
                code = APPEND_CLOSED
            elif view.len > self.appender.max_message_length:
                code = APPEND_MESSAGE_TOO_LONG
            elif self.exclusive:
                code = append_exclusive(
                    address(self.appender),
                    cast(pointer[uint8_t], view.buf),
                    cast(int32_t, view.len),
                    reserved_value,
                )
            else:
                code = append(
                    address(self.appender),
                    cast(pointer[uint8_t], view.buf),
                    cast(int32_t, view.len),
                    reserved_value,
                )
            PyBuffer_Release(address(view))
            return code
        if length > self.appender.max_message_length:
            return APPEND_MESSAGE_TOO_LONG
        if self.exclusive:
            return append_exclusive(
                address(self.appender), data, cast(int32_t, length), reserved_value
            )
        return append(address(self.appender), data, cast(int32_t, length), reserved_value)

    @cfunc
    @exceptval(-1000, check=True)
    def append_pieces(self, pieces: object, reserved_value: int64_t) -> int64_t:
        """Append one message gathered from several buffers."""
        count: int32_t = len(pieces)
        held: int32_t = 0
        index: int32_t
        total: int64_t = 0
        code: int64_t
        views: pointer[Py_buffer] = cast(pointer[Py_buffer], calloc(count + 1, sizeof(Py_buffer)))
        parts: pointer[Piece] = cast(pointer[Piece], calloc(count + 1, sizeof(Piece)))
        if views is cython.NULL or parts is cython.NULL:
            free(views)
            free(parts)
            raise MemoryError(f"no memory to gather {count} pieces")
        try:
            for piece in pieces:
                if held == count:
                    break
                PyObject_GetBuffer(piece, address(views[held]), PyBUF_SIMPLE)
                parts[held].data = cast(pointer[uint8_t], views[held].buf)
                parts[held].length = views[held].len
                total += views[held].len
                held += 1
            if self.closed != 0:
                code = APPEND_CLOSED
            elif total > self.appender.max_message_length:
                code = APPEND_MESSAGE_TOO_LONG
            elif self.exclusive:
                code = append_gather_exclusive(
                    address(self.appender), parts, held, total, reserved_value
                )
            else:
                code = append_gather(address(self.appender), parts, held, total, reserved_value)
        finally:
            for index in range(held):
                PyBuffer_Release(address(views[index]))
            free(views)
            free(parts)
        return code

    @cfunc
    def outcome(self, code: int64_t, message: object) -> object:
        """The falsy result for a code, or the exception it means."""
        result: object
        if code == APPEND_BACK_PRESSURED:
            result = _BACK_PRESSURED
        elif code == APPEND_NOT_CONNECTED:
            result = _NOT_CONNECTED
        elif code == APPEND_ADMIN_ACTION:
            result = _ADMIN_ACTION
        elif code == APPEND_MAX_POSITION_EXCEEDED:
            raise MaxPositionExceededError(
                f"{self!r} has come to its last position {self.appender.max_possible_position}: "
                f"close it and add a new one (a longer term-length lasts longer)"
            )
        elif code == APPEND_MESSAGE_TOO_LONG:
            length = (
                sum(memoryview(p).nbytes for p in message)
                if isinstance(message, (list, tuple))
                else memoryview(message).nbytes
            )
            self._check_length(length)
            raise ValueError(f"a message of {length} bytes was refused")
        else:
            self._raise_closed()
        self.last_result_value = result
        return result

    def _check_length(self, length: int64_t) -> None:
        if length > self.appender.max_message_length:
            raise MessageTooLongError(
                length,
                self.appender.max_message_length,
                "a message",
                "split it, or give the channel a longer term-length (limit: an eighth of it)",
            )

    # --- what it is ----------------------------------------------------------------------

    @property
    def last_position(self) -> int:
        """Stream position behind the last message accepted through this object, bytes."""
        return self.last_position_value

    @property
    def last_result(self):
        """Why the last call accepted less than it was given: a falsy OfferResult, else True."""
        return self.last_result_value

    @property
    def session_id(self) -> int:
        """Session of this publication."""
        return self.appender.session_id

    @property
    def stream_id(self) -> int:
        """Stream within the channel."""
        return self.appender.stream_id

    @property
    def is_closed(self) -> bool:
        """Whether the publication, or its client, was closed."""
        return load_acquire_i32(address(self.closed)) != 0

    @property
    def is_connected(self) -> bool:
        """Whether a subscriber is there."""
        if self.closed != 0 or self.log_file is None:
            return False
        return load_acquire_i32(address(self.appender.log.metadata.is_connected)) == 1

    @property
    def is_original(self) -> bool:
        """Whether this client's add made the publication, rather than sharing one."""
        return self.registration_id == self.original_registration_id

    @property
    def position(self) -> int:
        """Stream position of the producers, bytes. Raises PublicationClosedError."""
        if self.closed != 0:
            self._raise_closed()
        return appender_position(address(self.appender), self.exclusive)

    @property
    def position_limit(self) -> int:
        """Stream position up to which messages are accepted. Raises PublicationClosedError."""
        if self.closed != 0:
            self._raise_closed()
        return load_acquire_i64(self.appender.position_limit)

    @property
    def available_window(self) -> int:
        """Bytes that would be accepted now. Raises PublicationClosedError."""
        if self.closed != 0:
            self._raise_closed()
        window: int64_t = load_acquire_i64(self.appender.position_limit) - appender_position(
            address(self.appender), self.exclusive
        )
        return max(0, window)

    @property
    def max_payload_length(self) -> int:
        """Longest message that goes in one frame (and longest claim), bytes."""
        return self.appender.max_payload_length

    @property
    def max_message_length(self) -> int:
        """Longest message, bytes."""
        return self.appender.max_message_length

    @property
    def max_possible_position(self) -> int:
        """Where the stream must end, bytes."""
        return self.appender.max_possible_position

    @property
    def term_buffer_length(self) -> int:
        """Length of each of the three terms, bytes."""
        return self.appender.log.term_length

    @property
    def initial_term_id(self) -> int:
        """Term in which the stream began."""
        return self.appender.log.initial_term_id

    @property
    def channel_status(self):
        """State of the sending media, a ChannelStatus."""
        return self.conductor.channel_status(self.channel_status_id, self.is_closed)

    @property
    def local_socket_addresses(self) -> list:
        """``host:port`` of each socket it sends from; empty for IPC."""
        return self.conductor.local_socket_addresses(self.channel_status_id)

    # --- control -------------------------------------------------------------------------

    def add_destination(self, channel: str, timeout: float | None = None) -> int:
        """Send to one more destination (``control-mode=manual``); its registration id."""
        return self.conductor.change_destination(self, "add", channel, timeout)

    def remove_destination(self, destination: str | int, timeout: float | None = None) -> None:
        """Stop sending to a destination, named by channel or by registration id."""
        self.conductor.change_destination(self, "remove", destination, timeout)

    def close(self) -> None:
        """Give the publication up; again is harmless.

        What was published is still delivered (the driver lingers). No thread may be inside
        another method of it.
        """
        if not self.is_closed:
            self.conductor.remove_publication(self, False)
        self._release()

    def _force_close(self) -> None:
        store_release_i32(address(self.closed), 1)

    def _release(self) -> None:
        self.log_file = None

    def _raise_closed(self):
        error = self.conductor.closed_error
        raise PublicationClosedError(
            f"{self!r} is closed" + (f": {error}" if error else ": add a new one")
        ) from error

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __repr__(self):
        return (
            f"<{type(self).__name__} {self.channel} stream {self.stream_id} "
            f"session {self.session_id}>"
        )
