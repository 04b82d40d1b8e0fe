# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What the conductor does with a gap that is due. Conductor only."""

from __future__ import annotations

import cython
from cython import address, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.driver.layout import PublicationImage
from cython.cimports.volans.memory.atomic import fence_release, store_release_i64
from cython.cimports.volans.memory.loss_report import loss_report_create, loss_report_observe


@cfunc
@nogil
@exceptval(check=False)
def report_loss(
    image: pointer[PublicationImage],
    term_id: int32_t,
    term_offset: int32_t,
    length: int32_t,
    now_ms: int64_t,
) -> cython.void:
    """Count each lost byte once, however often it is asked for."""
    bytes_lost: int64_t = length
    reported_end: int32_t = image.loss_report_term_offset + image.loss_report_length
    if (
        term_id == image.loss_report_term_id
        and image.loss_report_length > 0
        and term_offset < reported_end
    ):
        bytes_lost = term_offset + length - reported_end
    if bytes_lost <= 0:
        return
    if image.loss_report_entry_offset >= 0:
        loss_report_observe(
            address(image.shared.loss_report), image.loss_report_entry_offset, bytes_lost, now_ms
        )
    else:
        image.loss_report_entry_offset = loss_report_create(
            address(image.shared.loss_report),
            bytes_lost,
            now_ms,
            image.session_id,
            image.stream_id,
            image.channel_text,
            image.channel_text_length,
            image.source_identity,
            image.source_identity_length,
        )
    image.loss_report_term_id = term_id
    image.loss_report_term_offset = term_offset
    image.loss_report_length = length


@cfunc
@nogil
@exceptval(check=False)
def image_publish_loss(image: pointer[PublicationImage], now_ms: int64_t) -> cython.void:
    change_number: int64_t = image.begin_loss_change + 1
    store_release_i64(address(image.begin_loss_change), change_number)
    fence_release()
    image.loss_term_id = image.loss_detector.active_term_id
    image.loss_term_offset = image.loss_detector.active_term_offset
    image.loss_length = image.loss_detector.active_length
    store_release_i64(address(image.end_loss_change), change_number)
    report_loss(
        image,
        image.loss_detector.active_term_id,
        image.loss_detector.active_term_offset,
        image.loss_detector.active_length,
        now_ms,
    )
