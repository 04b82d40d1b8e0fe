"""Room is promised to sparse files without looking at all of them each time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from volans.driver.conductor import storage
from volans.memory.errors import StorageSpaceError

BLOCK = 4096


@pytest.fixture
def directory(tmp_path, monkeypatch) -> Path:
    """A driver's directory on a file system of 100 blocks; `walks` counts looks at the files."""
    for name in ("publications", "images"):
        (tmp_path / name).mkdir()
    real = os.statvfs(tmp_path)
    fields = list(real)
    fields[1], fields[4] = BLOCK, 100  # f_frsize, f_bavail
    monkeypatch.setattr(storage.os, "statvfs", lambda _: os.statvfs_result(fields))
    return tmp_path


@pytest.fixture
def walks(monkeypatch) -> list[Path]:
    seen: list[Path] = []
    real = storage.promised_bytes

    def counted(directory: Path) -> int:
        seen.append(directory)
        return real(directory)

    monkeypatch.setattr(storage, "promised_bytes", counted)
    return seen


def make(directory: Path, number: int, blocks: int) -> Path:
    path = directory / "publications" / f"{number}.logbuffer"
    with path.open("wb") as file:
        file.truncate(blocks * BLOCK)
    return path


def test_files_are_looked_at_once_while_there_is_room(directory, walks):
    space = storage.PromisedSpace()
    for number in range(20):
        space.promise(Path("new"), 5 * BLOCK, directory)
        make(directory, number, 5)
    assert len(walks) == 1
    with pytest.raises(StorageSpaceError):
        space.promise(Path("new"), BLOCK, directory)
    assert len(walks) == 2


def test_room_of_deleted_files_is_found_again(directory, walks):
    space = storage.PromisedSpace()
    for number in range(50):
        space.promise(Path("new"), 50 * BLOCK, directory)
        make(directory, number, 50).unlink()
    assert len(walks) < 50
    make(directory, 100, 60)
    with pytest.raises(StorageSpaceError):
        space.promise(Path("new"), 50 * BLOCK, directory)
