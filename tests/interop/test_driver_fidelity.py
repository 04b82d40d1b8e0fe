"""volansmd beside the official driver: the same commands, the same answers, counters and logs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import peer
import pytest
from raw_client import RawClient

from volans.memory import ErrorLogReader
from volans.protocol import commands as c
from volans.protocol.counter_types import CounterType
from volans.protocol.error_codes import ErrorCode

pytestmark = pytest.mark.interop

SETTINGS = {"AERON_TERM_BUFFER_LENGTH": "64k", "AERON_IPC_TERM_BUFFER_LENGTH": "64k"}
LOG_METADATA_LENGTH = 4096
START = "init-term-id=3|term-id=5|term-offset=96|term-length=64k"
KINDS = ("official", "volans")


@pytest.fixture(scope="module")
def drivers(need: Callable[..., None]) -> Iterator[dict[str, RawClient]]:
    """A raw client of a driver of either kind."""
    need("volans")
    running, clients = [], {}
    try:
        for kind in KINDS:
            with peer.scratch_directory() as parent:
                directory = parent
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
def ports(free_port: Callable[[], int]) -> dict[str, int]:
    """A port for each driver: both are on this machine."""
    return {kind: free_port() for kind in KINDS}


def metadata(log_file_name: str) -> bytes:
    return Path(log_file_name).read_bytes()[-LOG_METADATA_LENGTH:]


def without_ids(log: bytes) -> bytes:
    """Less what differs by its nature: the registration id and what the receiver has counted."""
    changing = ((136, 144), (256, 264))  # connected, transports; correlation id
    data = bytearray(log)
    for start, end in changing:
        data[start:end] = bytes(end - start)
    return bytes(data)


@pytest.mark.parametrize("kind", [c.AddPublication, c.AddExclusivePublication])
@pytest.mark.parametrize(
    "options",
    [
        "",
        "|mtu=8k|linger=1s|eos=false|sparse=false|pub-wnd=16k|alias=x",
        "|untethered-window-limit-timeout=2s|untethered-linger-timeout=3s"
        "|untethered-resting-timeout=4s|max-resend=8|ssc=true|tags={tag}1,{tag}2",
    ],
)
@pytest.mark.parametrize("media", ["ipc", "udp"])
def test_publication_logs_are_byte_equal(drivers, ports, fresh_stream, media, options, kind):
    logs = []
    stream_id = fresh_stream()
    options = options.replace("{tag}", str(stream_id))
    for name, client in drivers.items():
        place = "ipc?" if media == "ipc" else f"udp?endpoint=127.0.0.1:{ports[name]}|so-rcvbuf=64k|"
        ready = client.ask(kind, stream_id, f"aeron:{place}{START}|session-id=5{options}")
        logs.append(without_ids(metadata(ready.log_file_name)))
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    "options",
    ["", "|reliable=false|rejoin=false|tether=false|rcv-wnd=64k|so-rcvbuf=256k|sparse=false"],
)
def test_image_logs_are_byte_equal(drivers, ports, fresh_stream, options):
    logs = []
    stream_id = fresh_stream()
    for name, client in drivers.items():
        channel = f"aeron:udp?endpoint=127.0.0.1:{ports[name]}"
        registration_id = client.ring.next_correlation_id() + 1
        client.ask(c.AddSubscription, stream_id, channel + options)
        client.ask(c.AddPublication, stream_id, f"{channel}|session-id=9|mtu=2k|{START}")
        image = client.await_event(
            lambda e, r=registration_id: getattr(e, "subscription_registration_id", 0) == r
        )
        logs.append(without_ids(metadata(image.log_file_name)))
    assert logs[0] == logs[1]


def test_counters_of_streams_are_the_same(drivers, ports, fresh_stream):
    """Also their owners: the client for what is its own, 0 for shared sockets."""
    found = []
    stream_id = fresh_stream()
    for name, client in drivers.items():
        udp = f"aeron:udp?endpoint=127.0.0.1:{ports[name]}"
        before = set(client.counters.allocated_ids())
        for channel in ("aeron:ipc", udp, "aeron-spy:" + udp):
            client.ask(c.AddSubscription, stream_id, channel)
        publications = [
            client.ask(c.AddPublication, stream_id, "aeron:ipc"),
            client.ask(c.AddExclusivePublication, stream_id, udp),
        ]
        for count, session_id in ((1, publications[0].session_id), (2, publications[1].session_id)):
            deadline = time.monotonic() + 20
            while images_of(client, session_id) < count:
                client.listen()
                assert time.monotonic() < deadline
                time.sleep(0.001)
        shapes = []
        for counter_id in client.counters.allocated_ids():
            counter = client.counters.describe(counter_id)
            if counter_id in before or counter.type_id == CounterType.CLIENT_HEARTBEAT:
                continue
            owner = {client.client_id: "client", 0: "shared"}.get(counter.owner_id, "other")
            label = re.sub(r"-?\d+", "n", counter.label)
            shapes.append((counter.type_id, label, owner, counter.reference_id != 0))
        found.append(sorted(shapes))
    assert found[0] == found[1]
    assert len(found[0]) == 18


def images_of(client: RawClient, session_id: int) -> int:
    return sum(
        type(event).__name__ == "AvailableImage" and event.session_id == session_id
        for event in client.heard
    )


def test_system_counters_are_the_same(drivers):
    found = []
    for client in drivers.values():
        labels = []
        for counter_id in client.counters.find_by_type(CounterType.SYSTEM):
            counter = client.counters.describe(counter_id)
            label = re.sub(r"version=.*", "version", counter.label)
            labels.append((counter_id, label, counter.key[:4], counter.registration_id))
        found.append(labels)
    assert found[0] == found[1]
    assert len(found[0]) == 46


IPC = "aeron:ipc?term-length=64k|session-id=77"
SAME = (  # what is asked after the same publication and subscription exist; {udp} is their channel
    (c.AddPublication, 0, IPC),
    (c.AddPublication, 0, IPC + "|mtu=4096"),
    (c.AddPublication, 0, "aeron:ipc?term-length=128k|session-id=77"),
    (c.AddPublication, 0, "aeron:ipc?session-id=78"),
    (c.AddPublication, 0, IPC + "|init-term-id=3|term-id=4|term-offset=0"),
    (c.AddExclusivePublication, 0, IPC),
    (c.AddExclusivePublication, 0, "aeron:ipc"),
    (c.AddPublication, 1, "aeron:ipc?term-length=1000"),
    (c.AddPublication, 1, "aeron:ipc?mtu=33"),
    (c.AddPublication, 1, "aeron:ipc?term-length=64k|pub-wnd=100"),
    (c.AddPublication, 1, "aeron:ipc?init-term-id=3|term-id=4"),
    (c.AddPublication, 1, "aeron:ipc?init-term-id=5|term-id=4|term-offset=0"),
    (c.AddPublication, 1, "aeron:ipc?term-length=64k|init-term-id=3|term-id=4|term-offset=7"),
    (c.AddPublication, 1, "aeron:ipc?term-length=64k|init-term-id=3|term-id=4|term-offset=65568"),
    (c.AddPublication, 1, "aeron:udp"),
    (c.AddPublication, 1, "aeron:udp?endpoint=127.0.0.1:0"),
    (c.AddPublication, 1, "aeron:tcp?endpoint=127.0.0.1:1"),
    (c.AddPublication, 1, "garbage"),
    (c.AddPublication, 1, "aeron-spy:{udp}"),
    (c.AddPublication, 0, "{udp}|session-id=5|mtu=2048"),
    (c.AddExclusivePublication, 0, "{udp}|session-id=5"),
    (c.AddSubscription, 0, "{udp}"),
    (c.AddSubscription, 0, "{udp}|reliable=false"),
    (c.AddSubscription, 0, "{udp}|rejoin=false"),
    (c.AddSubscription, 0, "{udp}|session-id=5"),
    (c.AddSubscription, 0, "{udp}|so-rcvbuf=1m"),
    (c.AddSubscription, 1, "{udp}|rcv-wnd=64m"),
    (c.AddSubscription, 1, "aeron:udp"),
    (c.AddSubscription, 0, "aeron-spy:{udp}"),
    (c.AddSubscription, 0, "aeron-spy:aeron:ipc"),
    (c.AddSubscription, 0, "aeron:ipc?tether=false"),
    (c.RemovePublication, 999_999),
    (c.RemoveSubscription, 999_999),
    (c.RemoveCounter, 999_999),
    (c.AddCounter, 1001, b"key", "label"),
    (c.GetNextAvailableSessionId, 7),
    (c.RejectImage, 999_999, 0, "because"),
)
# The official C driver says GENERIC_ERROR of every value it cannot use; ours, as the Java driver,
# that the channel is invalid.
ALIKE = {ErrorCode.INVALID_CHANNEL: ErrorCode.GENERIC_ERROR}


def test_answers_are_the_same(drivers, ports, fresh_stream):
    stream_ids = (fresh_stream(), fresh_stream())
    answers: dict[str, list[tuple[object, ...]]] = {}
    for name, client in drivers.items():
        udp = f"aeron:udp?endpoint=127.0.0.1:{ports[name]}"
        client.ask(c.AddPublication, stream_ids[0], IPC)
        client.ask(c.AddPublication, stream_ids[0], f"{udp}|session-id=5|term-length=64k")
        client.ask(c.AddSubscription, stream_ids[0], udp)
        answers[name] = []
        for kind, *arguments in SAME:
            if len(arguments) == 2:
                arguments = [stream_ids[arguments[0]], arguments[1].replace("{udp}", udp)]
            answer = client.ask(kind, *arguments)
            code = getattr(answer, "error_code", None)
            answers[name].append((kind.__name__, type(answer).__name__, ALIKE.get(code, code)))
    for asked, official, ours in zip(SAME, *(answers[kind] for kind in KINDS), strict=True):
        assert ours == official, asked
    # Everything refused is in the error log, too.
    client = drivers["volans"]
    assert len(ErrorLogReader(client.cnc.error_log_buffer).read()) >= 15
