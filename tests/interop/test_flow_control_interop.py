"""Group flow control and CUBIC between an official driver and volansmd, both ways."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import peer
import pytest

import volans
from volans.protocol.counter_types import CounterType

pytestmark = pytest.mark.interop

SETTINGS = {
    "AERON_THREADING_MODE": "SHARED",
    "AERON_SHARED_IDLE_STRATEGY": "backoff",
    "AERON_TERM_BUFFER_LENGTH": "256k",
    "AERON_CUBICCONGESTIONCONTROL_MEASURERTT": "true",
    "AERON_CUBICCONGESTIONCONTROL_INITIALRTT": "2ms",
}
KINDS = ("official", "volans")
MESSAGES = 400


@pytest.fixture(scope="module")
def clients(need: Callable[..., None]) -> Iterator[dict[str, volans.Client]]:
    """A client of a driver of each kind."""
    need("volans")
    running, connected = [], {}
    try:
        for kind in KINDS:
            with peer.scratch_directory() as directory:
                pass
            running.append(peer.Driver(kind, directory, SETTINGS))
            connected[kind] = volans.connect(directory)
        yield connected
    finally:
        for client in connected.values():
            client.close()
        for driver in running:
            driver.stop()
            shutil.rmtree(driver.directory, ignore_errors=True)


@pytest.fixture(params=KINDS)
def sides(request, clients) -> tuple[volans.Client, volans.Client]:
    """The publisher's client and the other driver's."""
    other = KINDS[1 - KINDS.index(request.param)]
    return clients[request.param], clients[other]


def await_that(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "not true within 20 s"
        time.sleep(0.001)


def counters(client: volans.Client, kind: CounterType, stream_id: int) -> dict[str, int]:
    """Of a stream: the label's first word and the value."""
    return {
        counter.label.split(":")[0]: counter.value
        for counter in client.counters
        if counter.type_id == kind and f" {stream_id} " in counter.label
    }


def carry(publication: volans.Publication, subscriptions: list[volans.Subscription]) -> None:
    """Every message comes to everybody, in order."""
    got: list[list[int]] = [[] for _ in subscriptions]
    sent = 0

    def step() -> bool:
        nonlocal sent
        if sent < MESSAGES and publication.offer(sent.to_bytes(4, "little") * 300):
            sent += 1
        for numbers, subscription in zip(got, subscriptions, strict=True):
            subscription.poll(lambda buffer, _header, n=numbers: n.append(buffer.get_int32(0)))
        return all(len(numbers) >= MESSAGES for numbers in got)

    await_that(step)
    assert got == [list(range(MESSAGES))] * len(subscriptions)


def test_min_waits_for_a_receiver_on_each_driver(sides, free_port, fresh_stream):
    here, there = sides
    stream_id = fresh_stream()
    group = f"aeron:udp?endpoint=224.20.30.41:{free_port()}|interface=127.0.0.1"
    publication = here.add_exclusive_publication(f"{group}|fc=min,g:/2,t:2s", stream_id)
    near = here.add_subscription(group, stream_id)
    await_that(lambda: near.image_count)
    assert not publication.is_connected
    far = there.add_subscription(group, stream_id)
    await_that(lambda: publication.is_connected and far.image_count)
    assert counters(here, CounterType.FLOW_CONTROL_RECEIVERS, stream_id) == {"fc-receivers": 2}
    carry(publication, [near, far])
    far.close()
    await_that(lambda: not publication.is_connected)


def test_tagged_counts_the_other_drivers_tag(sides, free_port, fresh_stream):
    here, there = sides
    stream_id = fresh_stream()
    group = f"aeron:udp?endpoint=224.20.30.41:{free_port()}|interface=127.0.0.1"
    publication = here.add_exclusive_publication(f"{group}|fc=tagged,g:-77/1", stream_id)
    stranger = here.add_subscription(group, stream_id)
    await_that(lambda: stranger.image_count)
    assert not publication.is_connected
    member = there.add_subscription(f"{group}|gtag=-77", stream_id)
    await_that(lambda: publication.is_connected and member.image_count)
    assert counters(here, CounterType.FLOW_CONTROL_RECEIVERS, stream_id) == {"fc-receivers": 1}
    carry(publication, [member])


def test_cubic_measures_the_way_to_the_other_driver(sides, free_port, fresh_stream):
    here, there = sides
    stream_id = fresh_stream()
    channel = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    subscription = there.add_subscription(f"{channel}|cc=cubic", stream_id)
    publication = here.add_exclusive_publication(channel, stream_id)
    await_that(lambda: publication.is_connected and subscription.image_count)
    carry(publication, [subscription])
    values: dict[str, int] = {}

    def measured() -> bool:
        values.update(counters(there, CounterType.PER_IMAGE, stream_id))
        return values["rcv-cc-cubic-rtt"] > 0

    await_that(measured)
    assert values["rcv-cc-cubic-rtt"] < 20_000_000_000
    assert values["rcv-cc-cubic-wnd"] % 1408 == 0
