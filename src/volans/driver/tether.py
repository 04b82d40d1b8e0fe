# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Untethered subscribers: who lags for too long is let go, rests, and comes back.

One machine for the subscribers of IPC publications, of images, and for spies. The stream says where
its window ends and where to join; the table below says what follows. Conductor only.
"""

from __future__ import annotations

import cython
from cython import address, bint, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.layout import (
    SUBSCRIBER_ACTIVE,
    SUBSCRIBER_CLOSED,
    SUBSCRIBER_LINGER,
    SUBSCRIBER_RESTING,
    TO_CONTROL_SUBSCRIBER_ACTIVE,
    TO_CONTROL_SUBSCRIBER_CLOSED,
    TO_CONTROL_SUBSCRIBER_LINGER,
    DriverShared,
    Subscribable,
    Subscriber,
    SubscriberEvent,
    TetherRules,
)
from cython.cimports.volans.driver.shared import to_control
from cython.cimports.volans.driver.tether_layout import (
    TETHER_EDGE_COUNT,
    TETHER_LAGGED,
    TETHER_LINGERED,
    TETHER_LINGERED_FOR_GOOD,
    TETHER_NOTHING,
    TETHER_RESTED,
    TetherEdge,
)
from cython.cimports.volans.memory.atomic import load_acquire_i64, store_release_i64

NO_MESSAGE = cython.declare(int32_t, 0)

# state, what happened → next state, what the control plane is told.
_edges = cython.declare(TetherEdge[4])
_edges[0] = TetherEdge(
    SUBSCRIBER_ACTIVE, TETHER_LAGGED, SUBSCRIBER_LINGER, TO_CONTROL_SUBSCRIBER_LINGER
)
_edges[1] = TetherEdge(SUBSCRIBER_LINGER, TETHER_LINGERED, SUBSCRIBER_RESTING, NO_MESSAGE)
_edges[2] = TetherEdge(
    SUBSCRIBER_LINGER, TETHER_LINGERED_FOR_GOOD, SUBSCRIBER_CLOSED, TO_CONTROL_SUBSCRIBER_CLOSED
)
_edges[3] = TetherEdge(
    SUBSCRIBER_RESTING, TETHER_RESTED, SUBSCRIBER_ACTIVE, TO_CONTROL_SUBSCRIBER_ACTIVE
)

STATE_NAMES = {
    SUBSCRIBER_ACTIVE: "ACTIVE",
    SUBSCRIBER_LINGER: "LINGER",
    SUBSCRIBER_RESTING: "RESTING",
    SUBSCRIBER_CLOSED: "CLOSED",
}
CAUSE_NAMES = {
    TETHER_LAGGED: "lagged behind the window for the window limit time-out",
    TETHER_LINGERED: "linger time-out, may rejoin",
    TETHER_LINGERED_FOR_GOOD: "linger time-out, may not rejoin",
    TETHER_RESTED: "resting time-out",
}


def tether_edges() -> list[tuple[str, str, str]]:
    """The machine's edges as (state, cause, next state): what documentation is drawn from."""
    return [
        (
            STATE_NAMES[_edges[i].state],
            CAUSE_NAMES[_edges[i].cause],
            STATE_NAMES[_edges[i].next_state],
        )
        for i in range(TETHER_EDGE_COUNT)
    ]


@cfunc
@nogil
@exceptval(check=False)
def cause_of(
    subscriber: pointer[Subscriber], rules: pointer[cython.const[TetherRules]], now_ns: int64_t
) -> int32_t:
    """What has happened to a subscriber since it was last looked at."""
    elapsed_ns: int64_t = now_ns - subscriber.time_of_last_update_ns
    if subscriber.state == SUBSCRIBER_ACTIVE:
        # The client writes its position with release.
        if load_acquire_i64(subscriber.position) > rules.window_limit_position:
            subscriber.time_of_last_update_ns = now_ns
        elif elapsed_ns > rules.window_limit_timeout_ns:
            return TETHER_LAGGED
    elif subscriber.state == SUBSCRIBER_LINGER:
        if elapsed_ns > rules.linger_timeout_ns:
            return TETHER_LINGERED if subscriber.is_rejoin else TETHER_LINGERED_FOR_GOOD
    elif subscriber.state == SUBSCRIBER_RESTING and elapsed_ns > rules.resting_timeout_ns:
        return TETHER_RESTED
    return TETHER_NOTHING


@cfunc
@nogil
@exceptval(check=False)
def tell(
    subscriber: pointer[Subscriber],
    shared: pointer[DriverShared],
    registration_id: int64_t,
    message: int32_t,
) -> bint:
    event: SubscriberEvent
    if message == NO_MESSAGE:
        return True
    memset(address(event), 0, sizeof(SubscriberEvent))
    event.registration_id = registration_id
    event.subscription_registration_id = subscriber.subscription_registration_id
    event.counter_id = subscriber.counter_id
    return to_control(shared, message, address(event), sizeof(SubscriberEvent))


@cfunc
@nogil
@exceptval(check=False)
def follow(
    edge: pointer[TetherEdge],
    subscriber: pointer[Subscriber],
    shared: pointer[DriverShared],
    registration_id: int64_t,
    rules: pointer[cython.const[TetherRules]],
    now_ns: int64_t,
) -> bint:
    """Take an edge, unless the control plane cannot be told: then the next time event does."""
    if edge.next_state == SUBSCRIBER_ACTIVE:
        # Before the client hears of the image: it begins where the counter says.
        store_release_i64(subscriber.position, rules.join_position)
    if not tell(subscriber, shared, registration_id, edge.message):
        return False
    if edge.next_state == SUBSCRIBER_CLOSED:
        # The control plane frees it now: not once more with the subscription.
        subscriber.counter_id = -1
    subscriber.state = edge.next_state
    subscriber.time_of_last_update_ns = now_ns
    return True


@cfunc
@nogil
@exceptval(check=False)
def tether_check(
    subscribers: pointer[Subscribable],
    shared: pointer[DriverShared],
    registration_id: int64_t,
    rules: pointer[cython.const[TetherRules]],
    now_ns: int64_t,
) -> int32_t:
    i: int32_t
    number: int32_t
    cause: int32_t
    moved: int32_t = 0
    for i in range(subscribers.count):
        if subscribers.array[i].is_tether:
            continue
        cause = cause_of(address(subscribers.array[i]), rules, now_ns)
        if cause == TETHER_NOTHING:
            continue
        for number in range(TETHER_EDGE_COUNT):
            if _edges[number].state == subscribers.array[i].state and _edges[number].cause == cause:
                moved += follow(
                    address(_edges[number]),
                    address(subscribers.array[i]),
                    shared,
                    registration_id,
                    rules,
                    now_ns,
                )
                break
    return moved
