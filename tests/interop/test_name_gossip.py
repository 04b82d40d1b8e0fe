"""The driver name resolver against the official driver's: both learn the other's name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import peer
import pytest

from volans.client.connect import connect
from volans.memory import CountersReader
from volans.protocol.cnc import CncFile
from volans.protocol.counter_types import CounterType

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("peer_ready")]
KINDS = ("official", "volans")
TIMEOUT_S = 20.0


def settings(name: str, port: int, *bootstrap: int) -> dict[str, str]:
    given = {
        "AERON_NAME_RESOLVER_SUPPLIER": "driver",
        "AERON_DRIVER_RESOLVER_NAME": name,
        "AERON_DRIVER_RESOLVER_INTERFACE": f"127.0.0.1:{port}",
        "AERON_DRIVER_RESOLVER_SELF_RESOLUTION_INTERVAL": "100ms",
        "AERON_DRIVER_RESOLVER_NEIGHBOR_RESOLUTION_INTERVAL": "200ms",
        "AERON_DRIVER_RESOLVER_BOOTSTRAP_NEIGHBOR_RESOLUTION_INTERVAL": "300ms",
        "AERON_DRIVER_RESOLVER_NEIGHBOR_TIMEOUT": "3s",
        "AERON_THREADING_MODE": "SHARED",
        "AERON_SHARED_IDLE_STRATEGY": "backoff",
    }
    if bootstrap:
        given["AERON_DRIVER_RESOLVER_BOOTSTRAP_NEIGHBOR"] = ",".join(
            f"localhost:{port}" for port in bootstrap
        )
    return given


def counter(directory: Path, type_id: int) -> tuple[int, str]:
    """Value and label of the only counter of a type."""
    cnc = CncFile.attach(directory, timeout_s=5)
    try:
        reader = CountersReader(cnc.counters_metadata_buffer, cnc.counters_values_buffer)
        (counter_id,) = reader.find_by_type(type_id)
        return reader.value(counter_id), reader.label(counter_id)
    finally:
        del reader
        cnc.close()


def await_value(directory: Path, type_id: int, value: int) -> str:
    """The label, once the counter has the value."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        found, label = counter(directory, type_id)
        if found == value:
            return label
        time.sleep(0.05)
    raise AssertionError(f"{label}: {found} instead of {value} after {TIMEOUT_S} s")


@pytest.fixture(params=[(a, b) for a in KINDS for b in KINDS], ids="-".join)
def pair(
    request: pytest.FixtureRequest, free_port: Callable[[], int]
) -> Iterator[tuple[tuple[Path, str], tuple[Path, str], tuple[int, int]]]:
    """The first driver waits to be told; the second knows where the first one is."""
    first, second = request.param
    ports = free_port(), free_port()
    with (
        peer.scratch_directory() as base,
        peer.Driver(first, base / "first", settings("one", ports[0])) as one,
        peer.Driver(second, base / "second", settings("two", ports[1], ports[0])) as two,
    ):
        yield (one.directory, first), (two.directory, second), ports


def test_both_learn_the_others_name(pair) -> None:
    (one, _), (two, _), ports = pair
    for directory, port, name in ((one, ports[0], "one"), (two, ports[1], "two")):
        label = await_value(directory, CounterType.NAME_RESOLVER_CACHE_ENTRIES, 1)
        assert label == f"Resolver cache entries: name={name}"
        label = await_value(directory, CounterType.NAME_RESOLVER_NEIGHBORS, 1)
        assert label == f"Resolver neighbors: bound 127.0.0.1:{port}"
    label = await_value(two, CounterType.NAME_RESOLVER_BOOTSTRAP_NEIGHBOR, 1)
    assert label == (f"Bootstrap neighbor: name=localhost:{ports[0]} resolved=127.0.0.1:{ports[0]}")


@pytest.mark.parametrize("kinds", [("volans", "official"), ("official", "volans")], ids="-".join)
def test_channels_find_drivers_by_their_names(kinds, free_port, fresh_stream) -> None:
    ports = free_port(), free_port()
    with (
        peer.scratch_directory() as base,
        peer.Driver(kinds[0], base / "first", settings("one", ports[0])) as one,
        peer.Driver(kinds[1], base / "second", settings("two", ports[1], ports[0])) as two,
    ):
        for driver in (one, two):
            await_value(driver.directory, CounterType.NAME_RESOLVER_CACHE_ENTRIES, 1)
        port, stream_id = free_port(), fresh_stream()
        with connect(str(one.directory)) as sender, connect(str(two.directory)) as receiver:
            subscription = receiver.add_subscription(
                f"aeron:udp?endpoint=127.0.0.1:{port}", stream_id
            )
            publication = sender.add_publication(f"aeron:udp?endpoint=two:{port}", stream_id)
            deadline = time.monotonic() + TIMEOUT_S
            ends = (publication, subscription)
            while not all(end.is_connected for end in ends) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert publication.is_connected
            assert subscription.is_connected
