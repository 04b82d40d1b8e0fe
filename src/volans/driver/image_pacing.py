# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A publication image on the conductor's side: what is whole, what may come next, and its life.

PROTOCOL.md section 10.11.
"""

from __future__ import annotations

import cython
from cython import address, bint, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.driver.image_loss import image_publish_loss
from cython.cimports.volans.driver.layout import (
    IMAGE_SM_EOS_MULTIPLE,
    STREAM_ACTIVE,
    STREAM_DONE,
    STREAM_DRAINING,
    STREAM_LINGER,
    SYSTEM_CONDUCTOR_PROXY_FAILS,
    TO_CONTROL_IMAGE_DONE,
    TO_CONTROL_IMAGE_LINGER,
    TO_RECEIVER_REMOVE_IMAGE,
    PublicationImage,
    StreamEvent,
    TetherRules,
)
from cython.cimports.volans.driver.loss_detector import loss_detector_init, loss_detector_scan
from cython.cimports.volans.driver.receiver_commands import command_receiver
from cython.cimports.volans.driver.subscribable import (
    active_position_bounds,
    subscribable_add,
    subscribable_remove,
    working_count,
)
from cython.cimports.volans.driver.tether import tether_check
from cython.cimports.volans.log.clean import log_clean
from cython.cimports.volans.memory.atomic import (
    fence_release,
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    load_acquire_u8,
    load_relaxed_i64,
    propose_max_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_claim, ring_abort, ring_commit


@cfunc
@nogil
@exceptval(check=False)
def image_init_conductor_state(
    image: pointer[PublicationImage], initial_position: int64_t, now_ns: int64_t
) -> cython.void:
    loss_detector_init(address(image.loss_detector))
    if not image.is_reliable:
        # Gaps are filled at once, and no group has to be spared.
        image.loss_detector.delay_ns = 0
        image.loss_detector.retry_delay_ns = 0
        image.loss_detector.is_multicast_backoff = False
    image.state = STREAM_ACTIVE
    image.time_of_last_state_change_ns = now_ns
    image.clean_position = initial_position
    image.loss_report_entry_offset = -1
    image.loss_report_length = 0
    image.max_receiver_window_length = image.congestion_control.ops.max_window_length(image)
    image.next_sm_position = initial_position
    image.next_sm_receiver_window_length = image.congestion_control.ops.initial_window_length(image)


@cfunc
@nogil
@exceptval(check=False)
def schedule_status_message(
    image: pointer[PublicationImage], position: int64_t, window_length: int32_t
) -> cython.void:
    change_number: int64_t = image.begin_sm_change + 1
    # The receiver reads in the opposite order: end, fields, begin.
    store_release_i64(address(image.begin_sm_change), change_number)
    fence_release()
    image.next_sm_position = position
    image.next_sm_receiver_window_length = window_length
    store_release_i64(address(image.end_sm_change), change_number)


@cfunc
@nogil
@exceptval(check=False)
def clean_to(image: pointer[PublicationImage], position: int64_t) -> cython.void:
    if position > image.clean_position:
        image.clean_position = log_clean(
            address(image.log), image.clean_position, position, image.log.term_length
        )


@cfunc
@nogil
@exceptval(check=False)
def is_revoked(image: pointer[PublicationImage]) -> bint:
    return load_acquire_u8(address(image.log.metadata.is_publication_revoked)) != 0


@cfunc
@nogil
@exceptval(check=False)
def image_track_rebuild(
    image: pointer[PublicationImage], now_ns: int64_t, now_ms: int64_t
) -> int32_t:
    slowest: int64_t = 0
    fastest: int64_t = 0
    loss_found: int32_t = 0
    is_due: int32_t = 0
    is_forced: int32_t = 0
    work: int32_t = 0
    if is_revoked(image) or not active_position_bounds(
        address(image.subscribers), address(slowest), address(fastest)
    ):
        return 0
    hwm_position: int64_t = load_acquire_i64(image.receiver_hwm)
    rebuild_position: int64_t = load_relaxed_i64(image.receiver_position)
    # What a subscriber has read is whole.
    if fastest > rebuild_position:
        rebuild_position = fastest
    rebuild_offset: int32_t = loss_detector_scan(
        address(image.loss_detector),
        address(image.log),
        rebuild_position,
        hwm_position,
        now_ns,
        image.shared,
        address(loss_found),
        address(is_due),
    )
    new_rebuild_position: int64_t = (
        rebuild_position - (rebuild_position & image.log.term_length_mask) + rebuild_offset
    )
    if is_due:
        image_publish_loss(image, now_ms)
        work += 1
    work += propose_max_i64(image.receiver_position, new_rebuild_position)
    window_length: int32_t = image.congestion_control.ops.on_track_rebuild(
        image,
        address(is_forced),
        now_ns,
        slowest,
        image.next_sm_position,
        hwm_position,
        rebuild_position,
        new_rebuild_position,
        loss_found,
    )
    if (
        is_forced
        or slowest > image.next_sm_position + window_length // 4
        or window_length != image.next_sm_receiver_window_length
    ):
        # Zero before asking for more: what may come must find an empty term.
        clean_to(image, slowest - image.log.term_length)
        schedule_status_message(image, slowest, window_length)
        work += 1
    return work


@cfunc
@nogil
@exceptval(check=False)
def is_drained(image: pointer[PublicationImage]) -> bint:
    slowest: int64_t = 0
    fastest: int64_t = 0
    if active_position_bounds(address(image.subscribers), address(slowest), address(fastest)):
        return slowest >= load_relaxed_i64(image.receiver_position)
    return True


@cfunc
@nogil
@exceptval(check=False)
def to_draining(image: pointer[PublicationImage], now_ns: int64_t) -> cython.void:
    image.state = STREAM_DRAINING
    image.time_of_last_state_change_ns = now_ns
    # The publication may stop waiting for this receiver.
    store_release_i32(address(image.is_sending_eos_sm), 1)
    store_release_i32(address(image.is_sm_deadline_reset_requested), 1)


@cfunc
@nogil
@exceptval(check=False)
def claim_control_event(image: pointer[PublicationImage], msg_type_id: int32_t) -> int32_t:
    """Index of a written but uncommitted event, or negative when the ring is full."""
    event: StreamEvent
    index: int32_t = mpsc_ring_claim(
        address(image.shared.to_control), msg_type_id, sizeof(StreamEvent)
    )
    if index < 0:
        fetch_add_i64(image.shared.system[SYSTEM_CONDUCTOR_PROXY_FAILS], 1)
        return index
    event.registration_id = image.correlation_id
    memcpy(image.shared.to_control.buffer + index, address(event), sizeof(StreamEvent))
    return index


@cfunc
@nogil
@exceptval(check=False)
def to_linger(image: pointer[PublicationImage], now_ns: int64_t) -> cython.void:
    """Both are told or none; with a full ring the next time event tries again."""
    index: int32_t = claim_control_event(image, TO_CONTROL_IMAGE_LINGER)
    if index < 0:
        return
    if not command_receiver(
        image.shared,
        TO_RECEIVER_REMOVE_IMAGE,
        image.endpoint,
        image,
        image.stream_id,
        image.session_id,
    ):
        ring_abort(address(image.shared.to_control), index)
        return
    # After the command: the control plane ends the cool-down that the removal begins.
    ring_commit(address(image.shared.to_control), index)
    image.state = STREAM_LINGER
    image.time_of_last_state_change_ns = now_ns


@cfunc
@nogil
@exceptval(check=False)
def has_ended(image: pointer[PublicationImage], now_ns: int64_t) -> bint:
    return (
        is_revoked(image)
        or working_count(address(image.subscribers)) == 0
        or now_ns - load_acquire_i64(address(image.time_of_last_packet_ns))
        > image.liveness_timeout_ns
        or (
            load_acquire_i32(address(image.is_end_of_stream)) != 0
            and load_relaxed_i64(image.receiver_position) >= load_acquire_i64(image.receiver_hwm)
        )
    )


@cfunc
@nogil
@exceptval(check=False)
def check_untethered(image: pointer[PublicationImage], now_ns: int64_t) -> cython.void:
    rules: TetherRules
    slowest: int64_t = 0
    fastest: int64_t = 0
    window: int64_t = image.next_sm_receiver_window_length
    active_position_bounds(address(image.subscribers), address(slowest), address(fastest))
    rules.window_limit_position = fastest - window + window // 4
    rules.join_position = image_join_position(image)
    rules.window_limit_timeout_ns = image.untethered_window_limit_timeout_ns
    rules.linger_timeout_ns = image.untethered_linger_timeout_ns
    rules.resting_timeout_ns = image.untethered_resting_timeout_ns
    tether_check(
        address(image.subscribers), image.shared, image.correlation_id, address(rules), now_ns
    )


@cfunc
@nogil
@exceptval(check=False)
def image_on_time_event(
    image: pointer[PublicationImage], now_ns: int64_t, now_ms: int64_t
) -> cython.void:
    index: int32_t
    since_change_ns: int64_t = now_ns - image.time_of_last_state_change_ns
    if image.state == STREAM_ACTIVE:
        check_untethered(image, now_ns)
        if has_ended(image, now_ns):
            to_draining(image, now_ns)
    elif image.state == STREAM_DRAINING:
        if is_revoked(image) or (
            is_drained(image)
            and since_change_ns > IMAGE_SM_EOS_MULTIPLE * image.status_message_timeout_ns
        ):
            to_linger(image, now_ns)
    elif image.state == STREAM_LINGER and (
        working_count(address(image.subscribers)) == 0
        or since_change_ns > image.liveness_timeout_ns
    ):
        index = claim_control_event(image, TO_CONTROL_IMAGE_DONE)
        if index >= 0:
            ring_commit(address(image.shared.to_control), index)
            image.state = STREAM_DONE


@cfunc
@nogil
@exceptval(check=False)
def image_accepts_subscribers(image: pointer[PublicationImage]) -> bint:
    # One that nobody reads any more is about to end, and the receiver may have dropped it with the
    # last subscription's interest: whoever comes now waits for a new image.
    return working_count(address(image.subscribers)) > 0 and (
        image.state == STREAM_ACTIVE or (image.state == STREAM_DRAINING and not is_drained(image))
    )


@cfunc
@nogil
@exceptval(check=False)
def image_join_position(image: pointer[PublicationImage]) -> int64_t:
    slowest: int64_t = 0
    fastest: int64_t = 0
    position: int64_t = load_relaxed_i64(image.receiver_position)
    if (
        active_position_bounds(address(image.subscribers), address(slowest), address(fastest))
        and slowest < position
    ):
        return slowest
    return position


@cfunc
@nogil
@exceptval(check=False)
def image_add_subscriber(
    image: pointer[PublicationImage],
    position: pointer[int64_t],
    counter_id: int32_t,
    subscription_registration_id: int64_t,
    is_tether: bint,
    is_rejoin: bint,
    now_ns: int64_t,
) -> int64_t:
    join_position: int64_t = image_join_position(image)
    store_release_i64(position, join_position)
    if (
        subscribable_add(
            address(image.subscribers),
            position,
            counter_id,
            subscription_registration_id,
            is_tether,
            is_rejoin,
            now_ns,
        )
        < 0
    ):
        return -1
    return join_position


@cfunc
@nogil
@exceptval(check=False)
def image_remove_subscriber(
    image: pointer[PublicationImage], subscription_registration_id: int64_t
) -> int32_t:
    return subscribable_remove(address(image.subscribers), subscription_registration_id)
