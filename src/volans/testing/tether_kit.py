# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The subscribers of one stream by themselves, and what the control plane hears of them."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cclass, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.layout import (
    SYSTEM_CONDUCTOR_PROXY_FAILS,
    DriverShared,
    TetherRules,
)
from cython.cimports.volans.driver.subscribable import (
    subscribable_add,
    subscribable_free,
    subscribable_remove,
)
from cython.cimports.volans.driver.tether import tether_check
from cython.cimports.volans.memory.layout import RING_OK, RING_TRAILER_LENGTH
from cython.cimports.volans.memory.ring_buffer import (
    mpsc_ring_read,
    mpsc_ring_write,
    ring_buffer_wrap,
)

from volans.driver.agent_messages import decode_agent_message
from volans.driver.tether import STATE_NAMES

FILLER = 999
REGISTRATION_ID = 77


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def collect(
    msg_type_id: int32_t, payload: pointer[uint8_t], length: int32_t, clientd: p_void
) -> cython.void:
    with cython.gil:
        cast(list, clientd).append((msg_type_id, payload[:length]))


@cclass
class TetherKit:
    """Subscribers 0 to 7 (registration id 500 + number, counter id 900 + number) of stream 77."""

    def __init__(self):
        length: int64_t = 4096 + RING_TRAILER_LENGTH
        memset(address(self.shared), 0, cython.sizeof(DriverShared))
        self.ring = bytearray(length)
        base: pointer[uint8_t] = self.ring
        ring_buffer_wrap(address(self.shared.to_control), base, length)
        self.shared.system[SYSTEM_CONDUCTOR_PROXY_FAILS] = address(self.proxy_fails)

    def __dealloc__(self):
        subscribable_free(address(self.subscribers))

    def add(
        self,
        number: int32_t,
        *,
        is_tether: bint = False,
        is_rejoin: bint = True,
        now_ns: int64_t = 0,
    ) -> None:
        """A subscriber at position 0."""
        if not 0 <= number < 8:
            raise IndexError(number)
        self.positions[number] = 0
        if (
            subscribable_add(
                address(self.subscribers),
                address(self.positions[number]),
                900 + number,
                500 + number,
                is_tether,
                is_rejoin,
                now_ns,
            )
            < 0
        ):
            raise MemoryError

    def remove(self, number: int32_t) -> int:
        """The counter id to free, or -1."""
        return subscribable_remove(address(self.subscribers), 500 + number)

    def consume(self, number: int32_t, position: int64_t) -> None:
        """The subscriber has read up to there."""
        if not 0 <= number < 8:
            raise IndexError(number)
        self.positions[number] = position

    def position(self, number: int32_t) -> int:
        """Where the subscriber's counter is."""
        if not 0 <= number < 8:
            raise IndexError(number)
        return self.positions[number]

    def state_name(self, number: int32_t) -> str:
        """ACTIVE, LINGER, RESTING or CLOSED."""
        i: int32_t
        for i in range(self.subscribers.count):
            if self.subscribers.array[i].subscription_registration_id == 500 + number:
                return STATE_NAMES[self.subscribers.array[i].state]
        raise KeyError(number)

    def check(
        self,
        now_ns: int64_t,
        *,
        window_limit_position: int64_t,
        join_position: int64_t = 0,
        window_limit_timeout_ns: int64_t = 5,
        linger_timeout_ns: int64_t = 7,
        resting_timeout_ns: int64_t = 10,
    ) -> int:
        """A time event; how many moved."""
        rules: TetherRules
        rules.window_limit_position = window_limit_position
        rules.join_position = join_position
        rules.window_limit_timeout_ns = window_limit_timeout_ns
        rules.linger_timeout_ns = linger_timeout_ns
        rules.resting_timeout_ns = resting_timeout_ns
        return tether_check(
            address(self.subscribers),
            address(self.shared),
            REGISTRATION_ID,
            address(rules),
            now_ns,
        )

    def messages(self) -> list:
        """What the control plane was told since the last call, decoded."""
        found: list = []
        for _ in range(2):  # one read stops at the end of the ring's memory
            mpsc_ring_read(address(self.shared.to_control), collect, cast(p_void, found), 1 << 20)
        return [decode_agent_message(*message) for message in found if message[0] != FILLER]

    def fill_ring(self) -> None:
        """Leave no room for messages."""
        filler: uint8_t[8]
        memset(filler, 0, 8)
        while mpsc_ring_write(address(self.shared.to_control), FILLER, filler, 8) == RING_OK:
            pass

    @property
    def failed_messages(self) -> int:
        """Messages there was no room for."""
        return self.proxy_fails
