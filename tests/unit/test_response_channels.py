"""Response channels on one invoked driver that is requester and responder at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conductor_kit import (
    HOST,
    OTHER_CLIENT,
    UDP,
    Asker,
    ErrorCode,
    InvokedDriver,
    LogInspector,
    await_event,
    c,
    events,
    invoked_driver,
    one,
)

REQUEST_STREAM, RESPONSE_STREAM = 7, 8
RESPONSE = f"aeron:udp?control-mode=response|control={HOST}:40200"
IPC_RESPONSE = "aeron:ipc?control-mode=response"


@pytest.fixture
def driver() -> Iterator[InvokedDriver]:
    """Its streams live on between heartbeats."""
    with invoked_driver(
        client_liveness_timeout_ns="10s",
        image_liveness_timeout_ns="10s",
        publication_linger_timeout_ns="300ms",
    ) as running:
        yield running


class Exchange:
    """A responder that hears requests, and a requester with its subscription for the answer."""

    def __init__(self, driver: InvokedDriver) -> None:
        self.driver = driver
        self.responder = Asker(driver)
        self.requester = Asker(driver, OTHER_CLIENT)
        self.requests = self.responder.subscription(UDP, REQUEST_STREAM)
        self.answers = self.requester.subscription(RESPONSE, RESPONSE_STREAM)

    def request(self) -> events.AvailableImage:
        """The responder's image of a new request stream."""
        self.requester.exclusive(f"{UDP}|response-correlation-id={self.answers}", REQUEST_STREAM)
        image = await_event(self.driver, events.AvailableImage)
        assert image.subscription_registration_id == self.requests
        return image

    def respond(self, image: events.AvailableImage) -> events.ExclusivePublicationReady:
        return self.responder.exclusive(answer_to(image), RESPONSE_STREAM)


def answer_to(image: events.AvailableImage) -> str:
    return f"{RESPONSE}|response-correlation-id={image.correlation_id}"


def test_the_answer_comes_to_who_asked(driver: InvokedDriver) -> None:
    exchange = Exchange(driver)
    image = exchange.request()
    response = exchange.respond(image)
    answer = await_event(driver, events.AvailableImage)
    assert answer.subscription_registration_id == exchange.answers
    assert answer.session_id == response.session_id
    driver.pass_time(200)
    assert driver.heard() == []  # nobody else, and not again


def test_each_requester_gets_its_own_answer(driver: InvokedDriver) -> None:
    first, second = Exchange(driver), Exchange(driver)
    images = {}
    for exchange in (first, second):
        exchange.requester.exclusive(
            f"{UDP}|response-correlation-id={exchange.answers}", REQUEST_STREAM
        )
        heard = []
        for _ in range(300):
            driver.step(1)
            heard += driver.heard()
        images[exchange] = next(
            event
            for event in heard
            if isinstance(event, events.AvailableImage)
            and event.subscription_registration_id == first.requests
        )
    for exchange in (second, first):
        response = exchange.respond(images[exchange])
        answer = await_event(driver, events.AvailableImage)
        assert answer.subscription_registration_id == exchange.answers
        assert answer.session_id == response.session_id


def test_answers_of_other_sessions_are_not_heard(driver: InvokedDriver) -> None:
    """Before its session is known, and after."""
    exchange = Exchange(driver)
    image = exchange.request()
    exchange.respond(image)
    await_event(driver, events.AvailableImage)
    exchange.responder.exclusive(f"{RESPONSE}|response-correlation-id=prototype", RESPONSE_STREAM)
    driver.pass_time(300)
    assert not [e for e in driver.heard() if isinstance(e, events.AvailableImage)]


def test_another_answer_is_taken_when_the_first_has_gone(driver: InvokedDriver) -> None:
    exchange = Exchange(driver)
    image = exchange.request()
    first = exchange.respond(image)
    await_event(driver, events.AvailableImage)
    exchange.responder.ask(c.RemovePublication, first.registration_id, True)
    gone = await_event(driver, events.UnavailableImage)
    assert gone.subscription_registration_id == exchange.answers
    second = exchange.respond(image)
    assert second.session_id != first.session_id
    answer = await_event(driver, events.AvailableImage)
    assert answer.session_id == second.session_id
    assert answer.subscription_registration_id == exchange.answers


def test_a_running_answer_is_not_changed_for_another_one(driver: InvokedDriver) -> None:
    exchange = Exchange(driver)
    image = exchange.request()
    exchange.respond(image)
    await_event(driver, events.AvailableImage)
    exchange.respond(image)
    driver.pass_time(300)
    assert not [
        event
        for event in driver.heard()
        if isinstance(event, events.AvailableImage | events.UnavailableImage)
    ]


def test_logs_tell_what_they_are(driver: InvokedDriver) -> None:
    exchange = Exchange(driver)
    image = exchange.request()
    response = exchange.respond(image)
    answer = await_event(driver, events.AvailableImage)
    with LogInspector(response.log_file_name) as log:
        assert log.metadata.is_response
        assert log.metadata.response_correlation_id == image.correlation_id
    with LogInspector(answer.log_file_name) as log:
        assert log.metadata.is_response
    with LogInspector(image.log_file_name) as log:
        assert not log.metadata.is_response


def test_a_prototype_is_small_and_waits_for_nobody(driver: InvokedDriver) -> None:
    asker = Asker(driver)
    ready = asker.publication(
        f"{RESPONSE}|response-correlation-id=prototype|term-length=1m", RESPONSE_STREAM
    )
    with LogInspector(ready.log_file_name) as log:
        assert log.metadata.term_length == 64 * 1024
        assert log.metadata.response_correlation_id == -2


def test_shared_publications_answer_one_request(driver: InvokedDriver) -> None:
    exchange = Exchange(driver)
    image = exchange.request()
    prototype = exchange.responder.publication(
        f"{RESPONSE}|response-correlation-id=prototype", RESPONSE_STREAM
    )
    first, again = (
        exchange.responder.publication(answer_to(image), RESPONSE_STREAM) for _ in range(2)
    )
    assert again.registration_id == first.registration_id
    assert prototype.registration_id != first.registration_id
    assert prototype.session_id != first.session_id


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        (f"{UDP}|response-correlation-id=987", "unable to find response subscription"),
        (f"{UDP}|response-correlation-id={{requests}}", "unable to find response subscription"),
        (RESPONSE, "no response-correlation-id set"),
        (f"{RESPONSE}|response-correlation-id=987", "image.correlationId=987 not found"),
        (f"{RESPONSE}|response-correlation-id={{plain}}", "did not request a response channel"),
    ],
)
def test_what_does_not_fit_is_refused(driver: InvokedDriver, channel: str, words: str) -> None:
    exchange = Exchange(driver)
    exchange.requester.exclusive(UDP, REQUEST_STREAM)
    plain = await_event(driver, events.AvailableImage)
    channel = channel.format(requests=exchange.requests, plain=plain.correlation_id)
    refusal = exchange.responder.refusal(c.AddExclusivePublication, REQUEST_STREAM, channel)
    assert refusal.error_code == ErrorCode.GENERIC_ERROR
    assert words in refusal.message


def test_a_response_subscription_needs_the_responders_address(driver: InvokedDriver) -> None:
    refusal = Asker(driver).refusal(c.AddSubscription, 7, "aeron:udp?control-mode=response")
    assert refusal.error_code == ErrorCode.INVALID_CHANNEL
    assert "control=host:port" in refusal.message


def test_destinations_cannot_be_responses(driver: InvokedDriver) -> None:
    asker = Asker(driver)
    ready = asker.exclusive("aeron:udp?control-mode=manual")
    refusal = asker.refusal(
        c.AddDestination, ready.registration_id, f"{RESPONSE}|endpoint={HOST}:40201"
    )
    assert refusal.error_code == ErrorCode.INVALID_CHANNEL


def test_over_ipc_the_answer_comes_to_who_asked(driver: InvokedDriver) -> None:
    responder, requester = Asker(driver), Asker(driver, OTHER_CLIENT)
    requests = responder.subscription("aeron:ipc", REQUEST_STREAM)
    answers = [requester.subscription(IPC_RESPONSE, RESPONSE_STREAM) for _ in range(2)]
    for answer in answers:
        requester.exclusive(f"aeron:ipc?response-correlation-id={answer}", REQUEST_STREAM)
        image = one(requester.heard, events.AvailableImage)
        assert image.subscription_registration_id == requests
        response = responder.exclusive(
            f"{IPC_RESPONSE}|response-correlation-id={image.correlation_id}", RESPONSE_STREAM
        )
        got = one(responder.heard, events.AvailableImage)
        assert got.subscription_registration_id == answer
        assert got.session_id == response.session_id
    # A stream that answers nobody is heard by neither.
    responder.exclusive(f"{IPC_RESPONSE}|response-correlation-id=prototype", RESPONSE_STREAM)
    assert not [event for event in responder.heard if isinstance(event, events.AvailableImage)]


def test_a_response_endpoint_is_taken_and_means_nothing_to_a_driver(driver: InvokedDriver) -> None:
    asker = Asker(driver)
    assert asker.subscription(f"{UDP}|response-endpoint={HOST}:40300")
    ready = asker.publication(f"{UDP}|response-endpoint={HOST}:40300")
    with LogInspector(ready.log_file_name) as log:
        assert log.metadata.response_correlation_id == -1


@pytest.mark.parametrize("seed", range(1, 7))
def test_the_answer_comes_through_a_lossy_network(seed: int) -> None:
    """Whatever of SETUP, RSP_SETUP and the requests for them is lost is said again."""
    with invoked_driver(
        seed,
        client_liveness_timeout_ns="14s",
        image_liveness_timeout_ns="10s",
        publication_linger_timeout_ns="300ms",
    ) as driver:
        driver.network.configure(HOST, HOST, loss=0.6)
        exchange = Exchange(driver)
        response = exchange.respond(exchange.request())
        answer = await_event(driver, events.AvailableImage, timeout_ms=10_000)
        assert answer.subscription_registration_id == exchange.answers
        assert answer.session_id == response.session_id
        assert driver.network.stats["lost"] > 0
