"""A seed is the whole run: the same again gives the same trace, byte for byte."""

from __future__ import annotations

import subprocess
import sys

import pytest

from volans.testing import simulator_command
from volans.testing.simulator import SimulationError, make_plan, simulate
from volans.testing.simulator_world import Hooks

SEEDS = range(1000, 1006)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_gives_a_byte_equal_trace(seed):
    one = simulate(seed, keep_trace=True)
    other = simulate(seed, keep_trace=True)
    assert one.trace == other.trace
    assert len(one.trace) > 100
    assert one == other


def test_another_seed_gives_another_trace():
    assert len({simulate(seed).trace_hash for seed in SEEDS}) == len(SEEDS)


def test_another_process_gives_the_same_traces():
    # 1017 and 1032 pause a driver until its clients give it up.
    program = "\n".join(
        (
            "from volans.testing.simulator import simulate",
            "print([simulate(seed).trace_hash for seed in (1001, 1017, 1032)])",
        )
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert hashes == {str([simulate(seed).trace_hash for seed in (1001, 1017, 1032)])}


def test_many_seeds_meet_all_that_can_happen():
    totals: dict[str, int] = {}
    for seed in range(1000, 1020):
        report = simulate(seed)
        for name, value in (report.counters | report.datagrams).items():
            totals[name] = totals.get(name, 0) + value
    totals.pop("corrupted")  # checksums are the medium's affair: no link of a plan corrupts
    totals.pop("overflowed")  # needs a pause under load, which not every sample has
    assert not [name for name, value in totals.items() if value == 0], totals
    plans = [make_plan(seed) for seed in range(300)]
    assert {plan.driver_count for plan in plans} == {2, 3, 4}
    assert max(plan.fault.loss for plan in plans) == 0.3
    kinds = {each.kind for plan in plans for each in plan.disturbances}
    assert kinds == {
        "driver_pause",
        "driver_restart",
        "driver_crash",
        "client_pause",
        "client_death",
        "partition",
    }
    streams = {stream.kind for plan in plans for stream in plan.streams}
    assert streams == {"udp", "ipc", "multicast", "dynamic", "manual", "receive"}


def test_a_failing_seed_is_printed_and_repeats(capsys, monkeypatch):
    class Skipping(Hooks):
        def message_handler(self, subscriber, handler):
            return lambda buffer, header: header.position % 96 == 0 or handler(buffer, header)

    def sabotaged(seed, **options):
        return simulate(seed, hooks=Skipping(), **options)

    monkeypatch.setattr(simulator_command, "simulate", sabotaged)
    assert simulator_command.main(["--seeds", "3", "--first", "1000"]) == 1
    printed = capsys.readouterr().out
    assert "volans-sim --seed 1000" in printed
    assert simulator_command.main(["--seed", "1000"]) == 1
    reason = next(line for line in printed.splitlines() if "seed 1000:" in line)
    assert reason in capsys.readouterr().out


def test_the_command_runs_one_seed_and_writes_its_trace(tmp_path, capsys):
    trace = tmp_path / "trace.txt"
    assert simulator_command.main(["--seed", "1002", "--trace", str(trace)]) == 0
    assert tuple(trace.read_text().splitlines()) == simulate(1002, keep_trace=True).trace
    assert "seed 1002: " in capsys.readouterr().out


def test_the_command_shares_seeds_among_processes(capsys):
    assert simulator_command.main(["--seeds", "6", "--first", "1000", "--jobs", "2"]) == 0
    assert "6 of 6 seeds hold" in capsys.readouterr().out


def test_wrong_options_are_refused():
    with pytest.raises(SystemExit):
        simulator_command.main(["--seeds", "0"])


def test_a_failure_keeps_its_trace():
    class Doubling(Hooks):
        def message_handler(self, subscriber, handler):
            return lambda buffer, header: (handler(buffer, header), handler(buffer, header))

    with pytest.raises(SimulationError, match="seed 1000") as caught:
        simulate(1000, hooks=Doubling(), keep_trace=True)
    assert caught.value.trace
