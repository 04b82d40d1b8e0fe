# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A network publication, conductor's side.

How far publishers may go, what is zeroed behind them, and when it all ends.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.driver.event_sink import SINK_PUBLICATION_REVOKE, tell_revoke
from cython.cimports.volans.driver.layout import (
    STREAM_ACTIVE,
    STREAM_DONE,
    STREAM_DRAINING,
    STREAM_LINGER,
    SYSTEM_PUBLICATIONS_REVOKED,
    SYSTEM_UNBLOCKED_PUBLICATIONS,
    TO_CONTROL_PUBLICATION_DONE,
    TO_CONTROL_PUBLICATION_LINGER,
    NetworkPublication,
    TetherRules,
)
from cython.cimports.volans.driver.publication_status import (
    publication_has_subscribers,
    publication_set_connected,
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
    load_acquire_i64,
    load_acquire_u8,
    load_relaxed_i64,
    store_release_i32,
    store_release_i64,
)


@cfunc
@nogil
@exceptval(check=False)
def clean_to(publication: pointer[NetworkPublication], position: int64_t) -> cython.void:
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
def is_clean_ahead(publication: pointer[NetworkPublication], limit: int64_t) -> bint:
    """Whether the term `limit` lies in is zeroed, or at least the zeroing has begun."""
    term_gap: int64_t = (limit >> publication.log.position_bits_to_shift) - (
        publication.clean_position >> publication.log.position_bits_to_shift
    )
    return term_gap < 2 or (
        term_gap == 2 and publication.clean_position & publication.log.term_length_mask != 0
    )


@cfunc
@nogil
@exceptval(check=False)
def slowest_consumer(publication: pointer[NetworkPublication], sender_position: int64_t) -> int64_t:
    """Of the sender and the active spies; the fastest spy is told to the sender."""
    slowest: int64_t = sender_position
    fastest: int64_t = sender_position
    active_position_bounds(address(publication.spies), address(slowest), address(fastest))
    if fastest > publication.max_spy_position:
        store_release_i64(address(publication.max_spy_position), fastest)
    return slowest if slowest < sender_position else sender_position


@cfunc
@nogil
@exceptval(check=False)
def publication_update_limit(publication: pointer[NetworkPublication]) -> int32_t:
    sender_position: int64_t
    slowest: int64_t
    new_limit: int64_t
    if publication.state != STREAM_ACTIVE:
        return 0
    sender_position = load_acquire_i64(publication.sender_position)
    store_release_i64(
        publication.publisher_position, log_producer_position(address(publication.log))
    )
    if publication_has_subscribers(publication):
        slowest = slowest_consumer(publication, sender_position)
        new_limit = slowest + publication.term_window_length
        if new_limit <= load_relaxed_i64(publication.publisher_limit):
            return 0
        # A whole term behind the consumers is kept, for retransmission.
        clean_to(publication, slowest - publication.log.term_length)
        if is_clean_ahead(publication, new_limit):
            store_release_i64(publication.publisher_limit, new_limit)
        return 1
    if load_relaxed_i64(publication.publisher_limit) > sender_position:
        publication_set_connected(publication, False)
        store_release_i64(publication.publisher_limit, sender_position)
        clean_to(publication, sender_position - publication.log.term_length)
        return 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def is_possibly_blocked(
    publication: pointer[NetworkPublication],
    producer_position: int64_t,
    sender_position: int64_t,
) -> bint:
    term_count: int32_t = load_acquire_i32(address(publication.log.metadata.active_term_count))
    expected: int32_t = cast(int32_t, sender_position >> publication.log.position_bits_to_shift)
    return term_count != expected or producer_position > sender_position


@cfunc
@nogil
@exceptval(check=False)
def unblock(publication: pointer[NetworkPublication], position: int64_t) -> bint:
    if log_unblock(address(publication.log), position) != 0:
        counter_add(publication.shared.system[SYSTEM_UNBLOCKED_PUBLICATIONS], 1)
        return True
    return False


@cfunc
@nogil
@exceptval(check=False)
def check_for_blocked_publisher(
    publication: pointer[NetworkPublication], producer_position: int64_t, now_ns: int64_t
) -> cython.void:
    sender_position: int64_t = load_acquire_i64(publication.sender_position)
    if sender_position == publication.last_sender_position and is_possibly_blocked(
        publication, producer_position, sender_position
    ):
        if now_ns > publication.time_of_last_activity_ns + publication.unblock_timeout_ns:
            unblock(publication, sender_position)
    else:
        publication.time_of_last_activity_ns = now_ns
        publication.last_sender_position = sender_position


@cfunc
@nogil
@exceptval(check=False)
def are_spies_finished(publication: pointer[NetworkPublication], end_position: int64_t) -> bint:
    slowest: int64_t = 0
    fastest: int64_t = 0
    if active_position_bounds(address(publication.spies), address(slowest), address(fastest)):
        return slowest >= end_position
    return True


@cfunc
@nogil
@exceptval(check=False)
def to_linger(publication: pointer[NetworkPublication], now_ns: int64_t) -> bint:
    # A state changes only when the control plane is told; with a full ring the next time event
    # tries.
    if not stream_event(
        publication.shared, TO_CONTROL_PUBLICATION_LINGER, publication.registration_id
    ):
        return False
    publication.state = STREAM_LINGER
    publication.time_of_last_activity_ns = now_ns
    store_release_i32(address(publication.has_spies), 0)
    return True


@cfunc
@nogil
@exceptval(check=False)
def is_revoked(publication: pointer[NetworkPublication]) -> bint:
    return load_acquire_u8(address(publication.log.metadata.is_publication_revoked)) != 0


@cfunc
@nogil
@exceptval(check=False)
def on_revoked(publication: pointer[NetworkPublication], now_ns: int64_t) -> cython.void:
    position: int64_t = log_producer_position(address(publication.log))
    store_release_i64(publication.publisher_limit, position)
    store_release_i64(address(publication.log.metadata.end_of_stream_position), position)
    publication_set_connected(publication, False)
    store_release_i32(address(publication.is_end_of_stream), 1)
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
def check_untethered(publication: pointer[NetworkPublication], now_ns: int64_t) -> cython.void:
    rules: TetherRules
    window: int64_t = publication.term_window_length
    rules.join_position = load_acquire_i64(publication.sender_position)
    rules.window_limit_position = rules.join_position - window + window // 4
    rules.window_limit_timeout_ns = publication.untethered_window_limit_timeout_ns
    rules.linger_timeout_ns = publication.untethered_linger_timeout_ns
    rules.resting_timeout_ns = publication.untethered_resting_timeout_ns
    if tether_check(
        address(publication.spies),
        publication.shared,
        publication.registration_id,
        address(rules),
        now_ns,
    ):
        update_has_spies(publication)


@cfunc
@nogil
@exceptval(check=False)
def while_active(publication: pointer[NetworkPublication], now_ns: int64_t) -> cython.void:
    producer_position: int64_t
    if is_revoked(publication):
        on_revoked(publication, now_ns)
        return
    check_untethered(publication, now_ns)
    publication_set_connected(publication, publication_has_subscribers(publication))
    producer_position = log_producer_position(address(publication.log))
    store_release_i64(publication.publisher_position, producer_position)
    if not publication.is_exclusive:
        check_for_blocked_publisher(publication, producer_position, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def while_draining(publication: pointer[NetworkPublication], now_ns: int64_t) -> cython.void:
    producer_position: int64_t = log_producer_position(address(publication.log))
    sender_position: int64_t = load_acquire_i64(publication.sender_position)
    store_release_i64(publication.publisher_position, producer_position)
    if producer_position > sender_position:
        # No producer is left: what is reserved and not committed never will be.
        if unblock(publication, sender_position):
            return
        if load_acquire_i32(address(publication.has_receivers)) != 0:
            return
    else:
        store_release_i32(address(publication.is_end_of_stream), 1)
    if are_spies_finished(publication, producer_position):
        to_linger(publication, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def while_lingering(publication: pointer[NetworkPublication], now_ns: int64_t) -> cython.void:
    if publication.reference_count > 0:
        return
    if (
        load_acquire_i32(address(publication.has_received_unicast_eos)) != 0
        or now_ns > publication.time_of_last_activity_ns + publication.linger_timeout_ns
    ) and stream_event(
        publication.shared, TO_CONTROL_PUBLICATION_DONE, publication.registration_id
    ):
        publication.state = STREAM_DONE


@cfunc
@nogil
@exceptval(check=False)
def publication_on_time_event(
    publication: pointer[NetworkPublication], now_ns: int64_t, now_ms: int64_t
) -> cython.void:
    if publication.state == STREAM_ACTIVE:
        while_active(publication, now_ns)
    elif publication.state == STREAM_DRAINING:
        while_draining(publication, now_ns)
    elif publication.state == STREAM_LINGER:
        while_lingering(publication, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def publication_on_unreferenced(
    publication: pointer[NetworkPublication], now_ns: int64_t
) -> cython.void:
    position: int64_t = log_producer_position(address(publication.log))
    publication.time_of_last_activity_ns = now_ns
    store_release_i64(publication.publisher_limit, position)
    store_release_i64(address(publication.log.metadata.end_of_stream_position), position)
    if publication.state != STREAM_ACTIVE or is_revoked(publication):
        return
    if load_acquire_i64(publication.sender_position) >= position:
        store_release_i32(address(publication.is_end_of_stream), 1)
    publication.state = STREAM_DRAINING


@cfunc
@nogil
@exceptval(check=False)
def update_has_spies(publication: pointer[NetworkPublication]) -> cython.void:
    store_release_i32(
        address(publication.has_spies),
        1 if working_count(address(publication.spies)) > 0 else 0,
    )
    if publication.spies_simulate_connection:
        publication_set_connected(publication, publication_has_subscribers(publication))


@cfunc
@nogil
@exceptval(check=False)
def publication_add_spy(
    publication: pointer[NetworkPublication],
    position: pointer[int64_t],
    counter_id: int32_t,
    subscription_registration_id: int64_t,
    is_tether: bint,
    is_rejoin: bint,
    now_ns: int64_t,
) -> int64_t:
    join_position: int64_t = load_acquire_i64(publication.sender_position)
    store_release_i64(position, join_position)
    if (
        subscribable_add(
            address(publication.spies),
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
    update_has_spies(publication)
    return join_position


@cfunc
@nogil
@exceptval(check=False)
def publication_remove_spy(
    publication: pointer[NetworkPublication], subscription_registration_id: int64_t
) -> int32_t:
    counter_id: int32_t = subscribable_remove(
        address(publication.spies), subscription_registration_id
    )
    if counter_id >= 0 and publication.state < STREAM_LINGER:
        update_has_spies(publication)
    return counter_id
