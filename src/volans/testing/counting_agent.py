# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A native agent that only counts its duty cycles: to test whatever runs agents."""

from __future__ import annotations

from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.agents.native import NativeAgent, NativeAgentRunner
from cython.cimports.volans.memory.atomic import (
    counter_add,
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.clock import sleep_ns
from cython.cimports.volans.testing.layout import CountingState


@cfunc
@nogil
@exceptval(check=False)
def count_cycle(state: p_void, now_ns: int64_t, now_ms: int64_t) -> int32_t:
    counting: pointer[CountingState] = cast(pointer[CountingState], state)
    store_release_i64(address(counting.last_now_ns), now_ns)
    store_release_i64(address(counting.last_now_ms), now_ms)
    if counting.stall_ns > 0:
        sleep_ns(counting.stall_ns)
    counter_add(address(counting.cycles_count), 1)
    if 0 < counting.end_after_cycles <= counting.cycles_count:
        return counting.end_result
    # Written by the test's thread, read here.
    return load_acquire_i32(address(counting.work_count))


@cclass
class CountingAgent(NativeAgent):
    """Counts cycles; `end_after_cycles` > 0 makes that cycle return `end_result`.

    Each cycle returns `work_count` and sleeps `stall_ns` nanoseconds. The counts may be read
    from any thread.
    """

    counting: CountingState

    def __init__(
        self,
        role_name: str = "counting-agent",
        *,
        work_count: int32_t = 0,
        end_after_cycles: int64_t = 0,
        end_result: int32_t = -1,
        stall_ns: int64_t = 0,
    ):
        self.role_name = role_name
        self.counting.work_count = work_count
        self.counting.end_after_cycles = end_after_cycles
        self.counting.end_result = end_result
        self.counting.stall_ns = stall_ns
        self.state = address(self.counting)
        self.work = count_cycle

    def measure(self, runner: NativeAgentRunner, cycle_threshold_ns: int64_t) -> None:
        """Let `runner` keep the longest cycle and the number of slow ones here; before start."""
        runner.measure(
            address(self.counting.max_cycle_time_ns),
            address(self.counting.slow_cycles_count),
            cycle_threshold_ns,
            self,
        )

    def set_work_count(self, work_count: int32_t) -> None:
        """What the next cycles return."""
        store_release_i32(address(self.counting.work_count), work_count)

    def run_cycle(self, now_ns: int64_t, now_ms: int64_t) -> int:
        """Run one duty cycle on the calling thread."""
        return run_native_cycle(self, now_ns, now_ms)

    @property
    def cycles_count(self) -> int:
        """How many duty cycles were run."""
        return load_acquire_i64(address(self.counting.cycles_count))

    @property
    def last_now_ns(self) -> int:
        """The monotonic time of the last cycle."""
        return load_acquire_i64(address(self.counting.last_now_ns))

    @property
    def last_now_ms(self) -> int:
        """The epoch time of the last cycle."""
        return load_acquire_i64(address(self.counting.last_now_ms))

    @property
    def max_cycle_time_ns(self) -> int:
        """The longest time from one cycle's start to the next, once measured."""
        return load_acquire_i64(address(self.counting.max_cycle_time_ns))

    @property
    def slow_cycles_count(self) -> int:
        """How many cycles took longer than the threshold, once measured."""
        return load_acquire_i64(address(self.counting.slow_cycles_count))


def run_native_cycle(agent: NativeAgent, now_ns: int64_t, now_ms: int64_t) -> int:
    """Run one duty cycle of any native agent on the calling thread, at a time of your choice."""
    done: int32_t
    with nogil:
        done = agent.work(agent.state, now_ns, now_ms)
    return done
