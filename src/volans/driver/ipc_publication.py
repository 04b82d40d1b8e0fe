# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""An IPC publication: one log shared by producers and subscribers of this machine. Conductor only.

The conductor moves the publisher limit behind the slowest subscriber, in steps of an eighth of the
window, and
zeroes what every subscriber has consumed. No network: nothing is kept for retransmission
(PROTOCOL.md section 3.7).
"""

from __future__ import annotations

import cython
from cython import address, bint, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.driver.event_sink import SINK_PUBLICATION_REVOKE, tell_revoke
from cython.cimports.volans.driver.layout import (
    STREAM_ACTIVE,
    STREAM_DONE,
    STREAM_DRAINING,
    STREAM_LINGER,
    SYSTEM_PUBLICATIONS_REVOKED,
    SYSTEM_UNBLOCKED_PUBLICATIONS,
    TO_CONTROL_IPC_DONE,
    TO_CONTROL_IPC_LINGER,
    IpcPublication,
    TetherRules,
)
from cython.cimports.volans.driver.shared import stream_event
from cython.cimports.volans.driver.subscribable import (
    active_position_bounds,
    subscribable_add,
    subscribable_remove,
    working_count,
)
from cython.cimports.volans.driver.tether import tether_check
from cython.cimports.volans.log.buffers import log_producer_position
from cython.cimports.volans.log.clean import log_clean
from cython.cimports.volans.log.unblock import log_unblock
from cython.cimports.volans.memory.atomic import (
    counter_add,
    load_acquire_i32,
    load_acquire_u8,
    load_relaxed_i64,
    store_release_i32,
    store_release_i64,
)


@cfunc
@nogil
@exceptval(check=False)
def clean_to(publication: pointer[IpcPublication], position: int64_t) -> cython.void:
    if position > publication.clean_position:
        publication.clean_position = log_clean(
            address(publication.log),
            publication.clean_position,
            position,
            publication.log.term_length,
        )


@cfunc
@nogil
@exceptval(check=False)
def ipc_update_limit(publication: pointer[IpcPublication]) -> int32_t:
    if publication.state != STREAM_ACTIVE:
        return 0
    store_release_i64(
        publication.publisher_position, log_producer_position(address(publication.log))
    )
    slowest: int64_t = 0
    fastest: int64_t = 0
    new_limit: int64_t
    if active_position_bounds(address(publication.subscribers), address(slowest), address(fastest)):
        if fastest > publication.consumer_position:
            publication.consumer_position = fastest
        new_limit = slowest + publication.term_window_length
        if new_limit > publication.trip_limit:
            clean_to(publication, slowest)
            store_release_i64(publication.publisher_limit, new_limit)
            publication.trip_limit = new_limit + publication.trip_gain
            return 1
    elif (
        load_relaxed_i64(publication.publisher_limit) > publication.consumer_position
        and working_count(address(publication.subscribers)) == 0
    ):
        store_release_i64(publication.publisher_limit, publication.consumer_position)
        publication.trip_limit = publication.consumer_position
        clean_to(publication, publication.consumer_position)
        return 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def is_possibly_blocked(publication: pointer[IpcPublication], producer_position: int64_t) -> bint:
    term_count: int32_t = load_acquire_i32(address(publication.log.metadata.active_term_count))
    expected: int32_t = cython.cast(
        int32_t, publication.consumer_position >> publication.log.position_bits_to_shift
    )
    return term_count != expected or producer_position > publication.consumer_position


@cfunc
@nogil
@exceptval(check=False)
def unblock(publication: pointer[IpcPublication]) -> bint:
    if log_unblock(address(publication.log), publication.consumer_position) != 0:
        counter_add(publication.shared.system[SYSTEM_UNBLOCKED_PUBLICATIONS], 1)
        return True
    return False


@cfunc
@nogil
@exceptval(check=False)
def check_for_blocked_publisher(
    publication: pointer[IpcPublication], producer_position: int64_t, now_ns: int64_t
) -> cython.void:
    if publication.consumer_position == publication.last_consumer_position and is_possibly_blocked(
        publication, producer_position
    ):
        if now_ns > publication.time_of_last_consumer_change_ns + publication.unblock_timeout_ns:
            unblock(publication)
    else:
        publication.time_of_last_consumer_change_ns = now_ns
        publication.last_consumer_position = publication.consumer_position


@cfunc
@nogil
@exceptval(check=False)
def is_drained(publication: pointer[IpcPublication], producer_position: int64_t) -> bint:
    slowest: int64_t = 0
    fastest: int64_t = 0
    if active_position_bounds(address(publication.subscribers), address(slowest), address(fastest)):
        return slowest >= producer_position
    return True


@cfunc
@nogil
@exceptval(check=False)
def to_linger(publication: pointer[IpcPublication], now_ns: int64_t) -> bint:
    # A state changes only when the control plane is told; with a full ring the next time event
    # tries.
    if not stream_event(publication.shared, TO_CONTROL_IPC_LINGER, publication.registration_id):
        return False
    publication.state = STREAM_LINGER
    publication.time_of_last_state_change_ns = now_ns
    return True


@cfunc
@nogil
@exceptval(check=False)
def revoke(publication: pointer[IpcPublication], now_ns: int64_t) -> cython.void:
    position: int64_t = log_producer_position(address(publication.log))
    store_release_i64(publication.publisher_limit, position)
    store_release_i64(address(publication.log.metadata.end_of_stream_position), position)
    store_release_i32(address(publication.log.metadata.is_connected), 0)
    if to_linger(publication, now_ns):
        counter_add(publication.shared.system[SYSTEM_PUBLICATIONS_REVOKED], 1)
        if publication.shared.event_sink != cython.NULL:
            tell_revoke(
                publication.shared,
                SINK_PUBLICATION_REVOKE,
                publication.registration_id,
                publication.session_id,
                publication.stream_id,
                position,
                now_ns,
            )


@cfunc
@nogil
@exceptval(check=False)
def join_position_of(publication: pointer[IpcPublication]) -> int64_t:
    """Where the slowest subscriber is: whoever joins sees all that is not yet consumed by all."""
    slowest: int64_t = 0
    fastest: int64_t = 0
    if (
        active_position_bounds(address(publication.subscribers), address(slowest), address(fastest))
        and slowest < publication.consumer_position
    ):
        return slowest
    return publication.consumer_position


@cfunc
@nogil
@exceptval(check=False)
def check_untethered(publication: pointer[IpcPublication], now_ns: int64_t) -> cython.void:
    rules: TetherRules
    window: int64_t = publication.term_window_length
    rules.window_limit_position = publication.consumer_position - window + window // 4
    rules.join_position = join_position_of(publication)
    rules.window_limit_timeout_ns = publication.untethered_window_limit_timeout_ns
    rules.linger_timeout_ns = publication.untethered_linger_timeout_ns
    rules.resting_timeout_ns = publication.untethered_resting_timeout_ns
    tether_check(
        address(publication.subscribers),
        publication.shared,
        publication.registration_id,
        address(rules),
        now_ns,
    )


@cfunc
@nogil
@exceptval(check=False)
def ipc_on_time_event(
    publication: pointer[IpcPublication], now_ns: int64_t, now_ms: int64_t
) -> cython.void:
    producer_position: int64_t
    fastest: int64_t = 0
    slowest: int64_t = 0
    if publication.state == STREAM_ACTIVE:
        if load_acquire_u8(address(publication.log.metadata.is_publication_revoked)) != 0:
            revoke(publication, now_ns)
            return
        check_untethered(publication, now_ns)
        store_release_i32(
            address(publication.log.metadata.is_connected),
            working_count(address(publication.subscribers)) > 0,
        )
        producer_position = log_producer_position(address(publication.log))
        store_release_i64(publication.publisher_position, producer_position)
        if not publication.is_exclusive:
            check_for_blocked_publisher(publication, producer_position, now_ns)
    elif publication.state == STREAM_DRAINING:
        if load_acquire_u8(address(publication.log.metadata.is_publication_revoked)) != 0:
            revoke(publication, now_ns)
            return
        producer_position = log_producer_position(address(publication.log))
        store_release_i64(publication.publisher_position, producer_position)
        if (
            active_position_bounds(
                address(publication.subscribers), address(slowest), address(fastest)
            )
            and fastest > publication.consumer_position
        ):
            publication.consumer_position = fastest
        if is_drained(publication, producer_position):
            to_linger(publication, now_ns)
        else:
            unblock(publication)
    elif (
        publication.state == STREAM_LINGER
        and publication.reference_count <= 0
        and stream_event(publication.shared, TO_CONTROL_IPC_DONE, publication.registration_id)
    ):
        publication.state = STREAM_DONE


@cfunc
@nogil
@exceptval(check=False)
def ipc_on_unreferenced(publication: pointer[IpcPublication], now_ns: int64_t) -> cython.void:
    position: int64_t = log_producer_position(address(publication.log))
    if load_relaxed_i64(publication.publisher_limit) > position:
        store_release_i64(publication.publisher_limit, position)
    store_release_i64(address(publication.log.metadata.end_of_stream_position), position)
    if (
        publication.state == STREAM_ACTIVE
        and load_acquire_u8(address(publication.log.metadata.is_publication_revoked)) == 0
    ):
        publication.state = STREAM_DRAINING
        publication.time_of_last_state_change_ns = now_ns


@cfunc
@nogil
@exceptval(check=False)
def ipc_add_subscriber(
    publication: pointer[IpcPublication],
    position: pointer[int64_t],
    counter_id: int32_t,
    subscription_registration_id: int64_t,
    is_tether: bint,
    is_rejoin: bint,
    now_ns: int64_t,
) -> int64_t:
    join_position: int64_t = join_position_of(publication)
    store_release_i64(position, join_position)
    if (
        subscribable_add(
            address(publication.subscribers),
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
    store_release_i32(address(publication.log.metadata.is_connected), 1)
    return join_position


@cfunc
@nogil
@exceptval(check=False)
def ipc_remove_subscriber(
    publication: pointer[IpcPublication], subscription_registration_id: int64_t
) -> int32_t:
    slowest: int64_t = 0
    fastest: int64_t = 0
    # What the leaving subscriber had read must not be offered to the next one again.
    if (
        active_position_bounds(address(publication.subscribers), address(slowest), address(fastest))
        and fastest > publication.consumer_position
    ):
        publication.consumer_position = fastest
    counter_id: int32_t = subscribable_remove(
        address(publication.subscribers), subscription_registration_id
    )
    if counter_id >= 0 and working_count(address(publication.subscribers)) == 0:
        store_release_i32(address(publication.log.metadata.is_connected), 0)
    return counter_id
