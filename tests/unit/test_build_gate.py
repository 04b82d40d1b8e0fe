"""The build refuses code that Cython says would take the GIL back, in its worker processes too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("Cython")

ROOT = Path(__file__).resolve().parents[2]

MODULE = '''\
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Probe."""
import cython
from cython import cfunc, exceptval, nogil


@cfunc
@nogil
{exception_value}
def called(n: cython.int) -> cython.void:
    pass


def call(n: cython.int) -> None:
    with nogil:
        called(n)
'''
GOOD = MODULE.format(exception_value="@exceptval(check=False)")
BAD = MODULE.format(exception_value="")


def translate(folder: Path, modules: dict[str, str], jobs: int) -> subprocess.CompletedProcess[str]:
    """Run the translation to C of the real setup.py over a package made of these modules."""
    package = folder / "src" / "volans"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    shutil.copy(ROOT / "setup.py", folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOLANS_")}
    return subprocess.run(
        [sys.executable, "-c", "import setup; print(len(setup.extensions()), 'extensions')"],
        cwd=folder,
        env={**environment, "VOLANS_JOBS": str(jobs), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("jobs", [0, 2], ids=["same process", "worker processes"])
def test_a_performance_hint_fails_the_build(tmp_path, jobs):
    result = translate(tmp_path, {"good": GOOD, "bad": BAD}, jobs)

    assert result.returncode != 0
    assert "performance hint" in result.stdout + result.stderr
    assert "bad.py" in result.stdout + result.stderr


def test_the_same_code_without_the_hint_is_built(tmp_path):
    result = translate(tmp_path, {"good": GOOD, "better": GOOD}, jobs=2)

    assert result.returncode == 0, result.stderr
    assert "3 extensions" in result.stdout  # the two and what they share
