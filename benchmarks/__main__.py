"""``python -m benchmarks``: run the comparisons and print medians and ratios."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from benchmarks import harness

NAMES = (
    *("offer_poll", "ipc_compiled", "python_rate", "udp", "idle_cpu", "import_time"),
    *("idle_streams", "churn", "steady"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--quick", action="store_true", help="few rounds, a tenth of the messages")
    parser.add_argument("--threading-mode", default="", help="SHARED, SHARED_NETWORK or DEDICATED")
    parser.add_argument("--idle", default="backoff", help="idle strategy of both drivers' agents")
    parser.add_argument("--latency-idle", default="noop", help="the same for the round trips")
    parser.add_argument("--python", default=sys.executable, help="Python for Volans and pyzmq")
    parser.add_argument(
        "--same-python",
        action="store_true",
        help="compile Volans for the official side's Python and run it under that",
    )
    parser.add_argument("--json", type=Path, help="write every figure to this file, too")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    options = harness.Options(
        rounds=min(3, arguments.rounds) if arguments.quick else arguments.rounds,
        scale=0.1 if arguments.quick else 1.0,
        threading_mode=arguments.threading_mode,
        idle_strategy=arguments.idle,
        latency_idle_strategy=arguments.latency_idle,
        volans_python=harness.build_for_peer() if arguments.same_python else arguments.python,
    )
    settings = options.driver_settings()
    print(f"machine: {os.cpu_count()} processors, {platform.platform()}, load {os.getloadavg()}")
    print(f"rounds {options.rounds}, scale {options.scale}; drivers of both sides:")
    print("  " + " ".join(f"{name}={value}" for name, value in sorted(settings.items())))
    for side, version in harness.available_sides(options).items():
        print(f"  {side}: {version}")
    report = harness.Report()
    for name in arguments.names or NAMES:
        start = time.monotonic()
        importlib.import_module(f"benchmarks.{name}").run(options, report)
        print(f"  [{name}: {time.monotonic() - start:.0f} s]")
    if arguments.json:
        arguments.json.write_text(json.dumps({"settings": settings, "rows": report.rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
