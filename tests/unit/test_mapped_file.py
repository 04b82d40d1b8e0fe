"""Mapped files: creation, storage check, views that hold the mapping, bad files."""

import errno
import gc
import mmap
import os
import struct
from pathlib import Path

import pytest

from volans.memory import MappedFile, StorageSpaceError, TruncatedFileError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.logbuffer"


def mapping_count(path):
    with open("/proc/self/maps") as maps:
        return sum(str(path) in line for line in maps)


def test_create_then_open_shares_bytes(path):
    with MappedFile.create(path, 5000) as created, MappedFile.open(path) as opened:
        assert (len(created), opened.length, opened.path) == (5000, 5000, str(path))
        memoryview(created)[4999] = 7
        assert memoryview(opened)[4999] == 7
        assert bytes(created.view(4998, 2)) == b"\0\7"
        assert path.stat().st_size == 5000


def test_create_never_replaces(path):
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        MappedFile.create(path, 100)
    assert path.read_bytes() == b"precious"


def test_sparse_takes_no_blocks_and_the_contrary_takes_all(tmp_path):
    length = 1 << 20
    with MappedFile.create(tmp_path / "sparse", length):
        assert (tmp_path / "sparse").stat().st_blocks * 512 < length
    with MappedFile.create(tmp_path / "dense", length, sparse=False):
        assert (tmp_path / "dense").stat().st_blocks * 512 >= length


def test_pre_touch_makes_pages_present(tmp_path):
    length = 64 * mmap.PAGESIZE + 8

    def resident_bytes(path):
        text = Path("/proc/self/smaps").read_text()
        section = text.split(str(path), 1)[1]
        return int(section.split("Rss:", 1)[1].split()[0]) * 1024

    with MappedFile.create(tmp_path / "plain", length):
        assert resident_bytes(tmp_path / "plain") < length
    with MappedFile.create(tmp_path / "touched", length, pre_touch=True) as touched:
        assert resident_bytes(tmp_path / "touched") >= length
        assert not any(memoryview(touched))


def test_storage_is_checked_first(path):
    status = os.statvfs(path.parent)
    available = status.f_bavail * status.f_frsize
    needed = available + (1 << 40)
    with pytest.raises(StorageSpaceError, match="term-length") as caught:
        MappedFile.create(path, needed)
    error = caught.value
    assert error.errno == errno.ENOSPC
    assert (error.needed_bytes, error.filename) == (needed, str(path))
    assert 0 < error.available_bytes < needed
    assert str(needed) in str(error)
    assert str(error.available_bytes) in str(error)
    assert not path.exists()


def test_failure_leaves_no_file(path, monkeypatch):
    def no_space(descriptor, offset, length):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.raises(StorageSpaceError):
        MappedFile.create(path, 4096, sparse=False)
    assert not path.exists()


@pytest.mark.parametrize("length", [0, -1])
def test_length_must_be_positive(path, length):
    with pytest.raises(ValueError, match=f"length is {length}"):
        MappedFile.create(path, length)
    with pytest.raises(ValueError, match=f"length is {length}"):
        MappedFile.anonymous(length)


@pytest.mark.parametrize(("content", "minimum"), [(b"", 0), (b"x" * 99, 100)])
def test_short_file_is_refused(path, content, minimum):
    path.write_bytes(content)
    with pytest.raises(TruncatedFileError, match=str(max(1, minimum))) as caught:
        MappedFile.open(path, minimum_length=minimum)
    assert caught.value.length_bytes == len(content)
    assert caught.value.minimum_bytes == max(1, minimum)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        MappedFile.open(tmp_path / "absent")
    with pytest.raises(ValueError, match="regular file"):
        MappedFile.open(tmp_path, read_only=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular file"):
        MappedFile.open(tmp_path / "pipe", read_only=True)


def test_read_only_mapping_gives_read_only_views(path):
    path.write_bytes(b"abc")
    with MappedFile.open(path, read_only=True) as mapped:
        assert memoryview(mapped).readonly
        with pytest.raises((TypeError, BufferError)):
            struct.pack_into("B", mapped, 0, 1)


def test_mapping_outlives_close_while_a_view_lives(path):
    mapped = MappedFile.create(path, 4096)
    whole = memoryview(mapped)
    part = mapped.view(8, 8)
    mapped.close()
    mapped.close()
    assert mapped.closed
    assert mapped.is_mapped
    part[0] = 9
    assert whole[8] == 9
    whole.release()
    assert mapping_count(path) == 1
    part.release()
    assert not mapped.is_mapped
    assert mapping_count(path) == 0
    with pytest.raises(ValueError, match="closed"):
        memoryview(mapped)


def test_dropped_mapping_is_unmapped(path):
    MappedFile.create(path, 4096)
    gc.collect()
    assert mapping_count(path) == 0


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (0, 101), (100, 1), (2**62, 1)])
def test_view_outside_is_refused(offset, length):
    with MappedFile.anonymous(100) as mapped, pytest.raises(ValueError, match="100 mapped"):
        mapped.view(offset, length)


def test_no_descriptor_is_left_open(path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with MappedFile.create(path, 4096), MappedFile.open(path):
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_anonymous_memory_is_shared_with_a_fork():
    with MappedFile.anonymous(8) as mapped:
        child = os.fork()
        if child == 0:
            memoryview(mapped)[3] = 42
            os._exit(0)
        os.waitpid(child, 0)
        assert memoryview(mapped)[3] == 42


def test_cannot_be_made_directly():
    with pytest.raises(TypeError, match=r"MappedFile\.create"):
        MappedFile()
