"""Clients, their counters and rejections as the control plane keeps them."""

from __future__ import annotations

from conductor_kit import (
    CLIENT,
    OTHER_CLIENT,
    UDP,
    Asker,
    ErrorCode,
    LogInspector,
    await_event,
    c,
    driver,
    events,
    invoked_driver,
    one,
)

from volans.protocol.counter_types import CounterType, SystemCounter

__all__ = ["driver"]


def test_the_first_command_that_adds_makes_a_client_known(driver):
    asker = Asker(driver)
    _, heard = asker.ask(c.ClientKeepalive)
    assert heard == []
    assert driver.driver.client_count == 0
    _, heard = asker.ask(c.AddSubscription, 7, "aeron:ipc")
    ready = one(heard, events.CounterReady)
    assert ready.correlation_id == CLIENT
    assert driver.counters.type_id(ready.counter_id) == CounterType.CLIENT_HEARTBEAT
    assert driver.counters.registration_id(ready.counter_id) == CLIENT
    assert driver.counters.value(ready.counter_id) == driver.now_ms
    assert driver.counters.label(ready.counter_id) == f"client-heartbeat: id={CLIENT}"


def test_no_client_can_get_the_id_that_means_no_owner(driver):
    assert driver.ring.next_correlation_id() > 0


def test_a_keep_alive_refreshes_the_heartbeat(driver):
    asker = Asker(driver)
    _, heard = asker.ask(c.AddSubscription, 7, "aeron:ipc")
    counter_id = one(heard, events.CounterReady).counter_id
    driver.pass_time(100)
    before = driver.counters.value(counter_id)
    asker.ask(c.ClientKeepalive)
    assert driver.counters.value(counter_id) > before


def test_a_silent_client_is_timed_out_with_all_it_had():
    with invoked_driver(client_liveness_timeout_ns="100ms") as driver:
        silent, alive = Asker(driver), Asker(driver, OTHER_CLIENT)
        _, heard = silent.ask(c.AddSubscription, 7, "aeron:ipc")
        heartbeat = one(heard, events.CounterReady).counter_id
        silent.publication("aeron:ipc")
        silent.publication(UDP)
        _, heard = silent.ask(c.AddCounter, 1001, b"key", "label")
        counter_id = one(heard, events.CounterReady).counter_id
        alive.subscription("aeron:ipc", 9)
        told: list[events.Event] = []
        for _ in range(20):
            alive.ask(c.ClientKeepalive)
            told += alive.heard
            driver.step(10)
            told += driver.heard()
        assert one(told, events.ClientTimeout).client_id == CLIENT
        gone = {
            (e.registration_id, e.counter_id) for e in told if type(e) is events.UnavailableCounter
        }
        assert (CLIENT, heartbeat) in gone
        assert counter_id in {counter for _, counter in gone}
        assert driver.driver.client_count == 1
        assert driver.counters.value(SystemCounter.CLIENT_TIMEOUTS) == 1
        for _ in range(20):
            alive.ask(c.ClientKeepalive)
            driver.step(10)
        assert driver.files() == []


def test_a_client_that_closes_goes_without_a_time_out(driver):
    asker = Asker(driver)
    asker.subscription("aeron:ipc")
    asker.publication("aeron:ipc")
    command = c.ClientClose(CLIENT, -1)
    driver.tell(command.msg_type_id, command.encode())
    driver.pass_time(100)
    heard = driver.heard()
    assert not [event for event in heard if isinstance(event, events.ClientTimeout)]
    assert one(heard, events.UnavailableCounter).registration_id == CLIENT
    assert driver.driver.client_count == 0
    assert driver.counters.value(SystemCounter.CLIENT_TIMEOUTS) == 0
    assert driver.files() == []


def test_counters_are_announced_and_withdrawn(driver):
    asker = Asker(driver)
    registration_id, heard = asker.ask(c.AddCounter, 1001, b"key", "a label")
    counter_id = next(e.counter_id for e in heard if e.correlation_id == registration_id)
    counter = driver.counters.describe(counter_id)
    assert (counter.type_id, counter.label, counter.owner_id) == (1001, "a label", CLIENT)
    assert counter.registration_id == registration_id
    assert counter.key.rstrip(b"\0") == b"key"
    _, heard = asker.ask(c.RemoveCounter, registration_id)
    one(heard, events.OperationSuccess)
    assert one(heard, events.UnavailableCounter).counter_id == counter_id
    assert not driver.counters.is_allocated(counter_id)
    answer = asker.refusal(c.RemoveCounter, registration_id)
    assert answer.error_code == ErrorCode.UNKNOWN_COUNTER


def test_a_static_counter_is_found_again_and_outlives_its_client(driver):
    asker = Asker(driver)
    _, heard = asker.ask(c.AddStaticCounter, 55, 1002, b"key", "static")
    counter_id = one(heard, events.StaticCounterReady).counter_id
    assert driver.counters.owner_id(counter_id) == -1
    _, heard = Asker(driver, OTHER_CLIENT).ask(c.AddStaticCounter, 55, 1002, b"", "other")
    assert one(heard, events.StaticCounterReady).counter_id == counter_id
    assert driver.counters.label(counter_id) == "static"
    asker.ask(c.ClientClose)
    driver.pass_time(100)
    assert driver.counters.is_allocated(counter_id)


def test_a_dynamic_counter_is_no_static_one(driver):
    asker = Asker(driver)
    registration_id, _ = asker.ask(c.AddCounter, 1003, b"", "dynamic")
    answer = asker.refusal(c.AddStaticCounter, registration_id, 1003, b"", "static")
    assert answer.error_code == ErrorCode.GENERIC_ERROR
    assert "non-static" in answer.message


def test_a_rejected_ipc_image_goes_and_comes_back_after_its_cool_down(driver):
    asker = Asker(driver)
    asker.subscription("aeron:ipc")
    _, heard = asker.ask(c.AddPublication, 7, "aeron:ipc?term-length=64k")
    ready = one(heard, events.PublicationReady)
    image = one(heard, events.AvailableImage)
    _, heard = asker.ask(c.RejectImage, image.correlation_id, 0, "not wanted")
    one(heard, events.OperationSuccess)
    told = one(heard, events.PublicationErrorEvent)
    assert told.registration_id == ready.registration_id
    assert told.error_code == ErrorCode.IMAGE_REJECTED
    assert told.message == "not wanted"
    assert one(heard, events.UnavailableImage).correlation_id == image.correlation_id
    with LogInspector(ready.log_file_name) as log:
        assert not log.metadata.is_connected
    assert driver.counters.value(SystemCounter.IMAGES_REJECTED) == 1
    _, heard = asker.ask(c.AddSubscription, 7, "aeron:ipc")
    assert not [e for e in heard if isinstance(e, events.AvailableImage)]
    back = await_event(driver, events.AvailableImage, timeout_ms=300)
    assert back.correlation_id == image.correlation_id
    with LogInspector(ready.log_file_name) as log:
        assert log.metadata.is_connected


def test_a_rejected_network_image_tells_its_publisher_and_ends(driver):
    asker = Asker(driver)
    asker.subscription(UDP)
    ready = asker.publication(UDP + "|term-length=64k")
    found = [e for e in asker.heard if isinstance(e, events.AvailableImage)]
    image = found[0] if found else await_event(driver, events.AvailableImage)
    asker.ask(c.RejectImage, image.correlation_id, 0, "not wanted")
    one(asker.heard, events.OperationSuccess)
    seen = list(asker.heard)
    for _ in range(400):
        driver.step(1)
        seen += driver.heard()
    told = [e for e in seen if isinstance(e, events.PublicationErrorEvent)]
    assert told
    assert {(e.registration_id, e.error_code, e.message) for e in told} == {
        (ready.registration_id, ErrorCode.IMAGE_REJECTED, "not wanted")
    }
    gone = [e for e in seen if isinstance(e, events.UnavailableImage)]
    assert gone[0].correlation_id == image.correlation_id
    assert driver.counters.value(SystemCounter.ERROR_FRAMES_SENT) >= 1
    assert driver.counters.value(SystemCounter.ERROR_FRAMES_RECEIVED) >= 1


def test_rejections_that_cannot_be_are_refused(driver):
    asker = Asker(driver)
    asker.subscription("aeron:ipc")
    answer = asker.refusal(c.RejectImage, 987_654, 0, "because")
    assert answer.error_code == ErrorCode.GENERIC_ERROR
    assert "987654" in answer.message
    answer = asker.refusal(c.RejectImage, 987_654, 0, "x" * 1024)
    assert "1024" in answer.message
    assert "1023" in answer.message
