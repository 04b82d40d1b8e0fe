# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What a receiver accepts from the network.

Behind these checks no length or offset can lead out of a term.
"""

from __future__ import annotations

import cython
from cython import bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.log.layout import TERM_MAX_LENGTH, TERM_MIN_LENGTH
from cython.cimports.volans.protocol.layout import (
    DATA_HEADER_LENGTH,
    ERR_HEADER_LENGTH,
    FRAME_ALIGNMENT,
    FRAME_HEADER_LENGTH,
    FRAME_TYPE_DATA,
    FRAME_TYPE_ERR,
    FRAME_TYPE_NAK,
    FRAME_TYPE_PAD,
    FRAME_TYPE_RES,
    FRAME_TYPE_RSP_SETUP,
    FRAME_TYPE_RTTM,
    FRAME_TYPE_SETUP,
    FRAME_TYPE_SM,
    FRAME_VERSION,
    MAX_UDP_PAYLOAD_LENGTH,
    NAK_LENGTH,
    RSP_SETUP_LENGTH,
    RTTM_LENGTH,
    SETUP_LENGTH,
    SM_LENGTH,
    DataHeader,
    FrameHeader,
    SetupFrame,
)


@cfunc
@nogil
@exceptval(check=False)
def fixed_length(frame_type: int32_t) -> int32_t:
    """Of a control frame; -1 when there is no such type."""
    if frame_type == FRAME_TYPE_SETUP:
        return SETUP_LENGTH
    if frame_type == FRAME_TYPE_RTTM:
        return RTTM_LENGTH
    if frame_type == FRAME_TYPE_SM:
        return SM_LENGTH
    if frame_type == FRAME_TYPE_NAK:
        return NAK_LENGTH
    if frame_type == FRAME_TYPE_ERR:
        return ERR_HEADER_LENGTH
    if frame_type == FRAME_TYPE_RSP_SETUP:
        return RSP_SETUP_LENGTH
    if frame_type == FRAME_TYPE_RES:
        return FRAME_HEADER_LENGTH
    return -1


@cfunc
@nogil
@exceptval(check=False)
def is_frame_valid(packet: pointer[cython.const[uint8_t]], length: int32_t) -> bint:
    header: pointer[FrameHeader] = cast(pointer[FrameHeader], packet)
    least: int32_t
    if length < FRAME_HEADER_LENGTH or header.frame_length < 0 or header.version != FRAME_VERSION:
        return False
    if header.type == FRAME_TYPE_DATA or header.type == FRAME_TYPE_PAD:
        return length >= DATA_HEADER_LENGTH and length % FRAME_ALIGNMENT == 0
    least = fixed_length(header.type)
    return least >= 0 and length >= least and header.frame_length <= length


@cfunc
@nogil
@exceptval(check=False)
def is_setup_valid(setup: pointer[cython.const[SetupFrame]]) -> bint:
    return (
        setup.term_length >= TERM_MIN_LENGTH
        and setup.term_length <= TERM_MAX_LENGTH
        and setup.term_length & (setup.term_length - 1) == 0
        and setup.term_offset >= 0
        and setup.term_offset < setup.term_length
        and setup.term_offset % FRAME_ALIGNMENT == 0
        and setup.mtu_length >= DATA_HEADER_LENGTH
        and setup.mtu_length <= MAX_UDP_PAYLOAD_LENGTH
        and setup.mtu_length % FRAME_ALIGNMENT == 0
        # Term ids wrap: only their difference has a sign that means something.
        and cast(int32_t, setup.active_term_id - setup.initial_term_id) >= 0
    )


@cfunc
@nogil
@exceptval(check=False)
def covered_length(
    packet: pointer[cython.const[uint8_t]], length: int32_t, term_length: int32_t
) -> int32_t:
    frame: pointer[DataHeader] = cast(pointer[DataHeader], packet)
    term_offset: int32_t = frame.term_offset
    offset: int64_t = 0
    is_padding: bint = False
    if term_offset < 0 or term_offset >= term_length or term_offset % FRAME_ALIGNMENT != 0:
        return -1
    if length == DATA_HEADER_LENGTH and frame.frame_length == 0:
        return 0
    while offset <= length - DATA_HEADER_LENGTH:
        frame = cast(pointer[DataHeader], packet + offset)
        # Shorter than its own header would give readers a negative payload.
        if frame.frame_length < DATA_HEADER_LENGTH or frame.term_offset != term_offset + offset:
            return -1
        is_padding = frame.type == FRAME_TYPE_PAD
        if not is_padding and frame.type != FRAME_TYPE_DATA:
            return -1
        offset += (cast(int64_t, frame.frame_length) + FRAME_ALIGNMENT - 1) & ~cast(
            int64_t, FRAME_ALIGNMENT - 1
        )
        if term_offset + offset > term_length:
            return -1
    # Only of padding may there be less than it says: its header travels alone.
    if offset < length or (offset > length and not is_padding):
        return -1
    return cast(int32_t, offset)
