# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Agents whose duty cycle is a C function, and the thread that runs one without the GIL."""

from __future__ import annotations

import atexit
import threading

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.agents.idle import IdleStrategy, idle_state_idle
from cython.cimports.volans.agents.layout import (
    MAX_CYCLE_MEASURES,
    CompositeState,
    IdleState,
    do_work_fn,
)
from cython.cimports.volans.memory.atomic import (
    counter_add,
    load_acquire_i32,
    propose_max_i64,
    store_release_i32,
)
from cython.cimports.volans.memory.clock import epoch_ms, monotonic_ns
from cython.cimports.volans.memory.scheduler import thread_set_name

from volans.agents.agent import AgentCloseTimeoutError


@cclass
class NativeAgent:
    """A duty cycle in C: a function and its state, filled in by compiled code.

    Compiled owners set `work`, `state` and `owner` (see `make_native_agent`); from Python an
    agent is only handed to a runner or a composite.

    Threading: `work` runs on one thread at a time, without the GIL.
    """

    def __cinit__(self):
        self.work = cython.NULL
        self.state = cython.NULL
        self.role_name = "native-agent"


@cfunc
def make_native_agent(
    work: do_work_fn, state: p_void, owner: object, role_name: str
) -> NativeAgent:
    agent: NativeAgent = NativeAgent.__new__(NativeAgent)
    agent.work = work
    agent.state = state
    agent.owner = owner
    agent.role_name = role_name
    return agent


@cfunc
@nogil
@exceptval(check=False)
def composite_do_work(state: p_void, now_ns: int64_t, now_ms: int64_t) -> int32_t:
    composite: pointer[CompositeState] = cast(pointer[CompositeState], state)
    total: int32_t = 0
    done: int32_t
    index: int32_t
    for index in range(composite.count):
        done = composite.works[index](composite.states[index], now_ns, now_ms)
        if done < 0:
            return done
        total += done
    return total


@cclass
class NativeComposite(NativeAgent):
    """Runs native agents in turn as one agent (threading modes SHARED and SHARED_NETWORK).

    `agents` are run in the given order; the role name defaults to "[a,b,...]".
    Raises ValueError when there are none or one of them has no work function.
    """

    def __init__(self, agents, role_name: str | None = None):
        member: NativeAgent
        members = tuple(agents)
        if not members:
            raise ValueError("a composite of 0 agents: give at least one")
        if self.state is not cython.NULL:
            raise RuntimeError("the composite is initialised: make a new one")
        self.composite.works = cast(pointer[do_work_fn], calloc(len(members), sizeof(do_work_fn)))
        self.composite.states = cast(pointer[p_void], calloc(len(members), sizeof(p_void)))
        if self.composite.works is cython.NULL or self.composite.states is cython.NULL:
            raise MemoryError
        names = []
        for index, candidate in enumerate(members):
            member = candidate
            if member.work is cython.NULL:
                raise ValueError(f"agent {member.role_name!r} has no work function: set it first")
            self.composite.works[cast(int32_t, index)] = member.work
            self.composite.states[cast(int32_t, index)] = member.state
            names.append(member.role_name)
        self.composite.count = len(members)
        self.owner = members
        self.role_name = role_name if role_name is not None else f"[{','.join(names)}]"
        self.state = address(self.composite)
        self.work = composite_do_work

    def __dealloc__(self):
        free(self.composite.works)
        free(self.composite.states)


@cclass
class NativeAgentRunner:
    """Runs a native agent on its own thread, which never holds the GIL between cycles.

    Each cycle reads the clocks once, calls the agent, then idles. The loop ends at `close`
    or when the agent returns a negative number. One runner starts once.

    The thread is named `thread_name` (the agent's role unless given) and calls `on_start` before
    its first cycle: the place to bind it to a core.
    """

    def __init__(
        self,
        agent: NativeAgent,
        idle_strategy: IdleStrategy,
        *,
        thread_name: str | None = None,
        on_start: object = None,
    ):
        if agent is None or idle_strategy is None:
            raise TypeError("a runner needs a NativeAgent and an IdleStrategy, not None")
        if agent.work is cython.NULL:
            raise ValueError(f"agent {agent.role_name!r} has no work function: set it first")
        self.agent = agent
        self.idle_strategy = idle_strategy
        self.role_name = thread_name if thread_name is not None else agent.role_name
        self.on_start = on_start
        self.running = 1
        self.counter_owners = []

    def start(self) -> None:
        """Start the thread.

        Raises RuntimeError when the runner was started or closed before.
        """
        if self.agent is None:
            raise RuntimeError("the runner has no agent: call its constructor")
        if self.thread is not None or load_acquire_i32(address(self.running)) == 0:
            raise RuntimeError(
                f"runner of {self.role_name!r} was started or closed before: make a new one"
            )
        # A daemon, because only then the exit handler gets its turn to end the loop.
        self.thread = threading.Thread(target=self._run, name=self.role_name, daemon=True)
        atexit.register(self.close)
        try:
            self.thread.start()
        except RuntimeError:
            atexit.unregister(self.close)
            self.thread = None
            raise

    def _run(self) -> None:
        work: do_work_fn = self.agent.work
        state: p_void = self.agent.state
        idle: pointer[IdleState] = address(self.idle_strategy.state)
        name: bytes = self.role_name.encode("utf-8", "replace")
        thread_set_name(name)
        if self.on_start is not None:
            self.on_start()
        now_ns: int64_t
        last_ns: int64_t
        done: int32_t
        with nogil:
            last_ns = monotonic_ns()
            # close(), on any thread, stores 0 with release.
            while load_acquire_i32(address(self.running)) != 0:
                now_ns = monotonic_ns()
                self._measure(now_ns - last_ns)
                last_ns = now_ns
                done = work(state, now_ns, epoch_ms())
                if done < 0:
                    self.result = done
                    break
                idle_state_idle(idle, done)
            store_release_i32(address(self.finished), 1)

    @cfunc
    @nogil
    @exceptval(check=False)
    def _measure(self, cycle_ns: int64_t) -> cython.void:
        # Start to start, so a stall counts wherever it happened: in work, idling or descheduled.
        i: int32_t
        for i in range(self.measure_count):
            propose_max_i64(self.measures[i].max_time_ns, cycle_ns)
            if cycle_ns > self.measures[i].threshold_ns:
                counter_add(self.measures[i].slow_count, 1)

    @cfunc
    def measure(
        self,
        max_time_ns: pointer[int64_t],
        slow_count: pointer[int64_t],
        threshold_ns: int64_t,
        owner: object,
    ) -> object:
        if self.measure_count == MAX_CYCLE_MEASURES:
            raise ValueError(f"a runner keeps at most {MAX_CYCLE_MEASURES} measures")
        self.measures[self.measure_count].max_time_ns = max_time_ns
        self.measures[self.measure_count].slow_count = slow_count
        self.measures[self.measure_count].threshold_ns = threshold_ns
        self.counter_owners.append(owner)
        self.measure_count += 1
        return None

    def close(self, timeout_s: float = 5.0) -> None:
        """Ask the loop to end and wait for it, at most `timeout_s` seconds; again is harmless.

        From the agent's own thread it only asks. Raises AgentCloseTimeoutError when the agent
        is still in its duty cycle after the time: its state must then stay allocated.
        """
        # Read by the loop with acquire.
        store_release_i32(address(self.running), 0)
        thread = self.thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(timeout_s)
        if thread.is_alive():
            raise AgentCloseTimeoutError(self.role_name, timeout_s)
        atexit.unregister(self.close)

    @property
    def is_running(self) -> bool:
        """True from `start` until the loop has left."""
        return self.thread is not None and load_acquire_i32(address(self.finished)) == 0

    @property
    def exit_result(self) -> int:
        """The negative number with which the agent ended itself, else 0."""
        if load_acquire_i32(address(self.finished)) == 0:
            return 0
        return self.result

    def __enter__(self) -> NativeAgentRunner:
        self.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()
