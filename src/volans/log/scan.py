# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What a sender may put into one datagram."""

from __future__ import annotations

from cython import address, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, uint8_t
from cython.cimports.volans.log.position import align_frame
from cython.cimports.volans.memory.atomic import load_acquire_i32
from cython.cimports.volans.protocol.layout import (
    DATA_HEADER_LENGTH,
    FRAME_TYPE_PAD,
    DataHeader,
)


# The caller keeps max_length within the rest of the term. Reads each length word with acquire:
# behind a positive one the whole frame is visible.
@cfunc
@nogil
@exceptval(check=False)
def scan_for_availability(
    term: pointer[uint8_t], term_offset: int32_t, max_length: int32_t, padding: pointer[int32_t]
) -> int32_t:
    available: int32_t = 0
    frame_length: int32_t
    header: pointer[DataHeader]
    padding[0] = 0
    while available < max_length:
        header = cast(pointer[DataHeader], term + term_offset + available)
        frame_length = load_acquire_i32(address(header.frame_length))
        if frame_length <= 0:
            break
        if header.type == FRAME_TYPE_PAD:
            # A padding frame travels as its header alone, and nothing can follow it.
            if available + DATA_HEADER_LENGTH > max_length:
                return available if available > 0 else -cast(int32_t, DATA_HEADER_LENGTH)
            padding[0] = align_frame(frame_length) - DATA_HEADER_LENGTH
            return available + DATA_HEADER_LENGTH
        if frame_length > max_length - available or (
            align_frame(frame_length) > max_length - available
        ):
            return available if available > 0 else -align_frame(frame_length)
        available += align_frame(frame_length)
    return available
