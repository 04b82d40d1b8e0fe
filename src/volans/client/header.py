# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Where a message came from: what its frame header says."""

from __future__ import annotations

import cython
from cython import address, cclass, cfunc, exceptval
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.log.position import align_frame, compute_position
from cython.cimports.volans.protocol.layout import DATA_HEADER_LENGTH


@cython.final
@cclass
class Header:
    """Header of a message (PROTOCOL.md section 3.3); a kept one keeps its values.

    Of an assembled message: flags of first and last fragment together, the first one's term,
    offset and reserved value, and the position behind the last.
    """

    def __init__(self):
        raise TypeError("headers are made by polling a subscription")

    @property
    def session_id(self) -> int:
        """Session of the publication."""
        return self.frame.session_id

    @property
    def stream_id(self) -> int:
        """Stream of the publication."""
        return self.frame.stream_id

    @property
    def term_id(self) -> int:
        """Term the message lies in."""
        return self.frame.term_id

    @property
    def term_offset(self) -> int:
        """Offset of the (first) frame in its term, bytes."""
        return self.frame.term_offset

    @property
    def flags(self) -> int:
        """0x80 begins a message, 0x40 ends it; 0xC0 is a whole one."""
        return self.frame.flags

    @property
    def type(self) -> int:
        """Frame type: 1, data."""
        return self.frame.type

    @property
    def frame_length(self) -> int:
        """Bytes of header and payload."""
        return self.frame.frame_length

    @property
    def reserved_value(self) -> int:
        """The publisher's own 8 bytes, as a signed integer."""
        return self.frame.reserved_value

    @property
    def position(self) -> int:
        """Stream position behind the message, bytes."""
        if self.end_position >= 0:
            return self.end_position
        offset: int64_t = self.frame.term_offset
        return (
            compute_position(self.frame.term_id, 0, self.position_bits_to_shift, self.first_term_id)
            + offset
            + align_frame(self.frame.frame_length)
        )

    @property
    def initial_term_id(self) -> int:
        """Term in which the stream began."""
        return self.first_term_id

    @property
    def image(self):
        """The image it was polled from."""
        return self._image

    def __repr__(self):
        return (
            f"<Header session {self.session_id} stream {self.stream_id} term {self.term_id} "
            f"offset {self.term_offset} position {self.position} flags {self.flags:#04x}>"
        )

    @cfunc
    @exceptval(check=False)
    def detach(self) -> cython.void:
        if self.frame != address(self.own):
            self.own = self.frame[0]
            self.frame = address(self.own)


@cfunc
def make_header(image: object, position_bits_to_shift: int32_t, initial_term_id: int32_t) -> Header:
    header: Header = Header.__new__(Header)
    header._image = image
    header.position_bits_to_shift = position_bits_to_shift
    header.first_term_id = initial_term_id
    header.end_position = -1
    header.own.frame_length = DATA_HEADER_LENGTH
    header.frame = address(header.own)
    return header
