"""What a client must survive: endless messages, no memory, and buffers that close publications."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from volans.client.exclusive_publication import ExclusivePublication
from volans.client.fragment_assembler import FragmentAssembler
from volans.client.image import Image
from volans.client.log_file import CorruptLogError, LogFile
from volans.client.publication import Publication
from volans.client.results import ControlledAction
from volans.errors import PublicationClosedError
from volans.memory.mapped import MappedFile
from volans.testing.log_kit import LogKit, file_length

MIB = 1 << 20
LONGEST_MESSAGE_BYTES = 16 * MIB
TERM_LENGTH = 64 * MIB  # holds messages longer than any may be; the file is sparse
BEGIN, END = 0x80, 0x40
IS_CONNECTED = 136  # offset in the metadata
HEADER = struct.Struct("<ibBhiiiiq")


class HostileStream:
    """An image of a log whose frames are as long as one likes."""

    def __init__(self, directory: Path) -> None:
        path = str(directory / "1.logbuffer")
        self.mapped = MappedFile.create(path, file_length(TERM_LENGTH, 4096))
        self.kit = LogKit(TERM_LENGTH, initial_term_id=3, buffer=self.mapped, image=True)
        self.counter = ctypes.c_int64(0)
        self.image = Image(
            *(None, None, LogFile(path), ctypes.addressof(self.counter), self),
            *(7, 1001, 10, 3, "hostile"),
        )
        self.end = 0

    def write(self, payload_length: int, flags: int, mark: bytes = b"") -> None:
        """A frame whose payload is zeros behind `mark`."""
        header = HEADER.pack(32 + payload_length, 0, flags, 1, self.end, 1001, 10, 3, 0)
        self.kit.term(0)[self.end : self.end + 32 + len(mark)] = header + mark
        self.end += (32 + payload_length + 31) & -32

    def close(self) -> None:
        self.image._close()
        self.image._release()
        self.kit = None
        self.mapped.close()


@pytest.fixture
def stream(tmp_path):
    stream = HostileStream(tmp_path)
    yield stream
    stream.close()


WAYS = ("poll", "controlled_poll", "poll_batch")


def read(image: Image, way: str, got: list[int]) -> None:
    """One poll; the lengths of the messages it brought."""
    if way == "poll_batch":
        got.extend(len(message) for message in image.poll_batch())
    else:
        getattr(image, way)(lambda buffer, _header: got.append(len(buffer)))


@pytest.mark.parametrize("way", WAYS)
def test_a_message_that_never_ends_is_dropped_at_the_limit(stream, way):
    fragment = 5 * MIB
    stream.write(fragment, BEGIN)
    stream.write(fragment, 0)
    stream.write(fragment, 0)
    too_long_at = stream.end
    stream.write(fragment, 0)
    stream.write(fragment, END)  # what is left of it is no message
    stream.write(100, BEGIN)
    stream.write(100, END)
    got: list[int] = []
    with pytest.raises(CorruptLogError, match=str(LONGEST_MESSAGE_BYTES)) as caught:
        read(stream.image, way, got)
    assert caught.value.session_id == 1001
    assert caught.value.position == too_long_at
    assert caught.value.message_length == 4 * fragment
    assert got == []
    while stream.image.position < stream.end:
        read(stream.image, way, got)
    assert got == [200]


@pytest.mark.parametrize("way", WAYS)
def test_the_longest_message_is_not_too_long(stream, way):
    stream.write(LONGEST_MESSAGE_BYTES - 10, BEGIN)
    stream.write(10, END)
    stream.write(LONGEST_MESSAGE_BYTES + 1, BEGIN)
    got: list[int] = []
    if way == "poll_batch":
        read(stream.image, way, got)  # a message in fragments is a batch of its own
    with pytest.raises(CorruptLogError):
        read(stream.image, way, got)
    assert got == [LONGEST_MESSAGE_BYTES]


def test_assemblers_in_front_of_a_handler_have_the_same_limit(stream):
    got: list[int] = []
    assembler = FragmentAssembler(lambda buffer, _header: got.append(len(buffer)))
    stream.write(LONGEST_MESSAGE_BYTES, BEGIN)
    too_long_at = stream.end
    stream.write(33, 0)
    stream.write(33, END)
    stream.write(50, BEGIN)
    stream.write(50, END)
    with pytest.raises(CorruptLogError) as caught:
        stream.image.poll(assembler, fragments=True)
    assert caught.value.position == too_long_at
    assert caught.value.message_length == LONGEST_MESSAGE_BYTES + 33
    stream.image.poll(assembler, fragments=True)
    assert got == [100]


def abort_without_memory(directory: str) -> None:
    """Run in a process of its own, whose memory is limited."""
    stream = HostileStream(Path(directory))
    stream.write(4 * MIB, BEGIN, b"first")
    stream.write(4 * MIB, END)
    stream.write(10, BEGIN, b"other")
    stream.write(10, END)
    kept = []
    before = resource.getrlimit(resource.RLIMIT_AS)

    def keep_and_abort(buffer, _header):
        kept.append(memoryview(buffer))
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (in_use + 4 * MIB, before[1]))
        return ControlledAction.ABORT

    try:
        with pytest.raises(MemoryError, match=str(8 * MIB)):
            stream.image.controlled_poll(keep_and_abort)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    # The view keeps its memory, and the stream goes on.
    got: list[bytes] = []
    stream.image.controlled_poll(lambda buffer, _header: got.append(bytes(buffer)))
    assert got == [b"other".ljust(20, b"\0")]
    assert bytes(kept[0][:5]) == b"first"
    assert len(kept[0]) == 8 * MIB
    stream.close()


def test_an_aborted_message_that_cannot_be_copied_is_a_memory_error(tmp_path):
    if "asan" in Path("/proc/self/maps").read_text():
        pytest.skip("the checking allocator does not return after a failure")
    script = f"import {__name__} as test; test.abort_without_memory({str(tmp_path)!r})"
    # Long blocks are asked of the kernel each, which refuses them at the limit.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("frames", [[(40, BEGIN), (40, END)], [(40, BEGIN | END)]])
def test_a_kept_view_in_garbage_outlives_its_closed_image(tmp_path, frames):
    stream = HostileStream(tmp_path)
    for payload_length, flags in frames:
        stream.write(payload_length, flags)
    kept: list[object] = []
    kept.append(kept)  # a cycle: the garbage collector will find view and log file together
    stream.image.poll(lambda buffer, _header, kept=kept: kept.append(memoryview(buffer)))
    stream.close()
    del stream, kept
    gc.collect()


# --- buffers that run Python code --------------------------------------------------------------


class _AsksToRun:
    """A buffer object that calls ``action`` whenever somebody asks for its bytes."""

    def __init__(self, action) -> None:
        self.action = action

    def __buffer__(self, flags):
        self.action()
        return memoryview(b"x" * 64)


if sys.version_info < (3, 12):
    # No Python class can export a buffer yet: fill the type's slot by hand.
    _get_buffer = ctypes.pythonapi.PyObject_GetBuffer
    _get_buffer.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]

    @ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
    def _export(exporter, view, flags):
        return _get_buffer(exporter.__buffer__(flags), view, flags)

    _TP_AS_BUFFER = 20  # words from the start of the type object
    _slots = ctypes.c_void_p.from_address(id(_AsksToRun) + _TP_AS_BUFFER * 8).value
    ctypes.c_void_p.from_address(_slots).value = ctypes.cast(_export, ctypes.c_void_p).value


class _NoConductor:
    closed_error = None

    def remove_publication(self, publication, _is_revoked) -> None:
        publication._force_close()


@pytest.fixture(params=[Publication, ExclusivePublication])
def publication_and_log(request, tmp_path):
    """A connected publication with room, without driver and client."""
    path = str(tmp_path / "1.logbuffer")
    mapped = MappedFile.create(path, file_length(65536, 4096))
    kit = LogKit(65536, initial_term_id=3, buffer=mapped)
    struct.pack_into("<i", kit.metadata, IS_CONNECTED, 1)
    limit = ctypes.c_int64(65536)
    publication = request.param(
        *(_NoConductor(), LogFile(path), "aeron:ipc", 10, 1001, 1, 1),
        *(ctypes.addressof(limit), 1, 2, limit, request.param is ExclusivePublication),
    )
    yield publication, kit
    publication._force_close()
    publication._release()
    del kit
    mapped.close()


WAYS_TO_PUBLISH = {
    "offer": lambda publication, message: publication.offer(message),
    "pieces": lambda publication, message: publication.offer([b"a", message, b"b"]),
    "publish": lambda publication, message: publication.publish(message),
    "rows": lambda publication, message: publication.offer_batch(message),
    "list": lambda publication, message: publication.offer_batch([message, b"next"]),
    "block": lambda publication, message: publication.offer_block(message),
}


@pytest.mark.parametrize("way", WAYS_TO_PUBLISH)
def test_a_buffer_that_closes_the_publication_publishes_nothing(publication_and_log, way):
    publication, kit = publication_and_log
    if way == "block" and isinstance(publication, Publication):
        pytest.skip("only exclusive publications take blocks")
    assert publication.offer(_AsksToRun(lambda: None))
    before = bytes(kit.term(0)), bytes(kit.metadata)
    # As if closed; the mapping stays, so that a write behind it would be seen.
    message = _AsksToRun(publication._force_close)
    with pytest.raises(PublicationClosedError):
        WAYS_TO_PUBLISH[way](publication, message)
    assert (bytes(kit.term(0)), bytes(kit.metadata)) == before


def test_a_list_ends_where_a_buffer_closed_the_publication(publication_and_log):
    publication, kit = publication_and_log
    closing = _AsksToRun(publication._force_close)
    assert publication.offer_batch([b"first", closing, b"never", b"never"]) == 1
    assert b"never" not in bytes(kit.term(0))


def test_a_reserved_value_that_closes_the_publication_publishes_nothing(publication_and_log):
    publication, kit = publication_and_log

    def close(_message):
        publication._force_close()
        return 1

    with pytest.raises(PublicationClosedError):
        publication.offer(b"never", reserved_value=close)
    assert b"never" not in bytes(kit.term(0))
