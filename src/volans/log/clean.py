# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Zeroing what everybody has consumed, so that a zero length always means "not written"."""

from __future__ import annotations

from cython import cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.log.layout import LogBuffers
from cython.cimports.volans.log.position import index_by_position
from cython.cimports.volans.memory.atomic import store_release_i64
from cython.cimports.volans.protocol.layout import FRAME_ALIGNMENT


# Positions are frame-aligned; max_bytes is rounded down to whole frame alignments.
@cfunc
@nogil
@exceptval(check=False)
def log_clean(
    log: pointer[LogBuffers], clean_position: int64_t, to_position: int64_t, max_bytes: int64_t
) -> int64_t:
    term_offset: int32_t = cast(int32_t, clean_position & log.term_length_mask)
    length: int64_t = to_position - clean_position
    start: pointer[uint8_t]
    if length > log.term_length - term_offset:
        length = log.term_length - term_offset
    if length > max_bytes:
        length = max_bytes
    length = length & ~cast(int64_t, FRAME_ALIGNMENT - 1)
    if length <= 0:
        return clean_position
    start = log.terms[index_by_position(clean_position, log.position_bits_to_shift)] + term_offset
    # The first frame's length word goes last: who sees it zero sees all behind it zero.
    memset(start + 8, 0, length - 8)
    store_release_i64(cast(pointer[int64_t], start), 0)
    return clean_position + length
