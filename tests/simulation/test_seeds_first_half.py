"""The first half of the seeds every test run simulates; two files share the machine's cores."""

from __future__ import annotations

import pytest

from volans.testing.simulator import simulate

BLOCK = 10


@pytest.mark.parametrize("first", range(0, 150, BLOCK))
def test_every_seed_of_a_block_holds(first):
    for seed in range(first, first + BLOCK):
        simulate(seed)
