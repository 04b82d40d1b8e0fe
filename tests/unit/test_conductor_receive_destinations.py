"""Receive destinations, tags, ports and conflicts of subscriptions in a whole driver."""

from __future__ import annotations

import pytest
from conductor_kit import (
    HOST,
    UDP,
    Asker,
    ErrorCode,
    InvokedDriver,
    LogInspector,
    c,
    driver,
    events,
    invoked_driver,
    one,
)

from volans.protocol.counter_types import CounterType

STREAM = 7
MANUAL = "aeron:udp?control-mode=manual"
FIRST, SECOND = (f"aeron:udp?endpoint={HOST}:{port}" for port in (40201, 40202))
__all__ = ["driver"]


@pytest.fixture
def asker(driver) -> Asker:
    return Asker(driver)


def receive_addresses(driver: InvokedDriver) -> list[str]:
    """What the rcv-local-sockaddr counters say."""
    labels = map(driver.counters.label, driver.counters.find_by_type(CounterType.LOCAL_SOCKADDR))
    return sorted(label.split()[-1] for label in labels if label.startswith("rcv-local-sockaddr: "))


def add(asker: Asker, registration_id: int, channel: str) -> int:
    correlation_id, heard = asker.ask(c.AddReceiveDestination, registration_id, channel)
    assert one(heard, events.OperationSuccess).correlation_id == correlation_id
    return correlation_id


def remove(asker: Asker, registration_id: int, channel: str) -> None:
    _, heard = asker.ask(c.RemoveReceiveDestination, registration_id, channel)
    one(heard, events.OperationSuccess)


def gather(driver: InvokedDriver, duration_ms: int) -> list[events.Event]:
    heard: list[events.Event] = []
    for _ in range(duration_ms):
        driver.step(1)
        heard += driver.heard()
    return heard


def images(heard: list[events.Event]) -> list[events.AvailableImage]:
    return [event for event in heard if isinstance(event, events.AvailableImage)]


# --- sockets --------------------------------------------------------------------------------------
def test_destinations_open_and_close_sockets_told_in_counters(driver, asker):
    registration_id = asker.subscription(MANUAL)
    (status_id,) = driver.counters.find_by_type(CounterType.RECEIVE_CHANNEL_STATUS)
    status = driver.counters.describe(status_id)
    assert (status.label, status.value) == (f"rcv-channel: {MANUAL} ", 1)
    assert receive_addresses(driver) == []
    add(asker, registration_id, FIRST)
    add(asker, registration_id, SECOND)
    assert receive_addresses(driver) == [f"{HOST}:40201", f"{HOST}:40202"]
    counter_id = driver.counters.find_by_type(CounterType.LOCAL_SOCKADDR)[0]
    counter = driver.counters.describe(counter_id)
    assert counter.label == f"rcv-local-sockaddr: {status_id} {HOST}:40201"
    assert (counter.value, counter.registration_id) == (1, registration_id)
    remove(asker, registration_id, FIRST)
    driver.pass_time(50)
    assert receive_addresses(driver) == [f"{HOST}:40202"]
    add(asker, registration_id, FIRST)
    asker.ask(c.RemoveSubscription, registration_id)
    driver.pass_time(50)
    assert receive_addresses(driver) == []
    assert driver.counters.find_by_type(CounterType.RECEIVE_CHANNEL_STATUS) == []


def test_streams_of_all_destinations_are_images_of_the_subscription(driver, asker):
    registration_id = asker.subscription(MANUAL)
    for channel in (FIRST, SECOND):
        add(asker, registration_id, channel)
    heard: list[events.Event] = []
    for session_id, channel in ((1, FIRST), (2, SECOND)):
        asker.exclusive(f"{channel}|session-id={session_id}")
        heard += asker.heard
    heard += gather(driver, 100)
    found = images(heard)
    assert {image.session_id for image in found} == {1, 2}
    assert {image.subscription_registration_id for image in found} == {registration_id}


def test_one_session_over_two_destinations_is_one_image(driver, asker):
    registration_id = asker.subscription(MANUAL)
    for channel in (FIRST, SECOND):
        add(asker, registration_id, channel)
    asker.exclusive("aeron:udp?control-mode=manual|session-id=5")
    publication = asker.heard[0]
    for channel in (FIRST, SECOND):
        asker.ask(c.AddDestination, publication.correlation_id, channel)
    found = images(gather(driver, 200))
    assert len(found) == 1
    with LogInspector(found[0].log_file_name) as log:
        assert log.metadata.active_transport_count == 2


def test_a_stream_is_lost_with_its_destination(driver, asker):
    registration_id = asker.subscription(MANUAL)
    add(asker, registration_id, FIRST)
    asker.exclusive(FIRST)
    heard = asker.heard + gather(driver, 100)
    (image,) = images(heard)
    remove(asker, registration_id, FIRST)
    gone = [e for e in gather(driver, 400) if isinstance(e, events.UnavailableImage)]
    assert [event.correlation_id for event in gone] == [image.correlation_id]


def test_what_no_socket_stands_for_is_removed_with_success(driver, asker):
    registration_id = asker.subscription(MANUAL)
    add(asker, registration_id, FIRST)
    remove(asker, registration_id, SECOND)
    assert receive_addresses(driver) == [f"{HOST}:40201"]


@pytest.mark.parametrize("kind", [c.AddReceiveDestination, c.RemoveReceiveDestination])
@pytest.mark.parametrize("channel", [FIRST, "aeron:ipc", "aeron-spy:" + FIRST])
def test_destinations_of_what_is_not_there_or_not_manual_are_refused(asker, kind, channel):
    assert asker.refusal(kind, 99, channel).error_code == ErrorCode.UNKNOWN_SUBSCRIPTION
    registration_id = asker.subscription(UDP)
    answer = asker.refusal(kind, registration_id, channel)
    if kind is c.RemoveReceiveDestination and channel != FIRST:
        assert answer.error_code == ErrorCode.UNKNOWN_SUBSCRIPTION
    else:
        assert answer.error_code == ErrorCode.INVALID_CHANNEL
        assert "manual" in answer.message


@pytest.mark.parametrize(
    "parameter",
    [
        "mtu=1408",
        "rcv-wnd=64k",
        "so-rcvbuf=64k",
        "so-sndbuf=64k",
        "response-correlation-id=3",
        "control-mode=response",
    ],
)
def test_what_concerns_the_whole_endpoint_is_refused_of_a_destination(asker, parameter):
    registration_id = asker.subscription(MANUAL)
    answer = asker.refusal(c.AddReceiveDestination, registration_id, f"{FIRST}|{parameter}")
    assert answer.error_code == ErrorCode.INVALID_CHANNEL
    assert parameter.split("=")[0] in answer.message


def test_a_destination_that_cannot_be_bound_is_refused_and_leaves_nothing(driver, asker):
    asker.subscription(FIRST)
    registration_id = asker.subscription(MANUAL)
    answer = asker.refusal(c.AddReceiveDestination, registration_id, FIRST)
    assert answer.error_code == ErrorCode.GENERIC_ERROR
    assert f"{HOST}:40201" in answer.message
    assert receive_addresses(driver) == [f"{HOST}:40201"]
    add(asker, registration_id, SECOND)


# --- publications of this driver ------------------------------------------------------------------
@pytest.mark.parametrize("destination", ["aeron:ipc", "aeron-spy:" + FIRST])
@pytest.mark.parametrize("published_first", [True, False])
def test_own_publications_are_destinations_too(driver, asker, destination, published_first):
    published = "aeron:ipc" if destination == "aeron:ipc" else FIRST
    registration_id = asker.subscription(MANUAL)
    heard: list[events.Event] = []
    if published_first:
        asker.exclusive(published)
        heard += asker.heard
    add(asker, registration_id, destination)
    heard += asker.heard
    if not published_first:
        asker.exclusive(published)
        heard += asker.heard
    image = one(heard, events.AvailableImage)
    assert image.subscription_registration_id == registration_id
    remove(asker, registration_id, destination)
    gone = one(asker.heard, events.UnavailableImage)
    assert gone.correlation_id == image.correlation_id
    assert gone.subscription_registration_id == registration_id
    assert driver.counters.find_by_type(CounterType.SUBSCRIBER_POSITION) == []
    asker.exclusive(published + ("?" if published == "aeron:ipc" else "|") + "session-id=3")
    assert images(asker.heard) == []
    answer = asker.refusal(c.RemoveReceiveDestination, registration_id, destination)
    assert answer.error_code == ErrorCode.UNKNOWN_SUBSCRIPTION


def test_a_stream_is_read_once_however_often_it_is_asked_for(driver, asker):
    registration_id = asker.subscription(MANUAL)
    asker.exclusive("aeron:ipc?session-id=5")
    for channel in ("aeron:ipc", "aeron:ipc", "aeron:ipc?session-id=5"):
        add(asker, registration_id, channel)
    asker.exclusive("aeron:ipc?session-id=6")
    assert len(driver.counters.find_by_type(CounterType.SUBSCRIBER_POSITION)) == 2


def test_own_publications_are_let_go_with_the_subscription(driver, asker):
    registration_id = asker.subscription(MANUAL)
    asker.exclusive("aeron:ipc")
    asker.exclusive(FIRST)
    for channel in ("aeron:ipc", "aeron-spy:" + FIRST):
        add(asker, registration_id, channel)
    assert len(driver.counters.find_by_type(CounterType.SUBSCRIBER_POSITION)) == 2
    asker.ask(c.RemoveSubscription, registration_id)
    assert driver.counters.find_by_type(CounterType.SUBSCRIBER_POSITION) == []
    asker.exclusive("aeron:ipc?session-id=9")
    assert images(asker.heard) == []


# --- tags, ports, conflicts -----------------------------------------------------------------------
def test_a_tag_alone_finds_the_endpoint(driver, asker):
    asker.subscription(f"{FIRST}|tags=9")
    asker.subscription("aeron:udp?tags=9", STREAM + 1)
    assert receive_addresses(driver) == [f"{HOST}:40201"]
    asker.exclusive(FIRST, STREAM + 1)
    assert len(images(asker.heard + gather(driver, 100))) == 1


def test_a_tag_of_another_address_or_of_nothing_is_refused(asker):
    asker.subscription(f"{FIRST}|tags=9")
    asker.refusal(c.AddSubscription, STREAM, f"{SECOND}|tags=9")
    answer = asker.refusal(c.AddSubscription, STREAM, "aeron:udp?tags=10")
    assert answer.error_code == ErrorCode.INVALID_CHANNEL


def test_manual_endpoints_are_shared_by_tag_only(driver, asker):
    first = asker.subscription(f"{MANUAL}|tags=3")
    asker.subscription(MANUAL)
    assert len(driver.counters.find_by_type(CounterType.RECEIVE_CHANNEL_STATUS)) == 2
    second = asker.subscription("aeron:udp?tags=3", STREAM + 1)
    add(asker, first, FIRST)
    asker.exclusive(FIRST, STREAM + 1)
    (image,) = images(asker.heard + gather(driver, 100))
    assert image.subscription_registration_id == second


def test_port_0_is_a_socket_of_its_own_whose_port_is_told(driver, asker):
    channel = f"aeron:udp?endpoint={HOST}:0"
    for _ in range(2):
        asker.subscription(channel)
    addresses = receive_addresses(driver)
    assert len(set(addresses)) == 2
    assert not any(address.endswith(":0") for address in addresses)
    labels = {
        driver.counters.label(counter_id)
        for counter_id in driver.counters.find_by_type(CounterType.RECEIVE_CHANNEL_STATUS)
    }
    assert labels == {f"rcv-channel: {channel} {address}" for address in addresses}


def test_ports_left_open_are_of_the_configured_range_until_it_is_used_up():
    with invoked_driver(
        client_liveness_timeout_ns="10s", receiver_wildcard_port_range="41000 41001"
    ) as driver:
        asker = Asker(driver)
        channel = f"aeron:udp?endpoint={HOST}:0"
        first = asker.subscription(channel)
        registration_id = asker.subscription(MANUAL)
        add(asker, registration_id, channel)
        assert receive_addresses(driver) == [f"{HOST}:41000", f"{HOST}:41001"]
        answer = asker.refusal(c.AddSubscription, STREAM, channel)
        assert "41000 41001" in answer.message
        asker.ask(c.RemoveSubscription, first)
        driver.pass_time(50)
        asker.subscription(channel)
        assert receive_addresses(driver) == [f"{HOST}:41000", f"{HOST}:41001"]


@pytest.mark.parametrize("key", ["media-rcv-ts-offset", "channel-rcv-ts-offset"])
@pytest.mark.parametrize(("here", "asked"), [("reserved", None), (None, "8"), ("0", "reserved")])
def test_subscriptions_of_a_channel_agree_on_where_times_go(asker, key, here, asked):
    channels = [FIRST if offset is None else f"{FIRST}|{key}={offset}" for offset in (here, asked)]
    asker.subscription(channels[0])
    answer = asker.refusal(c.AddSubscription, STREAM + 1, channels[1])
    assert answer.error_code == ErrorCode.INVALID_CHANNEL
    assert key in answer.message
    asker.subscription(channels[0], STREAM + 1)


def test_an_endpoint_that_is_there_keeps_its_buffers(asker):
    asker.subscription(f"{FIRST}|so-rcvbuf=256k|rcv-wnd=128k")
    for option in ("so-rcvbuf=512k", "rcv-wnd=512k"):
        answer = asker.refusal(c.AddSubscription, STREAM + 1, f"{FIRST}|{option}")
        assert answer.error_code == ErrorCode.INVALID_CHANNEL
        assert option.split("=")[0] in answer.message
    asker.subscription(f"{FIRST}|so-rcvbuf=256k", STREAM + 1)


def test_control_on_port_0_is_refused(asker):
    channel = f"{FIRST}|control={HOST}:0|control-mode=dynamic"
    assert "control" in asker.refusal(c.AddSubscription, STREAM, channel).message
    registration_id = asker.subscription(MANUAL)
    asker.refusal(c.AddReceiveDestination, registration_id, channel)
