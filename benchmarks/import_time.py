"""Wall time that ``import volans`` adds to a Python start, beside the other libraries' imports."""

from __future__ import annotations

import subprocess
import time

import peer

from benchmarks import harness

TITLE = "Import time, over an interpreter that imports nothing"
TARGET_MS = 150.0


def run(options: harness.Options, report: harness.Report) -> None:
    contenders: dict[str, harness.Contender] = {}
    for side in harness.available_sides(options):
        module = {"volans": "volans", "official": "pyaeron", "zmq": "zmq"}[side]
        python = peer.peer_python() if side == "official" else options.volans_python
        contenders[side] = _import(python, module)
    samples = harness.interleave(contenders, options.rounds)
    report.figures(TITLE, "ms", samples)
    values = samples.get("volans", {}).get("import")
    if values:
        good = "ok" if harness.quartiles(values)[1] < TARGET_MS else "MISSED"
        print(f"  target < {TARGET_MS:g} ms  {good}")


def _import(python: str, module: str) -> harness.Contender:
    def start_ms(code: str) -> float:
        start_ns = time.perf_counter_ns()
        subprocess.run([python, "-c", code], env=peer.volans_environment(), check=True)
        return (time.perf_counter_ns() - start_ns) / 1e6

    def measure() -> dict[str, float]:
        return {"import": start_ms(f"import {module}") - start_ms("")}

    return harness.Contender(measure)
