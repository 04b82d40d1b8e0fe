"""After a simulation nothing of it is left: no file, no descriptor, no mapping."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from volans.testing.simulator import SimulationError, simulate
from volans.testing.simulator_world import Hooks


def traces_of_simulations():
    gc.collect()
    mappings = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return (
        len(list(Path("/proc/self/fd").iterdir())),
        [line for line in mappings if "volans-simulation-" in line],
    )


def test_many_simulations_leave_no_descriptor_and_no_mapping():
    simulate(1000)
    before = traces_of_simulations()
    for seed in range(1001, 1013):
        simulate(seed)
    descriptors, mappings = traces_of_simulations()
    assert mappings == []
    assert descriptors == before[0]


def test_a_failed_simulation_removes_its_directory(monkeypatch, tmp_path):
    class Broken(Hooks):
        def message_handler(self, subscriber, handler):
            return lambda buffer, header: 1 // 0

    monkeypatch.setattr("volans.testing.simulator.SHARED_MEMORY", tmp_path)
    with pytest.raises(SimulationError, match="division"):
        simulate(1000, hooks=Broken())
    assert list(tmp_path.iterdir()) == []
