# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Receive times, written where the channel asks: into the payload or the reserved value.

Only the first fragment of a message is written to; the middle of a message is the publisher's.
"""

from __future__ import annotations

import cython
from cython import cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.driver.layout import (
    TIMESTAMP_OFFSET_NONE,
    TIMESTAMP_OFFSET_RESERVED,
    ReceiveChannelEndpoint,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_BEGIN,
    DATA_HEADER_LENGTH,
    FRAME_TYPE_DATA,
    DataHeader,
)
from cython.cimports.volans.transport.contract import RxDatagram


@cfunc
@nogil
@exceptval(check=False)
def stamp_frame(frame: pointer[DataHeader], offset: int32_t, timestamp_ns: int64_t) -> cython.void:
    # 0: the engine took no time of this datagram.
    if offset == TIMESTAMP_OFFSET_NONE or timestamp_ns == 0:
        return
    if offset == TIMESTAMP_OFFSET_RESERVED:
        frame.reserved_value = timestamp_ns
    elif (
        cast(int64_t, offset) + cast(int32_t, sizeof(int64_t))
        <= frame.frame_length - DATA_HEADER_LENGTH
    ):
        memcpy(
            cast(pointer[uint8_t], frame) + DATA_HEADER_LENGTH + offset,
            cython.address(timestamp_ns),
            sizeof(int64_t),
        )


@cfunc
@nogil
@exceptval(check=False)
def stamp_packet(
    endpoint: pointer[ReceiveChannelEndpoint],
    packet: pointer[cython.const[uint8_t]],
    length: int32_t,
    datagram: pointer[cython.const[RxDatagram]],
) -> cython.void:
    at: int32_t = 0
    frame: pointer[DataHeader]
    if (
        endpoint.media_timestamp_offset == TIMESTAMP_OFFSET_NONE
        and endpoint.channel_timestamp_offset == TIMESTAMP_OFFSET_NONE
    ):
        return
    while at + DATA_HEADER_LENGTH <= length:
        frame = cast(pointer[DataHeader], packet + at)
        if frame.frame_length <= 0 or frame.frame_length > length - at:
            return  # padding, whose payload is not sent
        if frame.type == FRAME_TYPE_DATA and frame.flags & DATA_FLAG_BEGIN:
            stamp_frame(frame, endpoint.media_timestamp_offset, datagram.receive_timestamp_ns)
            stamp_frame(frame, endpoint.channel_timestamp_offset, datagram.channel_timestamp_ns)
        at += (frame.frame_length + 31) & ~31
