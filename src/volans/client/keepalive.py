# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The link to the driver, kept alive by a thread that never waits for the GIL.

The thread copies what the driver broadcasts into memory of its own, so that a Python thread
that holds the GIL for long can neither lose an event nor get the client timed out. Python's
conductor takes the copies when it gets to it.
"""

from __future__ import annotations

import os
import threading

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free, malloc
from cython.cimports.libc.string import memcpy
from cython.cimports.posix.unistd import read, write
from cython.cimports.volans.client.layout import (
    LINK_DRIVER_SHUT_DOWN,
    LINK_DRIVER_TIMED_OUT,
    LINK_EVENTS_LOST,
    LINK_HEARTBEAT_COUNTER_LOST,
    LINK_LAPPED,
    LINK_RUNNING,
    POLLIN,
    LinkState,
    c_poll,
    pollfd,
)
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.broadcast import (
    broadcast_receive,
    broadcast_receiver_init,
    broadcast_wrap,
)
from cython.cimports.volans.memory.clock import epoch_ms, monotonic_ns
from cython.cimports.volans.memory.counters import (
    counter_state,
    counter_type_id,
    counter_value_address,
)
from cython.cimports.volans.memory.layout import (
    COUNTER_ALLOCATED,
    COUNTER_KEY_OFFSET,
    COUNTER_LABEL_LENGTH_OFFSET,
    COUNTER_LABEL_OFFSET,
    COUNTER_MAX_LABEL_LENGTH,
    COUNTER_METADATA_LENGTH,
    COUNTER_UNUSED,
    COUNTER_VALUE_LENGTH,
    RING_OK,
    RING_TRAILER_LENGTH,
)
from cython.cimports.volans.memory.ring_buffer import (
    index_of,
    mpsc_ring_write,
    next_message,
    release_read,
    ring_buffer_next_correlation_id,
    ring_buffer_wrap,
    spsc_ring_write,
)
from cython.cimports.volans.memory.scheduler import thread_set_name
from cython.cimports.volans.memory.views import flat_view, view_address

from volans.errors import CncFormatError

CLIENT_HEARTBEAT_TYPE_ID = 11

STATUS_RUNNING = 0
STATUS_DRIVER_SHUT_DOWN = 1
STATUS_DRIVER_TIMED_OUT = 2
STATUS_HEARTBEAT_COUNTER_LOST = 3
STATUS_LAPPED = 4
STATUS_EVENTS_LOST = 5


@cfunc
@nogil
@exceptval(check=False)
def is_heartbeat_of(link: pointer[LinkState], counter_id: int32_t) -> cython.bint:
    key: int64_t
    if counter_state(address(link.counters), counter_id) != COUNTER_ALLOCATED:
        return False
    if counter_type_id(address(link.counters), counter_id) != 11:
        return False
    memcpy(
        address(key),
        link.counters.metadata
        + cast(int64_t, counter_id) * COUNTER_METADATA_LENGTH
        + COUNTER_KEY_OFFSET,
        8,
    )
    return key == link.client_id


@cfunc
@nogil
@exceptval(check=False)
def find_heartbeat(link: pointer[LinkState]) -> cython.void:
    counter_id: int32_t
    metadata: pointer[uint8_t]
    length: int32_t
    room: int32_t
    for counter_id in range(link.counters.max_counter_id):
        if counter_state(address(link.counters), counter_id) == COUNTER_UNUSED:
            return
        if is_heartbeat_of(link, counter_id):
            # Tell operators who this is, as official clients do: the counter is the client's.
            metadata = link.counters.metadata + cast(int64_t, counter_id) * COUNTER_METADATA_LENGTH
            memcpy(address(length), metadata + COUNTER_LABEL_LENGTH_OFFSET, 4)
            if length >= 0 and length <= COUNTER_MAX_LABEL_LENGTH:
                room = COUNTER_MAX_LABEL_LENGTH - length
                if room > link.label_suffix_length:
                    room = link.label_suffix_length
                memcpy(
                    metadata + COUNTER_LABEL_OFFSET + length, cast(p_void, link.label_suffix), room
                )
                store_release_i32(
                    cast(pointer[int32_t], metadata + COUNTER_LABEL_LENGTH_OFFSET), length + room
                )
            link.heartbeat_counter_id = counter_id
            link.heartbeat = counter_value_address(address(link.counters), counter_id)
            return


@cfunc
@nogil
@exceptval(check=False)
def copy_events(link: pointer[LinkState]) -> int32_t:
    copied: int32_t = 0
    msg_type_id: int32_t = 0
    length: int32_t
    while copied < 1000:
        length = broadcast_receive(
            address(link.receiver), address(msg_type_id), link.scratch, link.scratch_length
        )
        if length == -1:
            break
        if length < 0:
            # -2: events were overwritten before they could be copied; -3 cannot be: the
            # scratch holds the longest message of the buffer.
            store_release_i32(address(link.status), LINK_LAPPED)
            break
        if spsc_ring_write(address(link.events), msg_type_id, link.scratch, length) != RING_OK:
            store_release_i32(address(link.status), LINK_EVENTS_LOST)
            break
        copied += 1
    return copied


@cfunc
@nogil
@exceptval(check=False)
def watch_driver(link: pointer[LinkState], now_ms: int64_t) -> cython.void:
    # The driver's conductor writes its heartbeat with release.
    driver_ms: int64_t = load_acquire_i64(link.to_driver.consumer_heartbeat)
    if driver_ms == -1:
        store_release_i32(address(link.status), LINK_DRIVER_SHUT_DOWN)
    elif now_ms > driver_ms + link.driver_timeout_ms:
        link.driver_age_ms = now_ms - driver_ms
        store_release_i32(address(link.status), LINK_DRIVER_TIMED_OUT)


@cfunc
@nogil
@exceptval(check=False)
def link_do_work(link: pointer[LinkState], now_ns: int64_t, now_ms: int64_t) -> int32_t:
    if load_acquire_i32(address(link.status)) != LINK_RUNNING:
        return -1
    work_count: int32_t = copy_events(link)
    watch_driver(link, now_ms)
    if now_ns >= link.next_keepalive_ns:
        link.next_keepalive_ns = now_ns + link.keepalive_interval_ns
        if link.heartbeat is cython.NULL:
            find_heartbeat(link)
            if link.heartbeat is not cython.NULL:
                store_release_i64(link.heartbeat, now_ms)
            else:
                # Who this is should be known soon after the first command.
                link.next_keepalive_ns = now_ns + link.keepalive_interval_ns // 16
        elif is_heartbeat_of(link, link.heartbeat_counter_id):
            # Read by the driver's conductor with acquire.
            store_release_i64(link.heartbeat, now_ms)
        else:
            store_release_i32(address(link.status), LINK_HEARTBEAT_COUNTER_LOST)
        work_count += 1
    if load_acquire_i32(address(link.status)) != LINK_RUNNING:
        return -1
    return work_count


@cfunc
@nogil
@exceptval(check=False)
def has_events(link: pointer[LinkState]) -> cython.bint:
    return load_acquire_i64(link.events.head_position) != load_acquire_i64(
        link.events.tail_position
    )


@cfunc
@nogil
@exceptval(check=False)
def signal_descriptor(descriptor: cython.int) -> cython.void:
    one: int64_t = 1
    if descriptor >= 0:
        # Full means that a wake-up is pending already.
        write(descriptor, address(one), 8)


@cfunc
@nogil
@exceptval(check=False)
def link_loop(link: pointer[LinkState]) -> cython.void:
    waiting: pollfd
    woken: int64_t
    waiting.fd = link.wake_descriptor
    waiting.events = POLLIN
    idle_ms: int32_t
    done: int32_t
    while load_acquire_i32(address(link.running)) != 0:
        done = link_do_work(link, monotonic_ns(), epoch_ms())
        if done < 0 or has_events(link):
            signal_descriptor(link.notify_descriptor)
        if done < 0:
            break
        idle_ms = (
            link.waiting_idle_ms
            if load_acquire_i32(address(link.waiting_count)) != 0
            else link.idle_ms
        )
        waiting.revents = 0
        if c_poll(address(waiting), 1, idle_ms) > 0:
            read(link.wake_descriptor, address(woken), 8)


@cython.final
@cclass
class DriverLink:
    """Commands to a driver, events from it, and signs of life, over one mapped CnC file.

    The sections are writable views of the CnC file. ``start`` runs the keep-alive thread;
    without it (invoker mode) ``do_work(now_ns, now_ms)`` does the same from the caller.
    """

    def __init__(
        self,
        to_driver: memoryview,
        to_clients: memoryview,
        counters_metadata: memoryview,
        counters_values: memoryview,
        *,
        driver_timeout_ms: int64_t,
        keepalive_interval_ns: int64_t,
        idle_ms: int32_t,
        label_suffix: bytes,
        events_bytes: int64_t = 4 << 20,
        client_id: int64_t = -1,
    ):
        link: pointer[LinkState] = address(self.state)
        views = tuple(
            flat_view(view, True, what)
            for view, what in (
                (to_driver, "the to-driver section"),
                (to_clients, "the to-clients section"),
                (counters_metadata, "the counters metadata section"),
                (counters_values, "the counters values section"),
            )
        )
        self.sections = views
        if ring_buffer_wrap(address(link.to_driver), view_address(views[0]), len(views[0])) != 0:
            raise CncFormatError(f"to-driver buffer of {len(views[0])} bytes is no ring buffer")
        if broadcast_wrap(address(link.to_clients), view_address(views[1]), len(views[1])) != 0:
            raise CncFormatError(
                f"to-clients buffer of {len(views[1])} bytes is no broadcast buffer"
            )
        link.counters.metadata = view_address(views[2])
        link.counters.values = view_address(views[3])
        metadata_count: int64_t = len(views[2]) // COUNTER_METADATA_LENGTH
        values_count: int64_t = len(views[3]) // COUNTER_VALUE_LENGTH
        link.counters.max_counter_id = cast(int32_t, min(metadata_count, values_count))
        broadcast_receiver_init(address(link.receiver), address(link.to_clients))
        link.events_memory = cast(pointer[uint8_t], calloc(1, events_bytes + RING_TRAILER_LENGTH))
        link.scratch_length = link.to_clients.max_message_length + 64
        link.scratch = cast(pointer[uint8_t], malloc(link.scratch_length))
        if link.events_memory is cython.NULL or link.scratch is cython.NULL:
            raise MemoryError("no memory for the copies of driver events")
        if (
            ring_buffer_wrap(
                address(link.events), link.events_memory, events_bytes + RING_TRAILER_LENGTH
            )
            != 0
            or link.events.max_message_length < link.to_clients.max_message_length
        ):
            raise ValueError(
                f"events_bytes is {events_bytes}: a power of two of at least the to-clients "
                f"buffer's {link.to_clients.capacity} bytes is needed"
            )
        link.driver_timeout_ms = driver_timeout_ms
        link.keepalive_interval_ns = keepalive_interval_ns
        link.idle_ms = idle_ms
        link.waiting_idle_ms = min(1, idle_ms)
        link.wake_descriptor = -1
        link.notify_descriptor = -1
        link.heartbeat_counter_id = -1
        link.label_suffix_length = cast(int32_t, min(len(label_suffix), 255))
        text: cython.p_const_char = label_suffix
        memcpy(cast(p_void, link.label_suffix), text, link.label_suffix_length)
        link.client_id = (
            client_id
            if client_id >= 0
            else ring_buffer_next_correlation_id(address(link.to_driver))
        )

    def __dealloc__(self):
        # A thread that could not be stopped keeps a reference, so this runs after it.
        free(self.state.events_memory)
        free(self.state.scratch)

    @property
    def client_id(self) -> int:
        """This client's id, one value of the driver's correlation counter."""
        return self.state.client_id

    @property
    def status(self) -> int:
        """A STATUS_ value: running, or why the link has ended."""
        return load_acquire_i32(address(self.state.status))

    @property
    def driver_age_ms(self) -> int:
        """Age of the driver's last heartbeat when it was found too old, ms."""
        return self.state.driver_age_ms

    @property
    def heartbeat_counter_id(self) -> int:
        """Id of this client's heartbeat counter, -1 until it is known."""
        return self.state.heartbeat_counter_id

    @property
    def max_command_bytes(self) -> int:
        """Longest command the to-driver ring takes."""
        return self.state.to_driver.max_message_length

    def next_correlation_id(self) -> int:
        """A new id, unique among all clients of the driver."""
        return ring_buffer_next_correlation_id(address(self.state.to_driver))

    def try_send(self, msg_type_id: int32_t, message: bytes) -> bool:
        """Put a command into the to-driver ring; False when it is full. Any thread.

        Raises ValueError when the message is longer than the ring takes.
        """
        data: cython.p_const_char = message
        code: int32_t = mpsc_ring_write(
            address(self.state.to_driver), msg_type_id, data, cast(int32_t, len(message))
        )
        if code == -2:
            raise ValueError(
                f"a command of {len(message)} bytes is over the {self.max_command_bytes} bytes the "
                f"driver takes: shorten it, or give the driver a longer to-conductor buffer"
            )
        return code == RING_OK

    def position_address(self, counter_id: int32_t) -> int:
        """Address of a counter's value. Raises ValueError for an id outside the counters."""
        if counter_id < 0 or counter_id >= self.state.counters.max_counter_id:
            raise ValueError(
                f"counter id {counter_id} is outside 0 to {self.state.counters.max_counter_id - 1}"
            )
        return cast(
            int64_t, cast(p_void, counter_value_address(address(self.state.counters), counter_id))
        )

    def do_work(self, now_ns: int64_t, now_ms: int64_t) -> int:
        """One duty cycle, for invoker mode; below 0 once the link has ended."""
        return link_do_work(address(self.state), now_ns, now_ms)

    def take_events(self, limit: int32_t = 100) -> list:
        """At most ``limit`` events as ``(msg_type_id, payload)``, oldest first. One thread."""
        ring = address(self.state.events)
        taken: list = []
        head: int64_t = ring.head_position[0]
        head_index: int32_t = index_of(ring, head)
        bytes_read: int32_t = 0
        msg_type_id: int32_t = 0
        length: int32_t = 0
        payload: int32_t
        while len(taken) < limit:
            payload = next_message(
                ring, head_index, address(bytes_read), address(msg_type_id), address(length)
            )
            if payload < 0:
                break
            taken.append(
                (
                    msg_type_id,
                    PyBytes_FromStringAndSize(
                        cast(cython.p_const_char, ring.buffer + payload), length
                    ),
                )
            )
        release_read(ring, head, head_index, bytes_read)
        return taken

    def has_events(self) -> bool:
        """Whether events wait to be taken."""
        return has_events(address(self.state))

    def set_waiting(self, count: int32_t) -> None:
        """How many registrations wait for an answer: look more often while there are any."""
        store_release_i32(address(self.state.waiting_count), count)
        if count > 0:
            with nogil:
                signal_descriptor(self.state.wake_descriptor)

    def start(self, notify_descriptor: cython.int, name: str) -> None:
        """Run the keep-alive thread; it makes ``notify_descriptor`` readable for Python."""
        self.state.wake_descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.state.notify_descriptor = notify_descriptor
        store_release_i32(address(self.state.running), 1)
        self.thread = threading.Thread(target=self._run, args=(name,), name=name, daemon=True)
        self.thread.start()

    def _run(self, name: str) -> None:
        encoded = name.encode()[:15]
        thread_set_name(encoded)
        with nogil:
            link_loop(address(self.state))

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End the thread; whether it has ended. Again is harmless."""
        store_release_i32(address(self.state.running), 0)
        thread = self.thread
        if thread is None:
            return True
        with nogil:
            signal_descriptor(self.state.wake_descriptor)
        thread.join(timeout_s)
        if thread.is_alive():
            return False
        self.thread = None
        # Two threads may come here (the conductor's and the closing one): one closes it.
        descriptor: cython.int = self.state.wake_descriptor
        self.state.wake_descriptor = -1
        if descriptor >= 0:
            os.close(descriptor)
        return True

    def abandon(self) -> None:
        """In a forked child: the threads are the parent's; nothing to end, nothing to tell."""
        for descriptor in (self.state.notify_descriptor, self.state.wake_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self.state.notify_descriptor = -1
        self.state.wake_descriptor = -1
        self.thread = None
