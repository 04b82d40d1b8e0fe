"""What is installed: every module with its C-level and its typed face."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory) -> set[str]:
    """Names in a wheel made without compiling anything."""
    folder = str(tmp_path_factory.mktemp("wheel"))
    subprocess.run(
        [
            sys.executable,
            "setup.py",
            "-q",
            "egg_info",
            "--egg-base",
            folder,
            "build",
            "--build-base",
            folder,
            "bdist_wheel",
            "--dist-dir",
            folder,
        ],
        cwd=ROOT,
        env={**os.environ, "VOLANS_ONLY": "nothing"},
        check=True,
        capture_output=True,
    )
    (wheel,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_wheel_has_all_modules_with_their_stubs_and_c_level_faces(wheel_names):
    package = ROOT / "src" / "volans"
    wanted = {
        str(path.relative_to(ROOT / "src"))
        for pattern in ("*.py", "*.pyi", "*.pxd", "py.typed")
        for path in package.rglob(pattern)
    }
    assert wanted - wheel_names == set()


def test_a_wheel_has_nothing_that_belongs_to_development(wheel_names):
    outside = {
        name for name in wheel_names if not name.startswith("volans/") and ".dist-info/" not in name
    }
    assert outside == set()


def test_a_wheel_names_the_commands_and_the_licence(wheel_names):
    assert any(name.endswith("entry_points.txt") for name in wheel_names)
    assert any(name.endswith("LICENSE") for name in wheel_names)
