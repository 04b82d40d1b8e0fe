# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What an image is: a publisher's log, and this subscription's place in it."""

from __future__ import annotations

from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t
from cython.cimports.volans.client.layout import ImageState
from cython.cimports.volans.client.log_file import LogFile
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    load_acquire_u8,
)

from volans.errors import SubscriptionClosedError


@cfunc
@nogil
@exceptval(check=False)
def image_position(image: pointer[ImageState]) -> int64_t:
    if load_acquire_i32(address(image.closed)) != 0:
        return image.final_position
    return image.read_position


@cclass
class BaseImage:
    """State and description of an image; :class:`volans.client.image.Image` reads it.

    Attributes: ``correlation_id``, ``subscriber_position_id`` (counter), ``source_identity``
    (``address:port`` of the publisher, or ``aeron:ipc``).

    Threading: properties may be read by any thread.
    """

    def __init__(
        self,
        conductor: object,
        subscription: object,
        log_file: LogFile,
        position_address: int64_t,
        counters_owner: object,
        correlation_id: int64_t,
        session_id: int32_t,
        stream_id: int32_t,
        subscriber_position_id: int32_t,
        source_identity: str,
    ):
        state: pointer[ImageState] = address(self.state)
        self.conductor = conductor
        self._subscription = subscription
        self.log_file = log_file
        self.counters_owner = counters_owner
        self.correlation_id = correlation_id
        self.subscriber_position_id = subscriber_position_id
        self.source_identity = source_identity
        state.log = log_file.buffers
        state.subscriber_position = cast(pointer[int64_t], cast(p_void, position_address))
        state.session_id = session_id
        state.stream_id = stream_id
        state.join_position = load_acquire_i64(state.subscriber_position)
        state.read_position = state.join_position
        state.final_position = state.join_position
        state.end_of_stream_position = INT64_MAX

    @property
    def session_id(self) -> int:
        """Session of the publication."""
        return self.state.session_id

    @property
    def stream_id(self) -> int:
        """Stream of the publication."""
        return self.state.stream_id

    @property
    def subscription(self):
        """The subscription it belongs to."""
        return self._subscription

    @property
    def join_position(self) -> int:
        """Stream position at which the subscription joined, bytes."""
        return self.state.join_position

    @property
    def position(self) -> int:
        """Stream position behind the last message read, bytes; the final one once closed."""
        return image_position(address(self.state))

    @property
    def initial_term_id(self) -> int:
        """Term in which the stream began."""
        return self.state.log.initial_term_id

    @property
    def term_buffer_length(self) -> int:
        """Length of each of the three terms, bytes."""
        return self.state.log.term_length

    @property
    def mtu_length(self) -> int:
        """Longest frame of the publication, bytes. Raises when the mapping is gone."""
        self._mapped()
        return self.state.log.metadata.mtu_length

    @property
    def is_closed(self) -> bool:
        """Whether the image is unavailable, or its subscription or client closed."""
        return load_acquire_i32(address(self.state.closed)) != 0

    @property
    def end_of_stream_position(self) -> int:
        """Where the stream ends, 2**63 - 1 while that is unknown."""
        if load_acquire_i32(address(self.state.closed)) != 0:
            return self.state.end_of_stream_position
        return self.state.log.metadata.end_of_stream_position

    @property
    def is_end_of_stream(self) -> bool:
        """Whether everything up to the end of the stream has been read."""
        return image_position(address(self.state)) >= self.end_of_stream_position

    @property
    def is_publication_revoked(self) -> bool:
        """Whether the publisher ended the stream at once, unread data included."""
        if self.log_file is None:
            return False
        return load_acquire_u8(address(self.state.log.metadata.is_publication_revoked)) != 0

    @property
    def active_transport_count(self) -> int:
        """Receive destinations on which the stream currently arrives."""
        if self.log_file is None or load_acquire_i32(address(self.state.closed)) != 0:
            return 0
        return load_acquire_i32(address(self.state.log.metadata.active_transport_count))

    def reject(self, reason: str) -> None:
        """Refuse the image: publishers get the reason (ASCII, at most 1023 bytes) as an error.

        Raises ValueError for a longer reason, SubscriptionClosedError when the image is closed.
        """
        if load_acquire_i32(address(self.state.closed)) != 0:
            raise SubscriptionClosedError(f"image of session {self.session_id} is closed")
        self.conductor.reject_image(self.correlation_id, self.position, reason)

    def __repr__(self):
        state = "closed" if self.is_closed else "open"
        return (
            f"<{type(self).__name__} session {self.session_id} stream {self.stream_id} "
            f"from {self.source_identity} position {self.position} {state}>"
        )

    def _mapped(self) -> None:
        if self.log_file is None:
            raise SubscriptionClosedError(f"image of session {self.session_id} is closed")
