"""Core numbers within a cpuset, and what is told about unfortunate sets."""

from __future__ import annotations

import pytest

from volans.driver.config import DriverConfig
from volans.driver.cores import cpuset_warnings, within_cpuset
from volans.errors import ConfigError


@pytest.fixture
def machine(tmp_path):
    """Two dies with a level-3 cache each; four cores of two threads: 0 and 4 are one core."""
    for thread in range(8):
        core = thread % 4
        low = core // 2 * 2
        here = tmp_path / f"cpu{thread}"
        (here / "topology").mkdir(parents=True)
        (here / "cache/index3").mkdir(parents=True)
        (here / "topology/thread_siblings_list").write_text(f"{core},{core + 4}\n")
        half = f"{low}-{low + 1},{low + 4}-{low + 5}\n"
        (here / "topology/die_cpus_list").write_text(half)
        (here / "cache/index3/shared_cpu_list").write_text(half)
    return tmp_path


def test_places_become_core_numbers(machine):
    config = DriverConfig(
        directory="/x", cpuset_affinity=True, conductor_cpu_affinity_no=0, sender_cpu_affinity_no=3
    )
    told: list[str] = []
    placed = within_cpuset(config, {5, 1, 0, 4}, told.append, machine)
    assert told == []
    assert placed.conductor_cpu_affinity_no == 0
    assert placed.sender_cpu_affinity_no == 5
    assert placed.receiver_cpu_affinity_no == -1
    placed = within_cpuset(config.replace(conductor_cpu_affinity_no=2), {2, 3, 6, 7}, told.append)
    assert (placed.conductor_cpu_affinity_no, placed.sender_cpu_affinity_no) == (6, 7)


def test_without_the_setting_numbers_are_the_systems(machine):
    config = DriverConfig(directory="/x", conductor_cpu_affinity_no=99)
    assert within_cpuset(config, {0}, pytest.fail, machine) is config


def test_a_place_that_the_set_does_not_have_is_refused(machine):
    config = DriverConfig(directory="/x", cpuset_affinity=True, receiver_cpu_affinity_no=4)
    with pytest.raises(ConfigError, match=r"AERON_RECEIVER_CPU_AFFINITY=4 .* the 4 cores"):
        within_cpuset(config, {0, 1, 4, 5}, pytest.fail, machine)


@pytest.mark.parametrize(
    ("cores", "words"),
    [
        ({0, 1, 4, 5}, []),
        ({0, 4}, []),
        ({0, 1, 4}, ["missing sibling CPU(s) 5 of the core containing CPU 1"]),
        (
            {0, 2},
            [
                "CPU(s) 4 of the core containing CPU 0",
                "CPU(s) 6 of",
                "dies (2)",
                "L3 cache domains",
            ],
        ),
        ({40, 41}, []),
    ],
)
def test_unfortunate_sets_are_told(machine, cores, words):
    warnings = cpuset_warnings(cores, machine)
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning


def test_lists_that_cannot_be_read_tell_nothing(machine):
    (machine / "cpu0/topology/thread_siblings_list").write_text("0,x\n")
    (machine / "cpu0/topology/die_cpus_list").write_text("\n")
    assert cpuset_warnings({0, 4}, machine) == []


def test_warnings_can_be_errors(machine):
    config = DriverConfig(directory="/x", cpuset_affinity=True, cpuset_warnings_as_errors=True)
    told: list[str] = []
    with pytest.raises(ConfigError, match="partial core"):
        within_cpuset(config, {0}, told.append, machine)
    assert len(told) == 1
    assert told[0].startswith("WARNING: ")
    assert within_cpuset(config, {0, 4}, pytest.fail, machine)
