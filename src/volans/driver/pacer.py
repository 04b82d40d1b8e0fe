# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The pacer: the conductor's GIL-free half.

Every duty cycle it moves publisher limits, cleans consumed terms and tracks the rebuild of images;
every timer interval it
runs the life cycles of streams and refreshes the driver's heartbeat. What needs Python (counters
to free, events to
broadcast) it tells the control plane by messages, so a Python thread that sits on the GIL cannot
stop the flow of streams.

The two halves of the conductor exclude each other by `PacerState.lock`: the pacer holds it for a
duty cycle, the control
plane for one C call. The pacer steps aside while `waiters` is not zero, so the control plane never
starves.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memset
from cython.cimports.volans.agents.native import NativeAgent, make_native_agent
from cython.cimports.volans.driver.image_pacing import (
    image_add_subscriber,
    image_on_time_event,
    image_remove_subscriber,
    image_track_rebuild,
)
from cython.cimports.volans.driver.ipc_publication import (
    ipc_add_subscriber,
    ipc_on_time_event,
    ipc_on_unreferenced,
    ipc_remove_subscriber,
    ipc_update_limit,
)
from cython.cimports.volans.driver.layout import (
    PacerState,
)
from cython.cimports.volans.driver.lock import sched_yield
from cython.cimports.volans.driver.publication_pacing import (
    publication_add_spy,
    publication_on_time_event,
    publication_on_unreferenced,
    publication_remove_spy,
    publication_update_limit,
)
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.driver.slow_layout import SlowSubscribers
from cython.cimports.volans.driver.slow_subscribers import slow_subscribers_check
from cython.cimports.volans.driver.stream_owners import (
    IpcPublicationOwner,
    NetworkPublicationOwner,
    PublicationImageOwner,
)
from cython.cimports.volans.memory.atomic import (
    cas_i32,
    cpu_pause,
    fetch_add_i32,
    load_acquire_i32,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.counters import CountersManager, counter_value_address


@cfunc
@nogil
@exceptval(check=False)
def run_time_events(state: pointer[PacerState], now_ns: int64_t, now_ms: int64_t) -> cython.void:
    i: int32_t
    if state.consumer_heartbeat != cython.NULL:
        store_release_i64(state.consumer_heartbeat, now_ms)
    for i in range(state.ipc_count):
        ipc_on_time_event(state.ipc_publications[i], now_ns, now_ms)
    for i in range(state.publication_count):
        publication_on_time_event(state.publications[i], now_ns, now_ms)
    for i in range(state.image_count):
        image_on_time_event(state.images[i], now_ns, now_ms)


@cfunc
@nogil
@exceptval(check=False)
def pacer_do_work(clientd: p_void, now_ns: int64_t, now_ms: int64_t) -> int32_t:
    # The pointer is borrowed: the NativeAgent's owner keeps the object alive.
    return pacer_cycle(
        address(cast(Pacer, clientd).state), address(cast(Pacer, clientd).slow), now_ns, now_ms
    )


@cfunc
@nogil
@exceptval(check=False)
def pacer_cycle(
    state: pointer[PacerState],
    slow: pointer[SlowSubscribers],
    now_ns: int64_t,
    now_ms: int64_t,
) -> int32_t:
    i: int32_t
    work: int32_t = 0
    if load_acquire_i32(address(state.waiters)) != 0 or not cas_i32(address(state.lock), 0, 1):
        return 1
    state.now_ns = now_ns
    state.now_ms = now_ms
    for i in range(state.ipc_count):
        work += ipc_update_limit(state.ipc_publications[i])
    for i in range(state.publication_count):
        work += publication_update_limit(state.publications[i])
    for i in range(state.image_count):
        work += image_track_rebuild(state.images[i], now_ns, now_ms)
    if now_ns >= state.timer_deadline_ns:
        state.timer_deadline_ns = now_ns + state.shared.timer_interval_ns
        run_time_events(state, now_ns, now_ms)
        work += 1
    slow_subscribers_check(slow, state, now_ns)
    store_release_i32(address(state.lock), 0)
    return work


@cfunc
@nogil
@exceptval(check=False)
def lock_pacer(state: pointer[PacerState]) -> cython.void:
    """Control plane: wait for the end of the running duty cycle (microseconds), then exclude the
    next.
    """
    spins: int32_t = 0
    fetch_add_i32(address(state.waiters), 1)
    while not cas_i32(address(state.lock), 0, 1):
        spins += 1
        if spins % 64 == 0:
            sched_yield()  # the pacer may have been preempted inside its cycle
        cpu_pause()


@cfunc
@nogil
@exceptval(check=False)
def unlock_pacer(state: pointer[PacerState]) -> cython.void:
    store_release_i32(address(state.lock), 0)
    fetch_add_i32(address(state.waiters), -1)


@cfunc
@nogil
@exceptval(check=False)
def append_pointer(
    array: pointer[pointer[p_void]],
    count: pointer[int32_t],
    capacity: pointer[int32_t],
    item: p_void,
) -> int32_t:
    grown: pointer[p_void]
    if count[0] == capacity[0]:
        grown = cast(
            pointer[p_void],
            realloc(array[0], (capacity[0] * 2 if capacity[0] > 0 else 8) * sizeof(p_void)),
        )
        if grown == cython.NULL:
            return -1
        array[0] = grown
        capacity[0] = capacity[0] * 2 if capacity[0] > 0 else 8
    array[0][count[0]] = item
    count[0] += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def remove_pointer(array: pointer[p_void], count: pointer[int32_t], item: p_void) -> bint:
    i: int32_t
    for i in range(count[0]):
        if array[i] == item:
            count[0] -= 1
            array[i] = array[count[0]]
            return True
    return False


@cclass
class Pacer:
    """Owner of the conductor's GIL-free half; its methods are the control plane's calls into it.

    Threading: `native_agent()` runs on one thread; every other method is for the control plane
    only.
    """

    def __init__(self, shared: SharedState):
        memset(address(self.state), 0, sizeof(PacerState))
        memset(address(self.slow), 0, sizeof(SlowSubscribers))
        self.state.shared = address(shared.state)
        self.shared_owner = shared
        self.kept_alive = []

    def __dealloc__(self):
        free(self.state.ipc_publications)
        free(self.state.publications)
        free(self.state.images)

    def native_agent(self) -> NativeAgent:
        """The agent whose duty cycle this is."""
        return make_native_agent(pacer_do_work, cast(p_void, self), self, "conductor-pacer")

    def do_work(self, now_ns: int64_t, now_ms: int64_t) -> int:
        """One duty cycle on the caller's thread (invoker mode, simulation)."""
        return pacer_cycle(address(self.state), address(self.slow), now_ns, now_ms)

    def watch_slow_subscribers(self, threshold_ns: int64_t) -> None:
        """Tell the control plane who lags half a window behind for longer than this; 0: nobody."""
        lock_pacer(address(self.state))
        self.slow.threshold_ns = threshold_ns
        self.slow.deadline_ns = 0
        unlock_pacer(address(self.state))

    def heartbeat_into(self, counters_like, offset: int64_t) -> None:
        """Write the driver's heartbeat (epoch ms) at `offset` of a writable buffer."""
        view: cython.uchar[::1] = counters_like
        if offset < 0 or offset + 8 > view.shape[0]:
            raise ValueError(f"offset {offset} outside of {view.shape[0]} bytes")
        self.kept_alive.append(counters_like)
        self.state.consumer_heartbeat = cast(pointer[int64_t], address(view[offset]))

    def add_ipc_publication(self, publication: IpcPublicationOwner) -> None:
        lock_pacer(address(self.state))
        result: int32_t = append_pointer(
            cast(pointer[pointer[p_void]], address(self.state.ipc_publications)),
            address(self.state.ipc_count),
            address(self.state.ipc_capacity),
            publication.state,
        )
        unlock_pacer(address(self.state))
        if result < 0:
            raise MemoryError

    def add_publication(self, publication: NetworkPublicationOwner) -> None:
        lock_pacer(address(self.state))
        result: int32_t = append_pointer(
            cast(pointer[pointer[p_void]], address(self.state.publications)),
            address(self.state.publication_count),
            address(self.state.publication_capacity),
            publication.state,
        )
        unlock_pacer(address(self.state))
        if result < 0:
            raise MemoryError

    def add_image(self, image: PublicationImageOwner) -> None:
        lock_pacer(address(self.state))
        result: int32_t = append_pointer(
            cast(pointer[pointer[p_void]], address(self.state.images)),
            address(self.state.image_count),
            address(self.state.image_capacity),
            image.state,
        )
        unlock_pacer(address(self.state))
        if result < 0:
            raise MemoryError

    def remove_ipc_publication(self, publication: IpcPublicationOwner) -> None:
        lock_pacer(address(self.state))
        remove_pointer(
            cast(pointer[p_void], self.state.ipc_publications),
            address(self.state.ipc_count),
            publication.state,
        )
        unlock_pacer(address(self.state))

    def remove_publication(self, publication: NetworkPublicationOwner) -> None:
        lock_pacer(address(self.state))
        remove_pointer(
            cast(pointer[p_void], self.state.publications),
            address(self.state.publication_count),
            publication.state,
        )
        unlock_pacer(address(self.state))

    def remove_image(self, image: PublicationImageOwner) -> None:
        lock_pacer(address(self.state))
        remove_pointer(
            cast(pointer[p_void], self.state.images), address(self.state.image_count), image.state
        )
        unlock_pacer(address(self.state))

    def add_ipc_subscriber(
        self,
        publication: IpcPublicationOwner,
        counters: CountersManager,
        counter_id: int32_t,
        subscription_registration_id: int64_t,
        is_tether: bint,
        is_rejoin: bint,
        now_ns: int64_t,
    ) -> int:
        """Join a subscription; its position counter is set. Returns the join position."""
        lock_pacer(address(self.state))
        join_position: int64_t = ipc_add_subscriber(
            publication.state,
            counter_value_address(address(counters.view), counter_id),
            counter_id,
            subscription_registration_id,
            is_tether,
            is_rejoin,
            now_ns,
        )
        unlock_pacer(address(self.state))
        if join_position < 0:
            raise MemoryError
        return join_position

    def add_spy(
        self,
        publication: NetworkPublicationOwner,
        counters: CountersManager,
        counter_id: int32_t,
        subscription_registration_id: int64_t,
        is_tether: bint,
        is_rejoin: bint,
        now_ns: int64_t,
    ) -> int:
        lock_pacer(address(self.state))
        join_position: int64_t = publication_add_spy(
            publication.state,
            counter_value_address(address(counters.view), counter_id),
            counter_id,
            subscription_registration_id,
            is_tether,
            is_rejoin,
            now_ns,
        )
        unlock_pacer(address(self.state))
        if join_position < 0:
            raise MemoryError
        return join_position

    def add_image_subscriber(
        self,
        image: PublicationImageOwner,
        counters: CountersManager,
        counter_id: int32_t,
        subscription_registration_id: int64_t,
        is_tether: bint,
        is_rejoin: bint,
        now_ns: int64_t,
    ) -> int:
        lock_pacer(address(self.state))
        join_position: int64_t = image_add_subscriber(
            image.state,
            counter_value_address(address(counters.view), counter_id),
            counter_id,
            subscription_registration_id,
            is_tether,
            is_rejoin,
            now_ns,
        )
        unlock_pacer(address(self.state))
        if join_position < 0:
            raise MemoryError
        return join_position

    def remove_ipc_subscriber(
        self, publication: IpcPublicationOwner, subscription_registration_id: int64_t
    ) -> int:
        """Forget a subscription's position; the counter id to free, or -1."""
        lock_pacer(address(self.state))
        counter_id: int32_t = ipc_remove_subscriber(publication.state, subscription_registration_id)
        unlock_pacer(address(self.state))
        return counter_id

    def remove_spy(
        self, publication: NetworkPublicationOwner, subscription_registration_id: int64_t
    ) -> int:
        lock_pacer(address(self.state))
        counter_id: int32_t = publication_remove_spy(
            publication.state, subscription_registration_id
        )
        unlock_pacer(address(self.state))
        return counter_id

    def remove_image_subscriber(
        self, image: PublicationImageOwner, subscription_registration_id: int64_t
    ) -> int:
        lock_pacer(address(self.state))
        counter_id: int32_t = image_remove_subscriber(image.state, subscription_registration_id)
        unlock_pacer(address(self.state))
        return counter_id

    def change_ipc_references(
        self, publication: IpcPublicationOwner, delta: int32_t, now_ns: int64_t
    ) -> int:
        """A client took (+1) or let go (-1) the publication; draining begins at zero. References
        left.
        """
        lock_pacer(address(self.state))
        publication.state.reference_count += delta
        count: int32_t = publication.state.reference_count
        if count == 0 and delta < 0:
            ipc_on_unreferenced(publication.state, now_ns)
        unlock_pacer(address(self.state))
        return count

    def change_references(
        self, publication: NetworkPublicationOwner, delta: int32_t, now_ns: int64_t
    ) -> int:
        lock_pacer(address(self.state))
        publication.state.reference_count += delta
        count: int32_t = publication.state.reference_count
        if count == 0 and delta < 0:
            publication_on_unreferenced(publication.state, now_ns)
        unlock_pacer(address(self.state))
        return count
