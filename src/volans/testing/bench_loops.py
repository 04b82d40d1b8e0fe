# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Compiled publishing and subscribing loops: what the core does without Python in between.

The counterpart of ``benchmarks/official_loops.c``: the same loops, limits and idling, on the
C-level functions that the public ``offer`` and ``poll`` are made of. No GIL while they run.
"""

from __future__ import annotations

import threading
import time

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.client.exclusive_publication import ExclusivePublication
from cython.cimports.volans.client.layout import SubscriptionState
from cython.cimports.volans.client.subscription import Subscription, subscription_poll
from cython.cimports.volans.log.append import append_exclusive
from cython.cimports.volans.log.layout import APPEND_ADMIN_ACTION, Appender
from cython.cimports.volans.memory.clock import monotonic_ns
from cython.cimports.volans.memory.scheduler import thread_yield
from cython.cimports.volans.protocol.layout import DataHeader
from cython.cimports.volans.testing.layout import LOOP_FRAGMENT_LIMIT, LOOP_STALL_S, LoopState

import volans

CONNECT_SECONDS = 20.0


@cfunc
@nogil
@exceptval(check=False)
def count_message(
    payload: pointer[cython.const[uint8_t]],
    length: int32_t,
    header: pointer[DataHeader],
    clientd: p_void,
) -> int32_t:
    state: pointer[LoopState] = cast(pointer[LoopState], clientd)
    first: int64_t = 0
    memcpy(address(first), payload, 8)
    state.message_count += 1
    state.checksum += first
    return 0


@cfunc
@nogil
@exceptval(check=False)
def offer_waiting(
    appender: pointer[Appender], message: pointer[uint8_t], size: int32_t
) -> cython.bint:
    """True when appended; waits out back pressure; False for a terminal result or a stall."""
    deadline_ns: int64_t = 0
    spins: int64_t = 0
    result: int64_t
    while True:
        result = append_exclusive(appender, message, size, 0)
        if result > 0:
            return True
        if result < APPEND_ADMIN_ACTION:
            return False
        spins += 1
        if (spins & 1023) == 0:
            if deadline_ns == 0:
                deadline_ns = monotonic_ns() + cast(int64_t, LOOP_STALL_S) * 1000000000
            elif monotonic_ns() > deadline_ns:
                return False
        thread_yield()


@cfunc
@nogil
@exceptval(check=False)
def poll_until(
    subscription: pointer[SubscriptionState],
    state: pointer[LoopState],
    count: int64_t,
    limit: int32_t,
) -> cython.bint:
    deadline_ns: int64_t = 0
    spins: int64_t = 0
    while state.message_count < count:
        if subscription_poll(subscription, count_message, state, limit) > 0:
            spins = 0
            deadline_ns = 0
            continue
        spins += 1
        if (spins & 1023) == 0:
            if deadline_ns == 0:
                deadline_ns = monotonic_ns() + cast(int64_t, LOOP_STALL_S) * 1000000000
            elif monotonic_ns() > deadline_ns:
                return False
        thread_yield()
    return True


@cclass
class Loops:
    """A client with an exclusive publication and a subscription on ``channel``.

    ``answers`` is a second channel for round trips, or empty. ``directory`` is that of a running
    driver. All methods block, without the GIL; they raise RuntimeError when nothing moves for
    20 seconds.
    """

    _client: object
    _ping_publication: ExclusivePublication
    _ping_subscription: Subscription
    _pong_publication: ExclusivePublication
    _pong_subscription: Subscription

    def __init__(self, directory: str, channel: str, answers: str, stream_id: int):
        self._client = volans.connect(directory)
        self._ping_subscription = self._client.add_subscription(channel, stream_id, fragments=True)
        self._ping_publication = self._client.add_exclusive_publication(channel, stream_id)
        self._await_connected(self._ping_publication)
        if answers:
            self._pong_subscription = self._client.add_subscription(
                answers, stream_id + 1, fragments=True
            )
            self._pong_publication = self._client.add_exclusive_publication(answers, stream_id + 1)
            self._await_connected(self._pong_publication)

    def _await_connected(self, publication: object) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not publication.is_connected:
            if time.monotonic() > deadline:
                raise RuntimeError(f"not connected in {CONNECT_SECONDS} s: {publication}")
            time.sleep(0.001)

    def close(self) -> None:
        """Close the client with all it has."""
        self._client.close()

    def one_way(self, count: int64_t, size: int32_t) -> int:
        """Nanoseconds from the first offer to the last of ``count`` messages handled."""
        end_ns: list = []
        receiver = threading.Thread(target=self._receive, args=(count, end_ns))
        receiver.start()
        start_ns = self._send(count, size)
        receiver.join()
        if start_ns < 0 or not end_ns or end_ns[0] < 0:
            raise RuntimeError(f"stalled while moving {count} messages of {size} bytes")
        return end_ns[0] - start_ns

    def _receive(self, count: int64_t, end_ns: list) -> None:
        state: LoopState = LoopState(message_count=0, checksum=0)
        done: cython.bint
        now_ns: int64_t
        with nogil:
            done = poll_until(
                address(self._ping_subscription.state), address(state), count, LOOP_FRAGMENT_LIMIT
            )
            now_ns = monotonic_ns()
        end_ns.append(now_ns if done else -1)

    def _send(self, count: int64_t, size: int32_t) -> int64_t:
        message: pointer[uint8_t] = cast(pointer[uint8_t], calloc(1, size + 8))
        if message is cython.NULL:
            raise MemoryError(f"no memory for a message of {size} bytes")
        done: cython.bint = True
        index: int64_t = 0
        start_ns: int64_t
        with nogil:
            start_ns = monotonic_ns()
            while done and index < count:
                memcpy(message, address(index), 8)
                done = offer_waiting(address(self._ping_publication.appender), message, size)
                index += 1
        free(message)
        return start_ns if done else -1

    def burst(self, count: int64_t, size: int32_t) -> tuple[int, int]:
        """Nanoseconds to offer ``count`` messages, and to poll them, in one thread."""
        state: LoopState = LoopState(message_count=0, checksum=0)
        middle_ns: int64_t
        end_ns: int64_t
        done: cython.bint
        start_ns: int64_t = self._send(count, size)
        with nogil:
            middle_ns = monotonic_ns()
            done = start_ns >= 0 and poll_until(
                address(self._ping_subscription.state), address(state), count, LOOP_FRAGMENT_LIMIT
            )
            end_ns = monotonic_ns()
        if not done:
            raise RuntimeError(f"stalled while moving {count} messages of {size} bytes")
        return middle_ns - start_ns, end_ns - middle_ns

    def round_trips(self, count: int64_t, size: int32_t) -> list[int]:
        """Nanoseconds of each of ``count`` round trips, one in flight, against an echo thread."""
        echoed: list = []
        echo = threading.Thread(target=self._echo, args=(count, size, echoed))
        echo.start()
        times_ns: list = []
        state: LoopState = LoopState(message_count=0, checksum=0)
        message: pointer[uint8_t] = cast(pointer[uint8_t], calloc(1, size + 8))
        times: pointer[int64_t] = cast(pointer[int64_t], calloc(count, 8))
        done: cython.bint = message is not cython.NULL and times is not cython.NULL
        index: int64_t = 0
        start_ns: int64_t
        with nogil:
            while done and index < count:
                start_ns = monotonic_ns()
                done = offer_waiting(
                    address(self._ping_publication.appender), message, size
                ) and poll_until(
                    address(self._pong_subscription.state), address(state), index + 1, 1
                )
                times[index] = monotonic_ns() - start_ns
                index += 1
        echo.join()
        if done:
            times_ns = [times[index] for index in range(count)]
        free(message)
        free(times)
        if not done or not echoed[0]:
            raise RuntimeError(f"stalled after {index} of {count} round trips")
        return times_ns

    def _echo(self, count: int64_t, size: int32_t, echoed: list) -> None:
        state: LoopState = LoopState(message_count=0, checksum=0)
        message: pointer[uint8_t] = cast(pointer[uint8_t], calloc(1, size + 8))
        done: cython.bint = message is not cython.NULL
        index: int64_t = 0
        with nogil:
            while done and index < count:
                index += 1
                done = poll_until(
                    address(self._ping_subscription.state), address(state), index, 1
                ) and offer_waiting(address(self._pong_publication.appender), message, size)
        free(message)
        echoed.append(done)
