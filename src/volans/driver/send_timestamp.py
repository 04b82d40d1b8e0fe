# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The channel's send timestamp (channel-snd-ts-offset): nanoseconds since the epoch, little endian.

It goes into every message that begins in a datagram, behind its header at the channel's offset or
into the header's reserved value, and where the message has no such bytes nowhere. A fragment from
the middle of a message is never touched: what lies there is the application's.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.driver.layout import NetworkPublication
from cython.cimports.volans.log.position import align_frame
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_BEGIN,
    DATA_HEADER_LENGTH,
    FRAME_TYPE_DATA,
    DataHeader,
)

cython.declare(STAMP_LENGTH=int32_t)
STAMP_LENGTH = 8


@cfunc
@nogil
@exceptval(check=False)
def send_timestamps_write(
    publication: pointer[NetworkPublication], datagram: pointer[uint8_t], length: int32_t
) -> cython.void:
    offset: int32_t = 0
    place: int32_t = publication.endpoint.send_timestamp_offset
    now_ns: int64_t = publication.endpoint.engine.now_ns
    frame: pointer[DataHeader]
    if publication.shared.epoch_clock_ns != cython.NULL:
        now_ns = publication.shared.epoch_clock_ns()
    while offset <= length - DATA_HEADER_LENGTH:
        frame = cast(pointer[DataHeader], datagram + offset)
        if frame.frame_length < DATA_HEADER_LENGTH:
            return
        if frame.type == FRAME_TYPE_DATA and frame.flags & DATA_FLAG_BEGIN:
            if place < 0:
                frame.reserved_value = now_ns
            elif place <= frame.frame_length - DATA_HEADER_LENGTH - STAMP_LENGTH:
                memcpy(
                    datagram + offset + DATA_HEADER_LENGTH + place, address(now_ns), STAMP_LENGTH
                )
        offset += align_frame(frame.frame_length)
