"""Destinations of publications under the test's clock: learnt, silent, taken away."""

from __future__ import annotations

from conductor_kit import HOST, Asker, await_event, c, driver, events

from volans.protocol.counter_types import CounterType

__all__ = ["driver"]

DYNAMIC = f"aeron:udp?control={HOST}:4000|control-mode=dynamic|term-length=64k"
MANUAL = "aeron:udp?control-mode=manual|term-length=64k"


def destination_count(driver, registration_id):
    counter_id = driver.counters.find(CounterType.MDC_DESTINATIONS, registration_id)
    assert counter_id is not None
    return driver.counters.value(counter_id)


def keep_alive(driver, asker):
    keepalive = c.ClientKeepalive(asker.client_id, 0)
    assert driver.tell(keepalive.msg_type_id, keepalive.encode())


def pass_time(driver, asker, duration_ms):
    for _ in range(0, duration_ms, 500):
        keep_alive(driver, asker)
        driver.pass_time(500, step_ms=10)


def subscription_of(asker, port):
    return asker.subscription(f"aeron:udp?endpoint={HOST}:{port}|control={HOST}:4000")


def test_learnt_destinations_live_while_somebody_listens(driver):
    asker = Asker(driver)
    registration_id = asker.exclusive(DYNAMIC).registration_id
    assert destination_count(driver, registration_id) == 0
    first = subscription_of(asker, 4001)
    await_event(driver, events.AvailableImage)
    subscription_of(asker, 4002)
    await_event(driver, events.AvailableImage)
    assert destination_count(driver, registration_id) == 2
    pass_time(driver, asker, 7000)
    assert destination_count(driver, registration_id) == 2
    asker.ask(c.RemoveSubscription, first)
    pass_time(driver, asker, 4500)
    assert destination_count(driver, registration_id) == 2
    pass_time(driver, asker, 1000)
    assert destination_count(driver, registration_id) == 1


def test_an_image_ends_when_its_destination_is_taken_away(driver):
    asker = Asker(driver)
    registration_id = asker.exclusive(MANUAL).registration_id
    asker.subscription(f"aeron:udp?endpoint={HOST}:4001")
    destination_id, heard = asker.ask(
        c.AddDestination, registration_id, f"aeron:udp?endpoint={HOST}:4001"
    )
    assert events.OperationSuccess(destination_id) in heard
    await_event(driver, events.AvailableImage)
    assert destination_count(driver, registration_id) == 1
    asker.ask(c.RemoveDestinationById, registration_id, destination_id)
    assert destination_count(driver, registration_id) == 0
    await_event(driver, events.UnavailableImage)


def test_coming_and_going_leaves_nothing(driver):
    asker = Asker(driver)
    before = len(driver.counters)
    for round_number in range(20):
        registration_id = asker.exclusive(MANUAL).registration_id
        for port in range(4001, 4011):
            channel = f"aeron:udp?endpoint={HOST}:{port}"
            asker.ask(c.AddDestination, registration_id, channel)
            if port % 2 == round_number % 2:
                asker.ask(c.RemoveDestination, registration_id, channel)
        assert destination_count(driver, registration_id) == 5
        asker.ask(c.RemovePublication, registration_id, False)
        keep_alive(driver, asker)
        driver.pass_time(200)
    assert len(driver.counters) <= before + 1  # the client's heartbeat
    assert driver.error_texts() == []
