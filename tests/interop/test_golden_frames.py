"""The same script for the official driver and for Volans: the same datagrams, byte for byte.

The other end is a plain socket that plays a receiver or a sender. Session and term ids are chosen
by the script, so nothing is left to differ but receiver ids, which are masked, and times, which
the transcript does not keep.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peer
import pytest
from wire_peer import HEARTBEAT, WirePeer, has, kind_of, shown

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fuzz"))

import hostile

import volans
from volans.protocol.counter_types import CounterType

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

SESSION, STREAM, INITIAL_TERM, TERM = 1001, 77, -7, -5
TERM_LENGTH = 65536
BEGIN = 1024
MTU = 1408
KINDS = ("official", "volans")
SETTINGS = {
    "AERON_THREADING_MODE": "SHARED",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "300ms",
    "AERON_RCV_STATUS_MESSAGE_TIMEOUT": "20ms",
    "AERON_IMAGE_LIVENESS_TIMEOUT": "1s",
    "AERON_TIMER_INTERVAL": "50ms",
    "AERON_NAK_UNICAST_RETRY_DELAY_RATIO": "20000",
}
END_OF_STREAM = 0x20
STATUS_END_OF_STREAM = 0x40
SEND_SETUP_FLAG = 0x80
SENT = ("DATA", "PAD")


def await_that(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 15.0
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.001)


@pytest.fixture(scope="module")
def directories(peer_ready: str) -> Iterator[dict[str, Path]]:
    with peer.scratch_directory() as base:
        drivers: list[peer.Driver] = []
        try:
            for kind in KINDS:
                drivers.append(peer.Driver(kind, base / kind, SETTINGS))
            yield {driver.kind: driver.directory for driver in drivers}
        finally:
            for driver in drivers:
                driver.stop()


def publisher_script(directory: Path) -> dict[str, list[bytes]]:
    """The driver sends, the test receives."""
    with WirePeer() as receiver, volans.connect(directory) as client:
        publication = client.add_exclusive_publication(
            f"aeron:udp?endpoint=127.0.0.1:{receiver.port}|session-id={SESSION}|mtu={MTU}"
            f"|init-term-id={INITIAL_TERM}|term-id={TERM}|term-offset={BEGIN}"
            f"|term-length={TERM_LENGTH}",
            STREAM,
        )
        term, offset = TERM, BEGIN

        def allow(window: int, flags: int = 0) -> None:
            receiver.send(
                hostile.status_message(SESSION, STREAM, term, offset, window, flags=flags)
            )

        def publish(messages: list[bytes]) -> None:
            for message in messages:
                await_that(lambda m=message: publication.offer(m), "room for a message")

        def here() -> bytes:
            return struct.pack("<i", offset)

        def move() -> None:
            nonlocal term, offset
            beyond = publication.position // TERM_LENGTH
            term, offset = INITIAL_TERM + beyond, publication.position % TERM_LENGTH

        def until_sent(kept: list[bytes]) -> bool:
            ends = []
            for each in kept:
                at = 0
                while at + 32 <= len(each):
                    length, begin, term_id = (
                        struct.unpack_from("<i", each, at)[0],
                        struct.unpack_from("<i", each, at + 8)[0],
                        struct.unpack_from("<i", each, at + 20)[0],
                    )
                    aligned = (length + 31) & ~31
                    ends.append((term_id - INITIAL_TERM) * TERM_LENGTH + begin + aligned)
                    at += aligned
            return max(ends, default=0) >= publication.position

        receiver.expect("setup", has("SETUP"), ("SETUP",))
        allow(0)
        await_that(lambda: publication.is_connected, "connected")
        receiver.expect("heartbeat", has(HEARTBEAT), (HEARTBEAT,))

        # While the window is shut, all is gathered: how frames share datagrams shows.
        publish([bytes([number]) * (number * 13) for number in range(1, 60)])
        receiver.forget()
        allow(TERM_LENGTH // 2)
        receiver.expect("gathered", until_sent, SENT)
        asked = (TERM, BEGIN + 64 * 5, 3 * MTU)
        retransmitted: Callable[[list[bytes]], bool] = lambda kept: len(kept) >= 3  # noqa: E731
        receiver.forget()
        receiver.send(hostile.nak(SESSION, STREAM, *asked))
        receiver.expect("retransmit", retransmitted, SENT)

        move()
        allow(TERM_LENGTH // 2)
        publish([bytes(range(256)) * 20])
        receiver.expect("fragmented", until_sent, SENT)

        # Over the end of the term, which is filled up with padding: sent as a header alone.
        for step in range(TERM_LENGTH // 4096):
            move()
            if term != TERM:
                break
            allow(TERM_LENGTH // 2)
            publish([b"p" * 4001])
            receiver.expect(f"towards the end {step}", until_sent, SENT)
        assert term == TERM + 1

        receiver.expect(
            "setup asked for",
            has("SETUP"),
            ("SETUP",),
            repeat=lambda: allow(TERM_LENGTH // 2, SEND_SETUP_FLAG),
        )
        receiver.expect(
            "round trip",
            has("RTTM"),
            ("RTTM",),
            repeat=lambda: receiver.send(hostile.round_trip(SESSION, STREAM, flags=0x80)),
        )
        receiver.forget()
        receiver.expect("quiet heartbeat", has(HEARTBEAT, here()), (HEARTBEAT,))
        publication.close()
        receiver.forget()
        receiver.expect(
            "end of stream",
            lambda kept: any(each[5] & END_OF_STREAM for each in kept),
            (HEARTBEAT,),
            repeat=lambda: allow(TERM_LENGTH // 2),
        )
        ends = receiver.transcript["end of stream"]
        receiver.transcript["end of stream"] = [each for each in ends if each[5] & END_OF_STREAM]
        return receiver.transcript


def received(client: volans.Client) -> int:
    """Up to where the driver has received the stream."""
    return max(
        (each.value for each in client.counters if each.type_id == CounterType.RECEIVER_HWM),
        default=0,
    )


def subscriber_script(directory: Path, port: int, options: str) -> dict[str, list[bytes]]:
    """The test sends, the driver receives."""
    with WirePeer(port) as sender, volans.connect(directory) as client:
        subscription = client.add_subscription(
            f"aeron:udp?endpoint=127.0.0.1:{port}{options}", STREAM
        )
        setup = hostile.setup(
            SESSION,
            STREAM,
            TERM,
            initial_term_id=INITIAL_TERM,
            term_offset=BEGIN,
            term_length=TERM_LENGTH,
            mtu=MTU,
        )

        def data(offset: int, payload: bytes = b"d" * 96) -> bytes:
            return hostile.data(SESSION, STREAM, TERM, offset, payload)

        def beat(offset: int, flags: int = 0xC0) -> Callable[[], None]:
            return lambda: sender.send(hostile.heartbeat(SESSION, STREAM, TERM, offset, flags))

        def position(offset: int) -> int:
            return (TERM - INITIAL_TERM) * TERM_LENGTH + offset

        def poll_until(count: int) -> None:
            got: list[bytes] = []

            def step() -> bool:
                subscription.poll(lambda buffer, _: got.append(bytes(buffer)))
                return len(got) >= count

            await_that(step, f"{count} messages")

        def consumed(offset: int) -> Callable[[bytes], bool]:
            return lambda each: struct.unpack_from("<i", each, 20)[0] == offset

        def expect_status(step: str, offset: int) -> None:
            sender.expect(step, has("SM"), ("SM",), only=consumed(offset), repeat=beat(offset))

        sender.send(data(BEGIN))
        sender.expect(
            "unknown session",
            has("SM"),
            ("SM",),
            only=lambda each: bool(each[5] & SEND_SETUP_FLAG),
            repeat=lambda: sender.send(data(BEGIN)),
        )
        sender.send(setup)
        expect_status("first status", BEGIN)
        await_that(lambda: subscription.images, "an image")
        at = BEGIN
        window = struct.unpack_from("<i", sender.transcript["first status"][0], 24)[0]
        for number in range(3):
            # A quarter of the window and a little more, consumed at once.
            for _ in range(window // 4 // MTU + 1):
                sender.send(data(at, b"d" * (MTU - 32)))
                at += MTU
            end = position(at)
            await_that(lambda end=end: received(client) >= end, "all has come")
            poll_until(window // 4 // MTU + 1)
            expect_status(f"consumed {number}", at)
        sender.forget()
        sender.send(data(at + 256))
        if "reliable=false" in options:
            poll_until(1)  # the gap is filled up, nothing is asked for
            at += 384
        else:
            sender.expect("gap", has("NAK"), ("NAK",), repeat=beat(at + 384))
            sender.send(data(at))
            sender.send(data(at + 128))
            poll_until(3)
            at += 384
            sender.forget()
            sender.expect("tail lost", has("NAK"), ("NAK",), repeat=beat(at + 512))
            sender.send(data(at, b"e" * 480))
            poll_until(1)
            at += 512
        if "reject" in options:
            (image,) = subscription.images
            image.reject("not wanted")
            sender.expect("rejected", has("ERR"), ("ERR",), repeat=beat(at))
            return sender.transcript
        beat_of_end = beat(at, 0xC0 | END_OF_STREAM)
        sender.forget()
        beat_of_end()
        sender.expect(
            "end of stream",
            has("SM"),
            ("SM",),
            only=lambda each: bool(each[5] & STATUS_END_OF_STREAM),
            repeat=beat_of_end,
        )
        await_that(lambda: not subscription.images, "the image ends")
        return sender.transcript


def differences(
    ours: dict[str, list[bytes]], theirs: dict[str, list[bytes]]
) -> list[tuple[str, str, str]]:
    assert list(ours) == list(theirs)
    return [
        (step, f"volans: {shown(ours[step])}", f"official: {shown(theirs[step])}")
        for step in theirs
        if ours[step] != theirs[step]
    ]


def test_what_a_publisher_sends(directories: dict[str, Path]) -> None:
    theirs, ours = (publisher_script(directories[kind]) for kind in KINDS)
    assert {"setup", "heartbeat", "gathered", "retransmit", "end of stream"} <= set(theirs)
    assert any(len(each) > MTU // 2 for each in theirs["gathered"])
    assert differences(ours, theirs) == []


@pytest.mark.parametrize(
    "options",
    ["", "|gtag=5", "|reliable=false", "|rcv-wnd=8k", "|alias=reject", "|gtag=5|alias=reject"],
)
def test_what_a_subscriber_answers(
    directories: dict[str, Path], options: str, free_port: Callable[[], int]
) -> None:
    theirs, ours = (subscriber_script(directories[kind], free_port(), options) for kind in KINDS)
    assert kind_of(theirs["first status"][0]) == "SM"
    assert differences(ours, theirs) == []
