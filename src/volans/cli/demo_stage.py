"""Where the demonstration takes place: a driver, a scratch directory and a file to carry."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from volans.cli.failures import CommandFailedError
from volans.cli.source import DriverDirectory

_SHARED_MEMORY: Final = Path("/dev/shm")
_WANTED_BYTES: Final = 256 << 20
_CORES_FOR_THREADS: Final = 4
# A small driver, so that the demonstration fits the shared memory of a container.
_SMALL: Final = {
    "counters_values_buffer_length": "1m",
    "term_buffer_length": "4m",
    "ipc_term_buffer_length": "4m",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What the steps need."""

    directory: str
    driver_name: str
    scratch: Path
    file: Path
    step_s: float


@contextmanager
def open_stage(directory: str | None, file: Path | None, step_s: float) -> Iterator[Stage]:
    """A running driver's directory, or (None) a driver in this process, ended with the block."""
    with ExitStack() as stack:
        scratch = _scratch_directory()
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        if directory is None:
            from volans.driver.media_driver import MediaDriver

            cores = os.cpu_count() or 1
            driver = MediaDriver.launch(
                scratch / "driver",
                dir_delete_on_start=True,
                threading_mode="DEDICATED" if cores >= _CORES_FOR_THREADS else "SHARED",
                **_SMALL,
            )
            stack.enter_context(driver)
            directory, name = str(driver.directory), "embedded"
        else:
            name = directory
            with DriverDirectory(directory) as source:
                if not source.is_active:
                    raise CommandFailedError(f"no media driver runs in {directory}")
        yield Stage(directory, name, scratch, file or _file_at_hand(), step_s)


def _scratch_directory() -> Path:
    base = None
    if os.access(_SHARED_MEMORY, os.W_OK) and (
        shutil.disk_usage(_SHARED_MEMORY).free >= _WANTED_BYTES
    ):
        base = _SHARED_MEMORY
    return Path(tempfile.mkdtemp(prefix="volans-demo-", dir=base))


def _file_at_hand() -> Path:
    """A real file of some size: the interpreter, its library, or a compiled module."""
    package = Path(__file__).resolve().parent.parent
    folder, name = (sysconfig.get_config_var(key) for key in ("LIBDIR", "INSTSONAME"))
    library = Path(str(folder), str(name))
    candidates = [Path(sys.executable).resolve(), library, *package.rglob("*.so")]
    return max(
        (path for path in candidates if path.is_file()), key=lambda path: path.stat().st_size
    )
