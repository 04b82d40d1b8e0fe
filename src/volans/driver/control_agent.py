# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The agent that runs the control plane: it looks without the GIL, takes it only for work."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.agents.native import NativeAgent, make_native_agent
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
)
from cython.cimports.volans.memory.layout import RingBuffer
from cython.cimports.volans.memory.ring_buffer import ring_buffer_wrap


@cfunc
@nogil
@exceptval(check=False)
def has_messages(ring: pointer[RingBuffer]) -> bint:
    return load_acquire_i64(ring.tail_position) != load_acquire_i64(ring.head_position)


@cfunc
@nogil
@exceptval(check=False)
def control_do_work(clientd: p_void, now_ns: int64_t, now_ms: int64_t) -> int32_t:
    # The pointer is borrowed: the NativeAgent's owner keeps the object alive.
    if not cast(ControlAgent, clientd).is_needed(now_ns):
        return 0
    with cython.gil:
        return cast(ControlAgent, clientd).run(now_ns, now_ms)


@cclass
class ControlAgent:
    """Runs `conductor.do_work(now_ns, now_ms)` when a command, a message, a task or a timer waits.

    Args:
        shared: the driver's shared state (its ring of messages from agents).
        commands: the to-driver ring of the CnC file, trailer included.
        conductor: has `do_work(now_ns, now_ms) -> int` and `has_waiting_tasks`.
        timer_interval_ns: how often the conductor wants to run at least.
    """

    def __init__(self, shared: SharedState, commands, conductor, timer_interval_ns: int64_t):
        view: cython.uchar[::1] = commands
        if ring_buffer_wrap(
            address(self.commands), cast(pointer[uint8_t], address(view[0])), view.shape[0]
        ):
            raise ValueError(f"{view.shape[0]} bytes are no ring buffer with its trailer")
        self.shared = address(shared.state)
        self.shared_owner = shared
        self.commands_owner = view
        self.conductor = conductor
        self.timer_interval_ns = timer_interval_ns

    def wake(self) -> None:
        """Make the next duty cycle run the conductor. Any thread."""
        store_release_i32(address(self.wake_requested), 1)

    def native_agent(self) -> NativeAgent:
        """The agent for a runner's thread."""
        return make_native_agent(control_do_work, cast(p_void, self), self, "conductor")

    def do_work(self, now_ns: int64_t, now_ms: int64_t) -> int:
        """One duty cycle on the caller's thread (invoker mode, simulation)."""
        if not self.is_needed(now_ns):
            return 0
        return self.run(now_ns, now_ms)

    @cfunc
    @nogil
    @exceptval(check=False)
    def is_needed(self, now_ns: int64_t) -> bint:
        return (
            self.has_waiting_tasks != 0
            or now_ns >= self.timer_deadline_ns
            or load_acquire_i32(address(self.wake_requested)) != 0
            or has_messages(address(self.commands))
            or has_messages(address(self.shared.to_control))
        )

    @cfunc
    @exceptval(check=False)
    def run(self, now_ns: int64_t, now_ms: int64_t) -> int32_t:
        work: int32_t = 1
        store_release_i32(address(self.wake_requested), 0)
        if now_ns >= self.timer_deadline_ns:
            self.timer_deadline_ns = now_ns + self.timer_interval_ns
        try:
            work = self.conductor.do_work(now_ns, now_ms)
            self.has_waiting_tasks = 1 if self.conductor.has_waiting_tasks else 0
        except Exception as error:  # logged; the agent must go on serving the other clients
            self.shared_owner.log_error(f"{type(error).__name__}: {error}", now_ms)
        return work
