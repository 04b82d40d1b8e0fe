# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The wall clock of send timestamps, given to the agents by the driver's shell."""

from __future__ import annotations

from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.memory.clock import epoch_ns


def use_system_epoch_clock(shared: SharedState) -> None:
    """Let send timestamps tell the system's time; without it they tell the engine's (virtual) one.

    Call before the agents start.
    """
    shared.state.epoch_clock_ns = epoch_ns
