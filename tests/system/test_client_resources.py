"""Counters, destinations, session ids and the asynchronous forms against a running driver."""

from __future__ import annotations

import socket

import pytest
from client_driver import await_that, client, collect, driver, errors, stream_id, udp_channel

import volans

__all__ = ["client", "driver", "errors", "stream_id", "udp_channel"]


def test_counters_are_added_used_and_freed(client):
    told = []
    client.add_available_counter_handler(
        lambda _r, registration_id, _i: told.append(registration_id)
    )
    gone = []
    client.add_unavailable_counter_handler(
        lambda _r, registration_id, _i: gone.append(registration_id)
    )
    counter = client.add_counter(1001, "my counter", b"key bytes")
    assert counter.value == 0
    assert counter.increment() == 0
    assert counter.add(41) == 1
    assert counter.compare_and_set(42, 50)
    assert not counter.compare_and_set(42, 60)
    assert client.counters.value(counter.id) == 50
    assert counter.label == client.counters.label(counter.id) == "my counter"
    assert client.counters.key(counter.id).startswith(b"key bytes")
    assert client.counters.type_id(counter.id) == 1001
    await_that(lambda: counter.registration_id in told)
    counter.close()
    counter.close()
    for use in (counter.get, counter.increment, lambda: counter.value):
        with pytest.raises(volans.ClientClosedError):
            use()
    await_that(lambda: counter.registration_id in gone)
    with pytest.raises(ValueError, match="112"):
        client.add_counter(1001, "label", bytes(200))
    with pytest.raises(ValueError, match="380"):
        client.add_counter(1001, "x" * 400)


def test_static_counters_outlive_their_client(client, driver):
    with volans.connect(driver.directory) as other:
        counter = other.add_static_counter(1002, 77, "static")
        counter.set(5)
        counter_id = counter.id
        assert counter.is_static
    again = client.add_static_counter(1002, 77, "static")
    assert (again.id, again.value) == (counter_id, 5)
    again.close()
    assert client.counters.value(counter_id) == 5


def test_session_ids_are_offered(client, stream_id):
    first = client.next_session_id(stream_id)
    publication = client.add_exclusive_publication(f"aeron:ipc?session-id={first}", stream_id)
    assert publication.session_id == first
    assert client.next_session_id(stream_id) != first
    registration_id = client.async_next_session_id(stream_id)

    def poll() -> bool:
        nonlocal second
        second = client.get_next_session_id(registration_id)
        return second is not None

    second = None
    await_that(poll)
    assert second not in (first, client.next_session_id(stream_id))


def test_destinations_come_and_go(client, stream_id):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"aeron:udp?endpoint=127.0.0.1:{probe.getsockname()[1]}"
    publication = client.add_publication("aeron:udp?control-mode=manual", stream_id)
    subscription = client.add_subscription(endpoint, stream_id)
    number = publication.add_destination(endpoint)
    publication.publish(b"to one destination", timeout=20)
    assert collect(subscription, 1) == [b"to one destination"]
    publication.remove_destination(number)
    publication.add_destination(endpoint)
    publication.remove_destination(endpoint)
    publication.close()
    with pytest.raises(volans.ClientClosedError):
        publication.add_destination(endpoint)


def test_receive_destinations_come_and_go(client, stream_id):
    try:
        merged = client.add_subscription("aeron:udp?control-mode=manual", stream_id)
    except volans.RegistrationError as error:
        if error.code == volans.ErrorCode.NOT_SUPPORTED:
            pytest.skip(f"this driver has no multi-destination subscriptions: {error}")
        raise
    registration_id = client.async_add_receive_destination(merged, "aeron:udp?endpoint=127.0.0.1:0")
    await_that(lambda: client.is_done(registration_id))
    with pytest.raises(volans.RegistrationError):
        merged.add_destination("aeron:udp?endpoint=bad")


def test_asynchronous_adds(client, stream_id):
    ids = [
        client.async_add_publication("aeron:ipc", stream_id),
        client.async_add_exclusive_publication("aeron:ipc", stream_id),
        client.async_add_subscription("aeron:ipc", stream_id),
        client.async_add_counter(1003, "asynchronous"),
        client.async_add_static_counter(1003, 9, "asynchronous"),
    ]
    publication = await_that(lambda: client.get_publication(ids[0]))
    exclusive = await_that(lambda: client.get_exclusive_publication(ids[1]))
    subscription = await_that(lambda: client.get_subscription(ids[2]))
    assert await_that(lambda: client.get_counter(ids[3])).value == 0
    assert await_that(lambda: client.get_counter(ids[4])).value == 0
    assert publication.registration_id == ids[0]
    assert exclusive.session_id != publication.session_id
    await_that(lambda: subscription.image_count == 2)
    refused = client.async_add_publication("aeron:udp?endpoint=bad", stream_id)

    with pytest.raises(volans.RegistrationError):
        await_that(lambda: client.get_publication(refused))


def test_invoker_mode_has_no_threads(driver, stream_id):
    import threading

    before = threading.active_count()
    with volans.connect(driver.directory, use_conductor_invoker=True) as client:
        subscription = client.add_subscription("aeron:ipc", stream_id)
        publication = client.add_publication("aeron:ipc", stream_id)
        assert threading.active_count() == before
        publication.publish(b"invoked", timeout=20)
        messages = subscription.messages(timeout=20)
        assert bytes(next(messages)) == b"invoked"
        registration_id = client.async_add_counter(1004, "invoked")
        await_that(lambda: client.invoke() >= 0 and client.get_counter(registration_id))
    with volans.connect(driver.directory) as threaded, pytest.raises(RuntimeError, match="invoker"):
        threaded.invoke()


def test_time_is_an_argument_in_invoker_mode(driver):
    times = {"ns": 10**9}

    def sleep(seconds):
        times["ns"] += int(seconds * 1e9)

    with volans.connect(
        driver.directory,
        use_conductor_invoker=True,
        driver_timeout=5.0,
        nano_clock=lambda: times["ns"],
        sleep=sleep,
    ) as client:
        registration_id = client.async_add_counter(1005, "never looked at")
        now_ms = client.options.epoch_clock_ms()
        # Nobody takes events before the registration's deadline has passed by the virtual clock.
        client._conductor.do_work(times["ns"] + 6 * 10**9)
        pending = client._conductor.registrations.get(registration_id)
        if pending is not None and not isinstance(pending.error, volans.DriverTimeoutError):
            await_that(lambda: client.do_work(times["ns"], now_ms) >= 0)
        # Driver heartbeats far in the virtual past end the client.
        client.do_work(times["ns"], now_ms + 60_000)
        assert client.is_closed
        with pytest.raises(volans.DriverTimeoutError, match="sign of life"):
            client.async_add_counter(1005, "too late")
