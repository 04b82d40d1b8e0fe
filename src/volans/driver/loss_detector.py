# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Finding what was lost, and when to say so. Conductor only.

One gap is active at a time: the first one behind the rebuild position. A change of any of its
bounds makes it a new gap.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.math import exp, log
from cython.cimports.libc.stdint import int32_t, int64_t, uint64_t
from cython.cimports.volans.driver.layout import DriverShared, LossDetector
from cython.cimports.volans.driver.shared import random_i64
from cython.cimports.volans.log.layout import LogBuffers
from cython.cimports.volans.log.position import compute_term_id, index_by_position
from cython.cimports.volans.log.rebuild import term_gap_scan


@cfunc
@nogil
@exceptval(check=False)
def loss_detector_init(detector: pointer[LossDetector]) -> cython.void:
    detector.expiry_ns = 0
    detector.scanned_length = 0
    detector.active_length = 0
    detector.active_term_offset = -1
    detector.scanned_term_offset = -1


@cfunc
@nogil
@exceptval(check=False)
def multicast_backoff_ns(shared: pointer[DriverShared]) -> int64_t:
    """Exponentially few of a group draw a short delay: the first NAK spares the others theirs."""
    group_size: cython.double = shared.nak_multicast_group_size
    longest_ns: cython.double = cast(cython.double, shared.nak_multicast_max_backoff_ns)
    steepness: cython.double = log(group_size if group_size > 1 else 1) + 1
    # 53 random bits as a number from 0 to 1.
    fraction: cython.double = cast(cython.double, cast(uint64_t, random_i64(shared)) >> 11) / cast(
        cython.double, cast(uint64_t, 1) << 53
    )
    return cast(int64_t, longest_ns / steepness * log(1 + fraction * (exp(steepness) - 1)))


@cfunc
@nogil
@exceptval(check=False)
def feedback_delay_ns(
    detector: pointer[LossDetector], shared: pointer[DriverShared], is_retry: bint
) -> int64_t:
    if detector.is_multicast_backoff:
        return multicast_backoff_ns(shared)
    return detector.retry_delay_ns if is_retry else detector.delay_ns


@cfunc
@nogil
@exceptval(check=False)
def is_active_gap_scanned(detector: pointer[LossDetector]) -> bint:
    return (
        detector.active_term_id == detector.scanned_term_id
        and detector.active_term_offset == detector.scanned_term_offset
        and detector.active_length == detector.scanned_length
    )


@cfunc
@nogil
@exceptval(check=False)
def loss_detector_scan(
    detector: pointer[LossDetector],
    log: pointer[LogBuffers],
    rebuild_position: int64_t,
    hwm_position: int64_t,
    now_ns: int64_t,
    shared: pointer[DriverShared],
    loss_found: pointer[int32_t],
    is_due: pointer[int32_t],
) -> int32_t:
    bits: int32_t = log.position_bits_to_shift
    rebuild_offset: int32_t = cast(int32_t, rebuild_position & log.term_length_mask)
    limit_offset: int32_t = log.term_length
    gap_length: int32_t = 0
    loss_found[0] = 0
    is_due[0] = 0
    if rebuild_position >= hwm_position:
        return rebuild_offset
    if rebuild_position >> bits == hwm_position >> bits:
        limit_offset = cast(int32_t, hwm_position & log.term_length_mask)
    detector.scanned_term_id = compute_term_id(rebuild_position, bits, log.initial_term_id)
    rebuild_offset = term_gap_scan(
        log.terms[index_by_position(rebuild_position, bits)],
        detector.scanned_term_id,
        rebuild_offset,
        limit_offset,
        address(gap_length),
    )
    if rebuild_offset >= limit_offset:
        return rebuild_offset
    detector.scanned_term_offset = rebuild_offset
    detector.scanned_length = gap_length
    if not is_active_gap_scanned(detector):
        detector.active_term_id = detector.scanned_term_id
        detector.active_term_offset = detector.scanned_term_offset
        detector.active_length = detector.scanned_length
        detector.expiry_ns = now_ns + feedback_delay_ns(detector, shared, False)
        loss_found[0] = 1
    if now_ns >= detector.expiry_ns:
        detector.expiry_ns = now_ns + feedback_delay_ns(detector, shared, True)
        is_due[0] = 1
    return rebuild_offset
