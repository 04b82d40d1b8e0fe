"""After a simulation nothing of it is left: no file, no descriptor, no mapping."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
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


ENDED = """
import os, signal, sys
from pathlib import Path
from volans.testing import simulator, simulator_command
from volans.testing.simulator_world import Hooks

class Ending(Hooks):
    def before_end(self, world):
        assert list(simulator.SHARED_MEMORY.iterdir())
        os.kill(os.getppid() if jobs > 1 else os.getpid(), signal.SIGTERM)

def ended(seed, **options):
    return simulator.simulate(seed, hooks=Ending(), **options)

jobs = int(sys.argv[2])
simulator.SHARED_MEMORY = Path(sys.argv[1])
simulator_command.simulate = ended
sys.exit(simulator_command.main(["--seeds", "1000000", "--first", "1000", "--jobs", sys.argv[2]]))
"""


@pytest.mark.parametrize(
    ("jobs", "status"), [(1, -signal.SIGTERM), (2, 128 + signal.SIGTERM)], ids=["alone", "jobs"]
)
def test_simulations_told_to_end_remove_their_directories(tmp_path, jobs, status):
    # The output closes when the last process has gone.
    ended = subprocess.run(
        [sys.executable, "-c", ENDED, str(tmp_path), str(jobs)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == status, ended.stderr
    assert list(tmp_path.iterdir()) == []
