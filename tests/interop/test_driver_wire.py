"""Frames of volansmd beside the official driver's: a plain socket plays the other end."""

from __future__ import annotations

import itertools
import shutil
import socket
import struct
import time
from collections.abc import Callable, Iterator

import peer
import pytest
from raw_client import RawClient

from volans.protocol import commands as c

pytestmark = pytest.mark.interop

SETTINGS = {"AERON_TERM_BUFFER_LENGTH": "64k", "AERON_IPC_TERM_BUFFER_LENGTH": "64k"}
START = "init-term-id=3|term-id=5|term-offset=96|term-length=64k|session-id=77|mtu=2k"
KINDS = ("official", "volans")
DATA, NAK, SM, ERR, SETUP = 1, 2, 3, 4, 5
SETUP_BYTES = struct.pack("<iBBhiiiiiiii", 40, 0, 0, SETUP, 96, 77, 0, 3, 5, 65536, 2048, 0)


@pytest.fixture(scope="module")
def drivers(need: Callable[..., None]) -> Iterator[dict[str, RawClient]]:
    need("volans")
    running, clients = [], {}
    try:
        for kind in KINDS:
            with peer.scratch_directory() as directory:
                pass
            running.append(peer.Driver(kind, directory, SETTINGS))
            clients[kind] = RawClient(directory)
        yield clients
    finally:
        for client in clients.values():
            client.close()
        for driver in running:
            driver.stop()
            shutil.rmtree(driver.directory, ignore_errors=True)


@pytest.fixture
def other_ends() -> Iterator[dict[str, socket.socket]]:
    """A socket for each driver: an earlier one's last frames must not get in the way."""
    ends = {kind: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for kind in KINDS}
    for end in ends.values():
        end.bind(("127.0.0.1", 0))
        end.settimeout(20)
    yield ends
    for end in ends.values():
        end.close()


def frame_type(frame: bytes) -> int:
    return struct.unpack_from("<h", frame, 6)[0]


def frames(
    end: socket.socket, wanted: int, count: int
) -> list[tuple[float, bytes, tuple[str, int]]]:
    """The next frames of a type, when they came and from where."""
    got = []
    while len(got) < count:
        data, source = end.recvfrom(65536)
        if frame_type(data) == wanted:
            got.append((time.monotonic(), data, source))
    return got


def ask_until_answered(end: socket.socket, data: bytes, target: tuple[str, int]) -> bytes:
    """Send again until a frame comes back: the receiver may not know its subscription yet."""
    end.settimeout(0.2)
    deadline = time.monotonic() + 20
    while True:
        end.sendto(data, target)
        try:
            answer, source = end.recvfrom(65536)
        except TimeoutError:
            assert time.monotonic() < deadline, "no answer in 20 s"
            continue
        assert source == target
        end.settimeout(20)
        return answer


def median_gap_s(found: list[tuple[float, bytes, tuple[str, int]]]) -> float:
    times = [when for when, *_ in found]
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(times))
    return gaps[len(gaps) // 2]


def status_message(stream_id: int, flags: int, position: tuple[int, int], window: int) -> bytes:
    return struct.pack("<iBBhiiiiiq", 36, 0, flags, SM, 77, stream_id, *position, window, 4711)


def test_setups_and_heartbeats_are_byte_equal_and_come_at_the_same_pace(
    drivers, other_ends, fresh_stream
):
    stream_id = fresh_stream()
    setups, heartbeats = [], []
    for kind, client in drivers.items():
        other_end = other_ends[kind]
        port = other_end.getsockname()[1]
        publication = client.ask(
            c.AddExclusivePublication, stream_id, f"aeron:udp?endpoint=127.0.0.1:{port}|{START}"
        )
        found = frames(other_end, SETUP, 6)
        setups.append(found[0][1])
        assert len({data for _, data, _ in found}) == 1
        assert 0.05 < median_gap_s(found) < 0.3
        # Somebody listens now: heartbeats instead of SETUPs.
        other_end.sendto(status_message(stream_id, 0, (5, 96), 4096), found[0][2])
        found = frames(other_end, DATA, 6)
        heartbeats.append(found[0][1])
        assert len({data for _, data, _ in found}) == 1
        assert 0.05 < median_gap_s(found) < 0.3
        # Asked for a SETUP, it sends one at once though it is connected.
        other_end.sendto(status_message(stream_id, 0x80, (0, 0), 0), found[0][2])
        assert frames(other_end, SETUP, 1)[0][1] == setups[-1]
        client.ask(c.RemovePublication, publication.correlation_id, False)
        # At its end the stream says so by the heartbeat's flag.
        while not frames(other_end, DATA, 1)[0][1][5] & 0x20:
            pass
    assert setups[0] == setups[1]
    assert heartbeats[0] == heartbeats[1]
    assert len(heartbeats[0]) == 32
    assert heartbeats[0][:8] == struct.pack("<iBBh", 0, 0, 0xC0, DATA)


def test_status_messages_and_naks_are_byte_equal_and_come_at_the_same_pace(
    drivers, other_ends, fresh_stream, free_port
):
    stream_id = fresh_stream()
    status, naks = [], []
    setup = bytearray(SETUP_BYTES)
    struct.pack_into("<i", setup, 16, stream_id)
    for kind, client in drivers.items():
        other_end = other_ends[kind]
        target = ("127.0.0.1", free_port())
        client.ask(c.AddSubscription, stream_id, f"aeron:udp?endpoint=127.0.0.1:{target[1]}")
        data = struct.pack("<iBBhiiiiq", 64, 0, 0xC0, DATA, 96, 77, stream_id, 5, 0).ljust(64)
        # Data of an unknown session: asked to set it up.
        asked = ask_until_answered(other_end, data, target)
        assert (frame_type(asked), asked[5]) == (SM, 0x80)
        other_end.sendto(bytes(setup), target)
        found = frames(other_end, SM, 4)
        # The receiver id is each driver's own.
        status.append([asked[:28]] + [frame[:28] for _, frame, _ in found])
        assert 0.1 < median_gap_s(found) < 0.5
        # A frame after a gap: the gap is asked for.
        late = bytearray(data)
        struct.pack_into("<i", late, 8, 96 + 256)
        other_end.sendto(bytes(late), target)
        naks.append(frames(other_end, NAK, 2)[0][1])
    assert status[0] == status[1]
    assert naks[0] == naks[1]
    assert naks[0] == struct.pack("<iBBhiiiii", 28, 0, 0, NAK, 77, stream_id, 5, 96, 256)


def test_a_rejected_image_sends_the_same_error_frame(drivers, other_ends, fresh_stream, free_port):
    stream_id = fresh_stream()
    errors = []
    setup = bytearray(SETUP_BYTES)
    struct.pack_into("<i", setup, 16, stream_id)
    for kind, client in drivers.items():
        other_end = other_ends[kind]
        target = ("127.0.0.1", free_port())
        client.ask(c.AddSubscription, stream_id, f"aeron:udp?endpoint=127.0.0.1:{target[1]}")
        ask_until_answered(other_end, bytes(setup), target)
        data = struct.pack("<iBBhiiiiq", 64, 0, 0xC0, DATA, 96, 77, stream_id, 5, 0).ljust(64)
        other_end.sendto(data, target)
        image = client.await_event(
            lambda e: type(e).__name__ == "AvailableImage" and e.stream_id == stream_id
        )
        client.ask(c.RejectImage, image.correlation_id, 0, "not wanted")
        frame = bytearray(frames(other_end, ERR, 1)[0][1])
        frame[16:24] = bytes(8)  # the receiver id
        errors.append(bytes(frame))
    assert errors[0] == errors[1]
    assert b"not wanted" in errors[0]
