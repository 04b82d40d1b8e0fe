"""Publications as the control plane makes, shares, refuses, drains and frees them."""

from __future__ import annotations

import pytest
from conductor_kit import (
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

MEDIA = ("aeron:ipc?", UDP + "|")
__all__ = ["driver"]


@pytest.mark.parametrize("media", MEDIA)
def test_a_concurrent_publication_is_shared_and_an_exclusive_one_is_not(driver, media):
    asker, other = Asker(driver), Asker(driver, OTHER_CLIENT)
    first = asker.publication(media + "term-length=64k")
    again = other.publication(media)
    assert again.registration_id == first.registration_id == first.correlation_id
    assert again.correlation_id != first.correlation_id
    assert again.log_file_name == first.log_file_name
    assert again.session_id == first.session_id
    exclusive = asker.exclusive(media)
    assert exclusive.registration_id == exclusive.correlation_id
    assert exclusive.session_id != first.session_id
    assert exclusive.log_file_name != first.log_file_name
    assert asker.publication(media, 8).registration_id != first.registration_id


@pytest.mark.parametrize("media", MEDIA)
def test_what_the_channel_says_must_be_what_is_there(driver, media):
    asker = Asker(driver)
    asker.publication(media + "session-id=5|term-length=128k|mtu=2k")
    for options in (
        "mtu=4k",
        "term-length=64k",
        "session-id=6",
        "init-term-id=1|term-id=1|term-offset=0",
    ):
        answer = asker.refusal(c.AddPublication, 7, media + options)
        assert answer.error_code == ErrorCode.INVALID_CHANNEL
        assert "existing" in answer.message
    assert asker.publication(media + "session-id=5|term-length=128k|mtu=2k").session_id == 5


@pytest.mark.parametrize("media", MEDIA)
def test_an_explicit_session_id_is_given_once(driver, media):
    asker = Asker(driver)
    assert asker.exclusive(media + "session-id=77").session_id == 77
    answer = asker.refusal(c.AddExclusivePublication, 7, media + "session-id=77")
    assert answer.error_code == ErrorCode.INVALID_CHANNEL
    assert "77" in answer.message
    assert asker.exclusive(media + "session-id=77", 8).session_id == 77


def test_the_start_of_a_shared_publication_may_be_repeated(driver):
    asker = Asker(driver)
    ready = asker.publication("aeron:ipc?term-length=64k")
    initial = LogInspector(ready.log_file_name).metadata.initial_term_id
    start = f"init-term-id={initial}|term-id={initial}|term-offset=0"
    again = asker.publication(f"aeron:ipc?term-length=64k|{start}")
    assert again.registration_id == ready.registration_id


@pytest.mark.parametrize("media", MEDIA)
def test_a_publication_starts_where_its_channel_says(driver, media):
    asker = Asker(driver)
    start = "term-length=64k|init-term-id=-3|term-id=1|term-offset=96"
    ready = asker.exclusive(media + start)
    position = 4 * 65536 + 96
    with LogInspector(ready.log_file_name) as log:
        assert log.metadata.initial_term_id == -3
        assert log.metadata.producer_position == position
    driver.step(20)
    by_type = {
        driver.counters.type_id(counter_id): driver.counters.value(counter_id)
        for counter_id in driver.counters.allocated_ids()
        if driver.counters.registration_id(counter_id) == ready.registration_id
    }
    assert by_type[CounterType.PUBLISHER_POSITION] == position
    assert by_type[CounterType.PUBLISHER_LIMIT] == position  # nobody reads


@pytest.mark.parametrize("media", MEDIA)
@pytest.mark.parametrize(
    "options",
    [
        "term-length=100000",
        "term-length=64k|pub-wnd=1k",
        "term-length=64k|pub-wnd=64k",
        "mtu=100",
        "mtu=65536",
        "init-term-id=1|term-id=2",
        "init-term-id=2|term-id=1|term-offset=0",
        "init-term-id=1|term-id=1|term-offset=31",
        "term-length=64k|init-term-id=1|term-id=1|term-offset=65568",
        "linger=soon",
        "sparse=perhaps",
    ],
)
def test_bad_parameters_are_refused_with_a_reason_and_leave_nothing(driver, media, options):
    asker = Asker(driver)
    answer = asker.refusal(c.AddPublication, 7, media + options)
    assert answer.error_code == ErrorCode.INVALID_CHANNEL
    assert any(item.split("=")[0] in answer.message for item in options.split("|"))
    assert driver.files() == []
    assert driver.counters.find_by_type(CounterType.PUBLISHER_LIMIT) == []
    assert len(driver.error_texts()) == 1


def test_the_window_of_a_publication_is_honoured(driver):
    asker = Asker(driver)
    asker.subscription("aeron:ipc")
    ready = asker.publication("aeron:ipc?term-length=64k|mtu=2k|pub-wnd=8k")
    driver.step(20)
    assert driver.counters.value(ready.position_limit_counter_id) == 8192
    with LogInspector(ready.log_file_name) as log:
        assert log.metadata.publication_window_length == 8192


def test_a_publication_whose_last_user_left_is_freed(driver):
    asker, other = Asker(driver), Asker(driver, OTHER_CLIENT)
    first, second = asker.publication("aeron:ipc"), other.publication("aeron:ipc")
    _, heard = asker.ask(c.RemovePublication, first.correlation_id, False)
    one(heard, events.OperationSuccess)
    driver.pass_time(100)
    assert len(driver.files()) == 1
    _, heard = other.ask(c.RemovePublication, second.correlation_id, False)
    one(heard, events.OperationSuccess)
    driver.pass_time(100)
    assert driver.files() == []
    assert driver.counters.find_by_type(CounterType.PUBLISHER_LIMIT) == []


def test_removing_twice_or_what_is_anothers_is_refused(driver):
    asker, other = Asker(driver), Asker(driver, OTHER_CLIENT)
    ready = asker.publication("aeron:ipc")
    other.subscription("aeron:ipc", 9)
    for who in (other, other):
        answer = who.refusal(c.RemovePublication, ready.correlation_id, False)
        assert answer.error_code == ErrorCode.UNKNOWN_PUBLICATION
    asker.ask(c.RemovePublication, ready.correlation_id, False)
    answer = asker.refusal(c.RemovePublication, ready.correlation_id, False)
    assert answer.error_code == ErrorCode.UNKNOWN_PUBLICATION


def test_a_network_publication_lingers_for_as_long_as_its_channel_says(driver):
    asker = Asker(driver)
    ready = asker.publication(UDP + "|linger=200ms")
    asker.ask(c.RemovePublication, ready.correlation_id, False)
    driver.pass_time(150)
    assert len(driver.files()) == 1
    driver.pass_time(150)
    assert driver.files() == []
    assert driver.counters.find_by_type(CounterType.SEND_CHANNEL_STATUS) == []


@pytest.mark.parametrize("media", MEDIA)
def test_a_revoked_publication_ends_at_once(driver, media):
    asker = Asker(driver)
    asker.subscription(media.rstrip("?|"))
    _, heard = asker.ask(c.AddExclusivePublication, 7, media + "term-length=64k|linger=300ms")
    ready = one(heard, events.ExclusivePublicationReady)
    if not [event for event in heard if isinstance(event, events.AvailableImage)]:
        await_event(driver, events.AvailableImage)
    asker.ask(c.RemovePublication, ready.correlation_id, True)
    await_event(driver, events.UnavailableImage)
    counters = driver.counters
    assert counters.value(SystemCounter.PUBLICATIONS_REVOKED) == 1
    if media == MEDIA[1]:
        assert counters.value(SystemCounter.PUBLICATION_IMAGES_REVOKED) == 1
    driver.pass_time(800)
    assert driver.files() == []


def test_session_ids_go_on_and_skip_the_reserved_and_the_used():
    reserved = {
        "publication_reserved_session_id_low": "-1",
        "publication_reserved_session_id_high": "1000",
    }
    with invoked_driver(**reserved) as driver:
        asker = Asker(driver)
        _, heard = asker.ask(c.GetNextAvailableSessionId, 7)
        first = one(heard, events.NextAvailableSessionId).next_session_id
        asker.exclusive(f"aeron:ipc?session-id={first + 1}")
        _, heard = asker.ask(c.GetNextAvailableSessionId, 7)
        assert one(heard, events.NextAvailableSessionId).next_session_id == first + 2
        assert asker.exclusive("aeron:ipc").session_id == first + 3


def test_spies_alone_connect_a_publication_only_when_told(driver):
    asker = Asker(driver)
    asker.subscription("aeron-spy:" + UDP)
    quiet = asker.exclusive(UDP + "|ssc=false")
    asker.heard.clear()
    loud = asker.exclusive(UDP + "|ssc=true")
    driver.pass_time(300)
    with LogInspector(quiet.log_file_name) as log:
        assert not log.metadata.is_connected
    with LogInspector(loud.log_file_name) as log:
        assert log.metadata.is_connected
    assert driver.counters.value(loud.position_limit_counter_id) > 0
    assert driver.counters.value(quiet.position_limit_counter_id) == 0


def test_a_publication_is_no_spy(driver):
    answer = Asker(driver).refusal(c.AddPublication, 7, "aeron-spy:" + UDP)
    assert answer.error_code == ErrorCode.INVALID_CHANNEL
    assert "aeron-spy" in answer.message
