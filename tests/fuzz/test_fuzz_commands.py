"""A driver's control plane under hostile commands: an answer for each, and it goes on serving."""

from __future__ import annotations

import random
import struct

import amount
import pytest
from invoked_driver import HOST, InvokedDriver, invoked_driver

from volans.protocol import commands as c
from volans.protocol import events
from volans.protocol.counter_types import SystemCounter
from volans.protocol.error_codes import ErrorCode

CLIENT = 4242
UDP = f"aeron:udp?endpoint={HOST}:40123"
CHANNELS = (
    "aeron:ipc",
    "aeron:ipc",
    UDP,
    "aeron:udp?endpoint=10.0.0.2:40124",
    "aeron-spy:" + UDP,
    "aeron-spy:aeron:ipc",
    "",
    "aeron:",
    "aeron:ipc?term-length=1",
    "aeron:ipc?term-length=-65536|mtu=0",
    "aeron:ipc?mtu=99999999999999999999",
    "aeron:ipc?session-id=5",
    "aeron:udp?endpoint=10.0.0.1:99999",
    "aeron:udp?endpoint=nowhere.invalid:1",
    "aeron:udp?endpoint=[::1",
    "aeron:udp?endpoint=10.0.0.1:40123|interface=0.0.0.0/77",
    "aeron:udp?control-mode=dynamic|control=10.0.0.1:1",
    "aeron:ipc?init-term-id=5|term-id=4|term-offset=64",
    "aeron:ipc?init-term-id=0|term-id=2147483647|term-offset=65504|term-length=64k",
    "aeron:ipc?" + "x" * 4000,
    "aeron:ipc?alias=" + "\u00fc\u4e2d" * 500,
    "\udcff\udcfe\udc80",
    "aeron:ipc?alias=\udcff\udc80",
    "tcp://10.0.0.1",
    "\0" * 20,
)
WORDS = (0, 1, -1, 3, 4, 16, 112, 113, 380, 381, 65536, (1 << 31) - 1, -(1 << 31), 1 << 20)


def first_answer(heard: list[events.Event], correlation_id: int) -> events.Event | None:
    for event in heard:
        for name in ("correlation_id", "offending_correlation_id"):
            if getattr(event, name, None) == correlation_id:
                return event
    return None


def serves(driver: InvokedDriver, stream_id: int = 900) -> None:
    """A publication and a subscription can be made and meet."""
    client_id = driver.ring.next_correlation_id()
    subscription = driver.ring.next_correlation_id()
    ready = driver.ask(c.AddSubscription(client_id, subscription, stream_id, "aeron:ipc"))
    assert isinstance(first_answer(ready, subscription), events.SubscriptionReady), ready
    publication = driver.ring.next_correlation_id()
    heard = driver.ask(c.AddExclusivePublication(client_id, publication, stream_id, "aeron:ipc"))
    assert any(isinstance(event, events.AvailableImage) for event in heard), heard


def random_command(rng: random.Random, ids: list[int], client_ids: list[int]) -> c.Command:
    client, correlation = rng.choice(client_ids), rng.choice((*ids, rng.getrandbits(40)))
    registration = rng.choice((*ids, rng.choice(WORDS)))
    channel, stream = rng.choice(CHANNELS), rng.choice((1, 2, *WORDS[:3]))
    text = rng.choice(("label", "x" * 381, "\u00fc" * 200, "\udcff", ""))
    key = rng.randbytes(rng.choice((0, 4, 112, 113, 400)))
    ids.append(correlation)
    del ids[:-40]
    return rng.choice(
        (
            c.AddPublication(client, correlation, stream, channel),
            c.AddPublication(client, correlation, stream, channel),
            c.AddExclusivePublication(client, correlation, stream, channel),
            c.AddSubscription(client, correlation, stream, channel),
            c.AddSubscription(client, correlation, stream, channel),
            c.RemovePublication(client, correlation, registration, rng.random() < 0.5),
            c.RemoveSubscription(client, correlation, registration),
            c.AddCounter(client, correlation, rng.choice(WORDS), key, text),
            c.AddStaticCounter(client, correlation, registration, rng.choice((0, 7)), key, text),
            c.RemoveCounter(client, correlation, registration),
            c.ClientKeepalive(client, correlation),
            c.ClientClose(client, correlation),
            c.TerminateDriver(client, correlation, rng.randbytes(8)),
            c.RejectImage(client, correlation, registration, rng.choice(WORDS), text),
            c.AddDestination(client, correlation, registration, channel),
            c.RemoveDestination(client, correlation, registration, channel),
            c.RemoveDestinationById(client, correlation, registration, registration),
            c.AddReceiveDestination(client, correlation, registration, channel),
            c.RemoveReceiveDestination(client, correlation, registration, channel),
            c.GetNextAvailableSessionId(client, correlation, stream),
        )
    )


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_commands_leaves_the_driver_serving_and_clean(seed):
    rng = random.Random(seed)
    with invoked_driver(seed, client_liveness_timeout_ns="60ms") as driver:
        system_counters = len(driver.counters)
        ids: list[int] = [1, 2]
        clients = [CLIENT, CLIENT + 1, 0, -1]
        for count in range(amount.scaled(700)):
            command = random_command(rng, ids, clients)
            payload = bytearray(command.encode())
            msg_type_id = command.msg_type_id
            how = rng.random()
            if how < 0.15:
                for _ in range(2):
                    at = rng.randrange(0, len(payload) // 4) * 4
                    struct.pack_into("=i", payload, at, rng.choice(WORDS))
            elif how < 0.2:
                del payload[rng.randrange(len(payload)) :]
            elif how < 0.25:
                msg_type_id = rng.choice((19, 0x7FFFFFFF, 0x0F01, 77))
            elif how < 0.28:
                payload += rng.randbytes(6000)
            driver.tell(msg_type_id, bytes(payload))
            driver.step(rng.choice((0, 1, 3)), cycles=1)
            if count % 50 == 0:
                driver.heard()
        serves(driver)
        driver.pass_time(600)
        assert driver.driver.client_count == 0
        assert driver.files() == []
        driver.pass_time(100)
        statics = [counter for counter in driver.counters if counter.owner_id == -1]
        left = [counter for counter in driver.counters if counter.owner_id != -1]
        assert [(counter.type_id, counter.label) for counter in left if counter.type_id] == []
        assert len(statics) >= system_counters
        # Whatever was asked for: refusals, and never a fault of the driver's own.
        own_faults = ("KeyError", "AttributeError", "TypeError", "AssertionError", "StopIteration")
        faults = [text for text in driver.error_texts() if text.startswith(own_faults)]
        assert faults == []


@pytest.mark.parametrize("channel", CHANNELS[6:])
def test_every_bad_channel_is_answered_with_an_error(channel):
    with invoked_driver() as driver:
        for number, make in enumerate(
            (c.AddPublication, c.AddExclusivePublication, c.AddSubscription)
        ):
            answer = first_answer(driver.ask(make(CLIENT, 70 + number, 1, channel)), 70 + number)
            if isinstance(answer, events.ErrorResponse):
                assert answer.message
                assert driver.error_texts()
            else:
                assert answer is not None
        serves(driver)


@pytest.mark.parametrize(
    "command",
    [
        c.RemovePublication(CLIENT, 9, 12345),
        c.RemoveSubscription(CLIENT, 9, 12345),
        c.RemoveCounter(CLIENT, 9, -1),
        c.AddDestination(CLIENT, 9, 12345, "aeron:udp?endpoint=10.0.0.1:1"),
        c.RemoveDestinationById(CLIENT, 9, 12345, 7),
        c.RejectImage(CLIENT, 9, 12345, 0, "no"),
        c.AddCounter(CLIENT, 9, 1001, bytes(113), "label"),
        c.AddCounter(CLIENT, 9, 1001, b"", "x" * 381),
        c.AddCounter(CLIENT, 9, 1001, b"", "\udcff"),
        c.AddStaticCounter(CLIENT, 9, 1, 1001, bytes(200), "label"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_refusals_say_why(command):
    with invoked_driver() as driver:
        answer = first_answer(driver.ask(command), 9)
        assert isinstance(answer, events.ErrorResponse)
        assert len(answer.message) > 10
        assert any(answer.message in text for text in driver.error_texts())
        serves(driver)


def test_malformed_and_unknown_commands_are_answered():
    with invoked_driver() as driver:
        ids = struct.pack("=qq", CLIENT, 31)
        for msg_type_id, payload, code in (
            (1, ids + struct.pack("=ii", 1, -5), ErrorCode.MALFORMED_COMMAND),
            (1, ids + struct.pack("=ii", 1, 1 << 30) + b"aeron:ipc", ErrorCode.MALFORMED_COMMAND),
            (4, ids, ErrorCode.MALFORMED_COMMAND),
            (9, ids + struct.pack("=iii", 5, -1, 0), ErrorCode.MALFORMED_COMMAND),
            (99, ids, ErrorCode.UNKNOWN_COMMAND_TYPE_ID),
        ):
            driver.heard()
            assert driver.tell(msg_type_id, payload)
            driver.step()
            answer = first_answer(driver.heard(), 31)
            assert isinstance(answer, events.ErrorResponse)
            assert answer.error_code == code
        driver.tell(1, b"short")  # nobody to answer, yet it is logged
        driver.step()
        assert any("malformed" in text for text in driver.error_texts())
        serves(driver)


@pytest.mark.parametrize("channel", ["aeron:ipc", UDP])
def test_a_registration_id_in_use_is_refused_and_nothing_leaks(channel):
    with invoked_driver() as driver:
        before = len(driver.counters)
        for make in (c.AddPublication, c.AddSubscription):
            first = first_answer(driver.ask(make(CLIENT, 50, 5, channel)), 50)
            assert not isinstance(first, events.ErrorResponse)
            for client in (CLIENT, CLIENT + 1):
                for again in (c.AddPublication, c.AddExclusivePublication, c.AddSubscription):
                    refused = first_answer(driver.ask(again(client, 50, 5, channel)), 50)
                    assert isinstance(refused, events.ErrorResponse)
                    assert "50" in refused.message
                refused = first_answer(driver.ask(c.AddCounter(client, 50, 1001, b"", "l")), 50)
                assert isinstance(refused, events.ErrorResponse)
            remove = c.RemovePublication if make is c.AddPublication else c.RemoveSubscription
            driver.ask(remove(CLIENT, 51, 50))
            driver.pass_time(60)
        driver.pass_time(500)
        assert driver.files() == []
        assert len(driver.counters) == before


@pytest.mark.parametrize("channel", ["aeron:ipc", UDP])
def test_exhausted_counters_are_an_answer_and_not_the_end(channel):
    with invoked_driver() as driver:
        for correlation_id in range(1000, 20_000):
            driver.tell(9, c.AddCounter(CLIENT, correlation_id, 1001, b"", "filler").encode())
            if correlation_id % 20 == 0:
                driver.step(1, cycles=4)
                if any(isinstance(event, events.ErrorResponse) for event in driver.heard()):
                    break
            driver.tell(6, c.ClientKeepalive(CLIENT, 0).encode())
        driver.step()
        files, counters = driver.files(), len(driver.counters)
        for spare in range(9):
            for make in (c.AddPublication, c.AddExclusivePublication, c.AddSubscription):
                driver.tell(6, c.ClientKeepalive(CLIENT, 0).encode())
                answer = first_answer(driver.ask(make(CLIENT, 50, 5, channel)), 50)
                assert answer is not None, f"{make.__name__} unanswered with {spare} left"
                if isinstance(answer, events.ErrorResponse):
                    assert "AERON_COUNTERS_BUFFER_LENGTH" in answer.message
                else:
                    remove = c.RemoveSubscription if make is c.AddSubscription else None
                    driver.ask((remove or c.RemovePublication)(CLIENT, 51, 50))
                    for _ in range(20):
                        driver.tell(6, c.ClientKeepalive(CLIENT, 0).encode())
                        driver.step(5)
                assert driver.files() == files
                assert len(driver.counters) == counters - spare
            driver.ask(c.RemoveCounter(CLIENT, 51, 1000 + spare))
            for _ in range(8):
                driver.tell(6, c.ClientKeepalive(CLIENT, 0).encode())
                driver.step(5)
        driver.pass_time(600)
        serves(driver)


def test_a_record_claimed_and_never_committed_is_stepped_over():
    with invoked_driver() as driver:
        region = driver.ring.try_claim(1, 100)
        driver.tell(6, c.ClientKeepalive(CLIENT, 0).encode())
        driver.pass_time(50)
        assert driver.ring.consumer_position < driver.ring.producer_position
        driver.pass_time(300)
        assert driver.counters.value(SystemCounter.UNBLOCKED_COMMANDS) == 1
        serves(driver)
        region.commit()  # the dead wakes up: harmless
        serves(driver, 901)


@pytest.mark.parametrize("length", [1, 7, 1 << 30, (1 << 31) - 1, 70_000])
def test_a_corrupt_record_is_skipped_and_logged(length):
    with invoked_driver() as driver:
        region = driver.ring.try_claim(1, 56)
        at = driver.ring.producer_position - 64
        offset = driver.cnc.layout.to_driver_buffer_offset + at % driver.ring.capacity
        region.commit()
        struct.pack_into("=i", driver.cnc.mapped.view(offset, 4), 0, length)
        driver.step()
        assert driver.ring.consumer_position == driver.ring.producer_position
        assert any("corrupt" in text for text in driver.error_texts()), driver.error_texts()
        serves(driver)


def test_errors_of_any_text_are_logged():
    """Texts of clients are bytes to the protocol; those that are no UTF-8 come as surrogates."""
    with invoked_driver() as driver:
        driver.driver._shared.log_error("refused: \udcff\udc80", driver.now_ms)
        [text] = driver.error_texts()
        assert text == r"refused: \udcff\udc80"


def test_one_message_of_an_agent_that_fails_does_not_cost_the_others(monkeypatch):
    from volans.driver.conductor import conductor

    decode, failures = conductor.decode_agent_message, ["once"]

    def fail_once(msg_type_id: int, payload: bytes):
        message = decode(msg_type_id, payload)
        if failures and getattr(message, "change", "") == "ipc_done":
            raise RuntimeError(failures.pop())
        return message

    with invoked_driver() as driver:
        for number in (60, 61, 62):
            driver.ask(c.AddExclusivePublication(CLIENT, number, 5, "aeron:ipc"))
        assert len(driver.files()) == 3
        monkeypatch.setattr(conductor, "decode_agent_message", fail_once)
        driver.pass_time(600)
        assert not failures
        assert any("once" in text for text in driver.error_texts())
        assert len(driver.files()) == 1, "the others ended in the same duty cycle"
