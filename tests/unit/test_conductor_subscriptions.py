"""Subscriptions, spies and images as the control plane joins, refuses and ends them."""

from __future__ import annotations

import pytest
from conductor_kit import (
    HOST,
    UDP,
    Asker,
    ErrorCode,
    InvokedDriver,
    LogInspector,
    await_event,
    c,
    driver,
    events,
    invoked_driver,
    one,
)

from volans.protocol.counter_types import CounterType

OTHER_UDP = f"aeron:udp?endpoint={HOST}:40124"
__all__ = ["driver"]


def images(heard: list[events.Event]) -> list[events.AvailableImage]:
    return [event for event in heard if isinstance(event, events.AvailableImage)]


def gather(driver: InvokedDriver, duration_ms: int) -> list[events.Event]:
    """What is broadcast in a while."""
    heard: list[events.Event] = []
    for _ in range(duration_ms):
        driver.step(1)
        heard += driver.heard()
    return heard


@pytest.mark.parametrize("subscribed_first", [True, False])
def test_an_ipc_subscription_gets_what_is_there_and_what_comes(driver, subscribed_first):
    asker = Asker(driver)
    heard: list[events.Event] = []
    registration_id = 0
    for is_subscription in (subscribed_first, not subscribed_first):
        if is_subscription:
            registration_id, answer = asker.ask(c.AddSubscription, 7, "aeron:ipc")
        else:
            asker.publication("aeron:ipc")
            answer = asker.heard
        heard += answer
    image = one(heard, events.AvailableImage)
    publication = one(heard, events.PublicationReady)
    assert image.correlation_id == publication.registration_id
    assert image.subscription_registration_id == registration_id
    assert image.source_identity == "aeron:ipc"
    assert image.log_file_name == publication.log_file_name
    counter = driver.counters.describe(image.subscriber_position_counter_id)
    assert counter.type_id == CounterType.SUBSCRIBER_POSITION
    assert counter.label == f"sub-pos: {registration_id} {image.session_id} 7 aeron:ipc @0"
    assert counter.reference_id == publication.registration_id


@pytest.mark.parametrize("channel", ["aeron:ipc", UDP, "aeron-spy:" + UDP])
def test_a_subscription_of_one_session_hears_no_other(driver, channel):
    asker = Asker(driver)
    registration_id = asker.subscription(
        channel + ("?" if channel.endswith("ipc") else "|") + "session-id=5"
    )
    media = channel.removeprefix("aeron-spy:")
    heard = []
    for session_id in (4, 5, 6):
        asker.exclusive(
            media + ("?" if media.endswith("ipc") else "|") + f"session-id={session_id}"
        )
        heard += asker.heard
    heard += gather(driver, 150)
    joined = [i for i in images(heard) if i.subscription_registration_id == registration_id]
    assert {image.session_id for image in joined} == {5}


def test_a_network_image_names_its_source_and_counts_what_it_receives(driver):
    asker = Asker(driver)
    asker.subscription(UDP)
    asker.exclusive(UDP + "|session-id=9|term-length=64k")
    image = (images(asker.heard) or [await_event(driver, events.AvailableImage)])[0]
    assert image.source_identity.startswith(f"{HOST}:")
    labels = {
        driver.counters.type_id(counter_id): driver.counters.label(counter_id)
        for counter_id in driver.counters.allocated_ids()
        if driver.counters.registration_id(counter_id) == image.correlation_id
        and driver.counters.type_id(counter_id) != CounterType.SYSTEM
    }
    tail = f": {image.correlation_id} 9 7 {UDP}"
    assert labels == {
        CounterType.RECEIVER_HWM: "rcv-hwm" + tail,
        CounterType.RECEIVER_POSITION: "rcv-pos" + tail,
        CounterType.RECEIVER_NAKS_SENT: "rcv-naks-sent" + tail,
    }
    with LogInspector(image.log_file_name) as log:
        assert log.metadata.type_name
        assert log.metadata.correlation_id == image.correlation_id


@pytest.mark.parametrize("option", ["reliable=false", "rejoin=false"])
def test_options_of_one_stream_do_not_differ(driver, option):
    asker = Asker(driver)
    asker.subscription(UDP)
    answer = asker.refusal(c.AddSubscription, 7, f"{UDP}|{option}")
    assert answer.error_code == ErrorCode.INVALID_CHANNEL
    assert option.split("=")[0] in answer.message
    asker.subscription(f"{UDP}|{option}", 8)
    asker.subscription(f"{OTHER_UDP}|{option}")


@pytest.mark.parametrize(
    "channel",
    [
        "aeron:udp",
        "aeron-spy:aeron:ipc",
        UDP + "|rcv-wnd=1g",
        UDP + "|so-rcvbuf=64k|rcv-wnd=128k",
    ],
)
def test_subscriptions_that_cannot_be_are_refused_and_leave_nothing(driver, channel):
    answer = Asker(driver).refusal(c.AddSubscription, 7, channel)
    assert answer.error_code == ErrorCode.INVALID_CHANNEL
    gather(driver, 20)
    assert driver.counters.find_by_type(CounterType.RECEIVE_CHANNEL_STATUS) == []


def test_streams_of_a_channel_share_its_socket_until_the_last_is_gone(driver):
    asker = Asker(driver)
    first = asker.subscription(UDP, 7)
    second = asker.subscription(UDP, 8)
    (counter_id,) = driver.counters.find_by_type(CounterType.RECEIVE_CHANNEL_STATUS)
    counter = driver.counters.describe(counter_id)
    assert counter.label == f"rcv-channel: {UDP} {HOST}:40123"
    assert (counter.value, counter.owner_id, counter.registration_id) == (1, 0, first)
    assert len(driver.counters.find_by_type(CounterType.LOCAL_SOCKADDR)) == 1
    asker.ask(c.RemoveSubscription, first)
    gather(driver, 20)
    assert driver.counters.is_allocated(counter_id)
    asker.ask(c.RemoveSubscription, second)
    gather(driver, 20)
    assert not driver.counters.is_allocated(counter_id)
    assert driver.counters.find_by_type(CounterType.LOCAL_SOCKADDR) == []


def test_removing_twice_is_refused(driver):
    asker = Asker(driver)
    registration_id = asker.subscription("aeron:ipc")
    asker.ask(c.RemoveSubscription, registration_id)
    one(asker.heard, events.OperationSuccess)
    answer = asker.refusal(c.RemoveSubscription, registration_id)
    assert answer.error_code == ErrorCode.UNKNOWN_SUBSCRIPTION


@pytest.mark.parametrize("channel", ["aeron:ipc", UDP])
def test_an_untethered_subscription_is_taken(driver, channel):
    asker = Asker(driver)
    asker.subscription(channel + ("?" if channel.endswith("ipc") else "|") + "tether=false")
    asker.exclusive(channel)
    assert images(asker.heard) or await_event(driver, events.AvailableImage)


@pytest.mark.parametrize("channel", ["aeron:ipc", UDP, "aeron-spy:" + UDP])
def test_a_publication_that_ends_ends_its_images(driver, channel):
    asker = Asker(driver)
    registration_id = asker.subscription(channel)
    ready = asker.exclusive(channel.removeprefix("aeron-spy:"))
    image = (images(asker.heard) or [await_event(driver, events.AvailableImage)])[0]
    asker.ask(c.RemovePublication, ready.correlation_id, False)
    heard = asker.heard + gather(driver, 700)
    gone = one(heard, events.UnavailableImage)
    assert gone.correlation_id == image.correlation_id
    assert gone.subscription_registration_id == registration_id
    assert not driver.counters.is_allocated(image.subscriber_position_counter_id)
    assert driver.files() == []


def test_images_of_a_stream_stop_at_the_limit():
    with invoked_driver(client_liveness_timeout_ns="10s", stream_session_limit="2") as driver:
        asker = Asker(driver)
        asker.subscription(UDP)
        heard = []
        for session_id in range(4):
            asker.exclusive(f"{UDP}|session-id={session_id}|term-length=64k")
            heard += asker.heard
        heard += gather(driver, 300)
        assert len(images(heard)) == 2
        asker.exclusive(f"{OTHER_UDP}|term-length=64k", 8)
        asker.subscription(OTHER_UDP, 8)
        assert images(asker.heard + gather(driver, 300))


@pytest.mark.parametrize("rejoin", ["true", "false"])
def test_a_silent_source_loses_its_image_and_gets_a_new_one_only_with_rejoin(driver, rejoin):
    asker = Asker(driver)
    asker.subscription(f"{UDP}|rejoin={rejoin}")
    asker.exclusive(f"{UDP}|term-length=64k")
    image = (images(asker.heard) or [await_event(driver, events.AvailableImage)])[0]
    _, heard = asker.ask(c.RejectImage, image.correlation_id, 0, "to end it")
    heard = heard + gather(driver, 1500)
    assert [e for e in heard if isinstance(e, events.UnavailableImage)]
    came_back = [i for i in images(heard) if i.correlation_id != image.correlation_id]
    assert bool(came_back) == (rejoin == "true")
