"""Seeds that once failed hold for ever after."""

from __future__ import annotations

from pathlib import Path

import pytest

from volans.testing.simulator import simulate
from volans.testing.simulator_plan import make_basic_plan

LINES = (Path(__file__).parent / "failing_seeds.txt").read_text(encoding="utf-8").splitlines()
SEEDS = [int(line.split()[0]) for line in LINES if line and not line.startswith("#")]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_once_failed_holds(seed):
    simulate(seed)
    simulate(seed, plan=make_basic_plan(seed))
