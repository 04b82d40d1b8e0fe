# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Memory-mapped files that know how many views hold them.

A mapping goes away only when it has been closed and the last view or pin is gone, so a
view in an application's hands never turns into a segmentation fault.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, pointer
from cython.cimports.cpython.buffer import Py_buffer, PyBUF_FORMAT, PyBUF_WRITABLE
from cython.cimports.libc.errno import errno as c_errno
from cython.cimports.libc.stdint import int64_t, uint8_t
from cython.cimports.posix.mman import (
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
    mmap,
    munmap,
)
from cython.cimports.volans.memory.atomic import fetch_add_i64, load_acquire_i64

from volans.memory.errors import StorageSpaceError, TruncatedFileError

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CREATION_MODE = 0o666  # narrowed by the umask, as for the official media driver


@cclass
class MappedFile:
    """A file, or anonymous shared memory, mapped into this process.

    Made by :meth:`create`, :meth:`open` or :meth:`anonymous`. Offers the buffer protocol
    (``memoryview(mapped)``) and works as a context manager. Attributes: ``length`` (bytes),
    ``path`` (empty when anonymous), ``read_only``.

    Threading: views may be taken and dropped by any thread; ``close`` belongs to the owner.
    """

    def __init__(self):
        raise TypeError("use MappedFile.create, MappedFile.open or MappedFile.anonymous")

    def __dealloc__(self):
        self.unmap()

    @staticmethod
    def create(
        path,
        length: int64_t,
        *,
        sparse: cython.bint = True,
        pre_touch: cython.bint = False,
        check_storage: cython.bint = True,
    ) -> MappedFile:
        """Make a new zero-filled file of ``length`` bytes and map it.

        ``sparse`` leaves the blocks to be taken on first use; otherwise they are taken now,
        so that writing can never fail later. ``pre_touch`` faults every page in.
        ``check_storage`` compares with the room of the file system first.

        Raises FileExistsError, StorageSpaceError (nothing is left behind), ValueError,
        OSError. Releases the GIL while the file system works.
        """
        page_bytes: int64_t = _PAGE_BYTES
        mapped: MappedFile
        path = os.fsdecode(path)
        if length <= 0:
            raise ValueError(f"length is {length} bytes: a mapped file needs at least 1")
        if check_storage:
            _check_storage(path, length)
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _CREATION_MODE
        )
        try:
            if sparse:
                os.ftruncate(descriptor, length)
            else:
                os.posix_fallocate(descriptor, 0, length)
            mapped = _map(path, descriptor, length, False)
            if pre_touch:
                with nogil:
                    touch_pages(mapped.memory, length, page_bytes)
        except BaseException as error:
            Path(path).unlink()
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                available = _available_bytes(path)
                raise StorageSpaceError.for_file(path, length, available) from None
            raise
        finally:
            os.close(descriptor)
        return mapped

    @staticmethod
    def open(path, *, read_only: cython.bint = False, minimum_length: int64_t = 0) -> MappedFile:
        """Map the whole of an existing file.

        Raises FileNotFoundError, TruncatedFileError when it is empty or shorter than
        ``minimum_length`` bytes, ValueError when it is no regular file, OSError.
        """
        path = os.fsdecode(path)
        flags = os.O_RDONLY if read_only else os.O_RDWR
        # Without O_NONBLOCK a FIFO in the place of the file would hang the caller.
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{path} is not a regular file: it cannot be mapped")
            if status.st_size < max(1, minimum_length):
                raise TruncatedFileError.for_file(path, status.st_size, max(1, minimum_length))
            return _map(path, descriptor, status.st_size, read_only)
        finally:
            os.close(descriptor)

    @staticmethod
    def anonymous(length: int64_t) -> MappedFile:
        """Zero-filled memory without a file, shared with processes forked from this one."""
        if length <= 0:
            raise ValueError(f"length is {length} bytes: a mapping needs at least 1")
        return _map("", -1, length, False)

    def view(self, offset: int64_t, length: int64_t) -> memoryview:
        """``length`` bytes from ``offset`` on; the mapping stays while the view lives."""
        if offset < 0 or length < 0 or offset > self.length - length:
            raise ValueError(
                f"view [{offset}, {offset + length}) lies outside the {self.length} mapped bytes"
            )
        return memoryview(self)[offset : offset + length]

    def close(self) -> None:
        """Give the mapping up: no new views; it is unmapped when the last view is gone.

        May be called again.
        """
        self.close_requested = True
        if load_acquire_i64(address(self.export_count)) == 0:
            self.unmap()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called (views taken before may still be alive)."""
        return self.close_requested

    @property
    def is_mapped(self) -> bool:
        """Whether the memory is still there: open, or closed with views left."""
        return self.memory is not cython.NULL

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __len__(self):
        return self.length

    def __repr__(self):
        state = "closed" if self.close_requested else "open"
        return f"<MappedFile {self.path or 'anonymous'} {self.length} bytes {state}>"

    def __getbuffer__(self, buffer: pointer[Py_buffer], flags: cython.int):
        if self.close_requested or self.memory is cython.NULL:
            raise ValueError(f"mapping of {self.path or 'anonymous memory'} is closed")
        if self.read_only and (flags & PyBUF_WRITABLE):
            raise BufferError(f"{self.path} is mapped read-only: open it with read_only=False")
        buffer.buf = self.memory
        buffer.obj = self
        buffer.len = self.length
        buffer.itemsize = 1
        buffer.readonly = self.read_only
        buffer.ndim = 1
        buffer.format = cython.NULL
        if flags & PyBUF_FORMAT:
            buffer.format = b"B"
        buffer.shape = cast(pointer[cython.Py_ssize_t], address(self.length))
        buffer.strides = address(buffer.itemsize)
        buffer.suboffsets = cython.NULL
        buffer.internal = cython.NULL
        self.pin()

    def __releasebuffer__(self, buffer: pointer[Py_buffer]):
        self.unpin()

    @cfunc
    @exceptval(check=False)
    def pin(self) -> cython.void:
        fetch_add_i64(address(self.export_count), 1)

    @cfunc
    @exceptval(check=False)
    def unpin(self) -> cython.void:
        if fetch_add_i64(address(self.export_count), -1) == 1 and self.close_requested:
            self.unmap()

    @cfunc
    @exceptval(check=False)
    def unmap(self) -> cython.void:
        memory: pointer[uint8_t] = self.memory
        if memory is not cython.NULL:
            self.memory = cython.NULL
            munmap(memory, self.length)


@cfunc
@nogil
@exceptval(check=False)
def touch_pages(memory: pointer[uint8_t], length: int64_t, page_bytes: int64_t) -> cython.void:
    # An atomic add of nothing cannot be optimised away and takes the page for writing.
    offset: int64_t = 0
    while offset + 8 <= length:
        fetch_add_i64(cast(pointer[int64_t], memory + offset), 0)
        offset += page_bytes


@cfunc
def _map(path: str, descriptor: cython.int, length: int64_t, read_only: cython.bint) -> MappedFile:
    mapped: MappedFile = MappedFile.__new__(MappedFile)
    protection: cython.int = PROT_READ if read_only else PROT_READ | PROT_WRITE
    flags: cython.int = MAP_SHARED if descriptor >= 0 else MAP_SHARED | MAP_ANONYMOUS
    memory: cython.p_void
    with nogil:
        memory = mmap(cython.NULL, length, protection, flags, descriptor, 0)
    if memory is MAP_FAILED:
        raise OSError(c_errno, f"cannot map {length} bytes: {os.strerror(c_errno)}", path)
    mapped.memory = cast(pointer[uint8_t], memory)
    mapped.length = length
    mapped.path = path
    mapped.read_only = read_only
    return mapped


def _available_bytes(path: str) -> int:
    status = os.statvfs(Path(path).parent)
    return status.f_bavail * status.f_frsize


def _check_storage(path: str, length: int) -> None:
    available = _available_bytes(path)
    if length > available:
        raise StorageSpaceError.for_file(path, length, available)
