# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Idle strategies: what a duty cycle does with a core when there was no work.

One C function interprets one struct, so that a GIL-free runner and a Python one idle alike.
"""

from __future__ import annotations

import cython
from cython import cast, cclass, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.agents.layout import (
    IDLE_BACKOFF,
    IDLE_CONTROLLABLE,
    IDLE_NOOP,
    IDLE_SLEEP,
    IDLE_SPIN,
    IDLE_YIELD,
    BackoffState,
    ControlStatus,
    IdleState,
)
from cython.cimports.volans.memory.atomic import cpu_pause, load_acquire_i64
from cython.cimports.volans.memory.clock import sleep_ns
from cython.cimports.volans.memory.counters import AtomicCounter
from cython.cimports.volans.memory.scheduler import thread_yield
from cython.cimports.volans.memory.views import flat_view, view_address

_MAX_NS = 3_600_000_000_000  # an hour: a longer sleep is a mistyped unit


@cfunc
@nogil
@exceptval(check=False)
def idle_state_reset(state: pointer[IdleState]) -> cython.void:
    state.backoff_state = BackoffState.BACKOFF_NOT_IDLE
    state.spins = 0
    state.yields = 0
    state.park_ns = state.min_park_ns


@cfunc
@nogil
@exceptval(check=False)
def _backoff(state: pointer[IdleState]) -> cython.void:
    if state.backoff_state == BackoffState.BACKOFF_PARKING:
        sleep_ns(state.park_ns)
        state.park_ns = min(state.park_ns * 2, state.max_park_ns)
    elif state.backoff_state == BackoffState.BACKOFF_YIELDING:
        state.yields += 1
        if state.yields > state.max_yields:
            state.backoff_state = BackoffState.BACKOFF_PARKING
            state.park_ns = state.min_park_ns
        else:
            thread_yield()
    elif state.backoff_state == BackoffState.BACKOFF_SPINNING:
        cpu_pause()
        state.spins += 1
        if state.spins > state.max_spins:
            state.backoff_state = BackoffState.BACKOFF_YIELDING
            state.yields = 0
    else:
        state.backoff_state = BackoffState.BACKOFF_SPINNING
        state.spins += 1


@cfunc
@nogil
@exceptval(check=False)
def _controlled(state: pointer[IdleState]) -> cython.void:
    status: int64_t = ControlStatus.CONTROL_DEFAULT
    if state.control is not cython.NULL:
        # Written by whoever steers (a tool, through the counters file), read here.
        status = load_acquire_i64(state.control)
    if status == ControlStatus.CONTROL_NOOP:
        return
    if status == ControlStatus.CONTROL_SPIN:
        cpu_pause()
    elif status == ControlStatus.CONTROL_YIELD:
        thread_yield()
    else:
        sleep_ns(state.sleep_ns)


@cfunc
@nogil
@exceptval(check=False)
def idle_state_idle(state: pointer[IdleState], work_count: int32_t) -> cython.void:
    if work_count > 0:
        if state.kind == IDLE_BACKOFF and state.backoff_state != BackoffState.BACKOFF_NOT_IDLE:
            idle_state_reset(state)
        return
    if state.kind == IDLE_BACKOFF:
        _backoff(state)
    elif state.kind == IDLE_SLEEP:
        sleep_ns(state.sleep_ns)
    elif state.kind == IDLE_YIELD:
        thread_yield()
    elif state.kind == IDLE_SPIN:
        cpu_pause()
    elif state.kind == IDLE_CONTROLLABLE:
        _controlled(state)


def _checked(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError(f"{name}={value} is outside {low}..{high}: choose a value in that range")
    return value


@cclass
class IdleStrategy:
    """What to do between duty cycles; the base class itself does nothing.

    A strategy holds the state of one thread's idling: give every runner its own instance.
    """

    state: IdleState
    owner: object

    def __cinit__(self):
        self.state.kind = IDLE_NOOP
        self.state.control = cython.NULL

    def idle(self, work_count: int32_t = 0) -> None:
        """Idle after a duty cycle that did `work_count` pieces of work; the GIL is released."""
        if work_count > 0:
            idle_state_idle(cython.address(self.state), work_count)
        else:
            with nogil:
                idle_state_idle(cython.address(self.state), work_count)

    def reset(self) -> None:
        """Forget how long there was nothing to do."""
        idle_state_reset(cython.address(self.state))

    @staticmethod
    def from_name(name: str, init_args: str | None = None, control=None) -> IdleStrategy:
        """The strategy of an official alias, C function or Java class name.

        `init_args` is a duration for sleeping ("1us", plain numbers are ns) and
        "spins-yields-min park-max park" for backoff; `control` is for controllable.
        Raises ValueError when the name or the arguments are not understood.
        """
        from volans.agents.idle_names import resolve

        class_name, arguments = resolve(name, init_args)
        if class_name == "ControllableIdleStrategy":
            return ControllableIdleStrategy(control)
        return globals()[class_name](**arguments)

    def _state_for_tests(self) -> dict:
        return {
            "backoff_state": self.state.backoff_state,
            "spins": self.state.spins,
            "yields": self.state.yields,
            "park_ns": self.state.park_ns,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@cclass
class NoOpIdleStrategy(IdleStrategy):
    """Return at once: the lowest latency that the compiler can give, a core at 100 %."""


@cclass
class BusySpinIdleStrategy(IdleStrategy):
    """One pause instruction: as quick as a no-op, kinder to the sibling hyperthread."""

    def __cinit__(self):
        self.state.kind = IDLE_SPIN


@cclass
class YieldingIdleStrategy(IdleStrategy):
    """Give the rest of the time slice to another runnable thread."""

    def __cinit__(self):
        self.state.kind = IDLE_YIELD


@cclass
class SleepingIdleStrategy(IdleStrategy):
    """Sleep `sleep_ns` nanoseconds (the kernel adds its timer slack, about 50 microseconds)."""

    def __init__(self, sleep_ns: object = 1000):
        self.state.kind = IDLE_SLEEP
        self.state.sleep_ns = _checked("sleep_ns", sleep_ns, 1, _MAX_NS)

    def __repr__(self) -> str:
        return f"SleepingIdleStrategy(sleep_ns={self.state.sleep_ns})"


@cclass
class BackoffIdleStrategy(IdleStrategy):
    """Spin, then yield, then sleep twice as long each time; work starts it over.

    `max_spins` and `max_yields` are counts of idle calls; the park limits are nanoseconds.
    """

    def __init__(
        self,
        max_spins: object = 10,
        max_yields: object = 5,
        min_park_ns: object = 1000,
        max_park_ns: object = 1_000_000,
    ):
        self.state.kind = IDLE_BACKOFF
        self.state.max_spins = _checked("max_spins", max_spins, 0, 1 << 62)
        self.state.max_yields = _checked("max_yields", max_yields, 0, 1 << 62)
        self.state.min_park_ns = _checked("min_park_ns", min_park_ns, 1, _MAX_NS)
        self.state.max_park_ns = _checked("max_park_ns", max_park_ns, min_park_ns, _MAX_NS)
        idle_state_reset(cython.address(self.state))

    def __repr__(self) -> str:
        state = self.state
        return (
            f"BackoffIdleStrategy(max_spins={state.max_spins}, max_yields={state.max_yields}, "
            f"min_park_ns={state.min_park_ns}, max_park_ns={state.max_park_ns})"
        )


@cclass
class ControllableIdleStrategy(IdleStrategy):
    """Idle as a 64-bit word says at each call: 0 default (park), 1 noop, 2 spin, 3 yield, 4 park.

    `control` is an AtomicCounter (the driver's is counter 22, PROTOCOL.md section 6.5) or any
    buffer of at least 8 aligned bytes; None parks until compiled code attaches a word.
    """

    def __init__(self, control=None):
        if self.owner is not None:
            raise RuntimeError("the strategy is initialised: make a new one")
        self.state.kind = IDLE_CONTROLLABLE
        self.state.sleep_ns = 1000
        if control is None:
            return
        if isinstance(control, AtomicCounter):
            counter: AtomicCounter = control
            self.state.control = counter.value_address
            self.owner = counter
            return
        view = flat_view(control, False, "a controllable idle strategy")
        if view.nbytes < 8:
            raise ValueError(f"control has {view.nbytes} bytes: give the 8 of a 64-bit word")
        self.state.control = cast(pointer[int64_t], view_address(view))
        self.owner = view
