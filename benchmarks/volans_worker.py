"""Benchmark worker for Volans, the counterpart of ``official_worker.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import volans

sys.path.insert(0, str(Path(__file__).resolve().parent))

import worker_commands

VERSION = f"volans {getattr(volans, '__version__', '')}"


class EmbeddedDriver:
    """An embedded driver under the name the loops close it by."""

    def __init__(self, directory: str):
        self._driver = volans.MediaDriver.launch(directory=directory)

    def close(self) -> None:
        self._driver.close()


def start_driver(settings: dict[str, str]) -> EmbeddedDriver:
    return EmbeddedDriver(settings["AERON_DIR"])


def connect(directory: str) -> object:
    return volans.connect(directory)


def open_loops(directory: str, channel: str, answers: str, stream_id: int) -> object:
    from volans.testing import bench_loops

    return bench_loops.Loops(directory, channel, answers, stream_id)


if __name__ == "__main__":
    worker_commands.serve(sys.modules[__name__])
