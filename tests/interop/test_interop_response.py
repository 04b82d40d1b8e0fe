"""Requests and their answers over response channels, between drivers and clients of either kind."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import peer
import pytest
from wire_peer import SEND_SETUP, SETUP, SM, WirePeer, has, kind_of

import volans

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

KINDS = ("volans", "official")
SETTINGS = {
    "AERON_TERM_BUFFER_LENGTH": "64k",
    "AERON_IPC_TERM_BUFFER_LENGTH": "64k",
    "AERON_THREADING_MODE": "SHARED",
    "AERON_TIMER_INTERVAL": "100ms",
}


@pytest.fixture(scope="module")
def drivers(need: Callable[..., None]) -> Iterator[dict[str, peer.Driver]]:
    """One driver of each kind."""
    need("volans")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(peer.scratch_directory())
        yield {
            kind: stack.enter_context(peer.Driver(kind, directory / kind, SETTINGS))
            for kind in KINDS
        }


@pytest.fixture
def clients(drivers: dict[str, peer.Driver]) -> Iterator[dict[str, volans.Client]]:
    """A Volans client of each driver."""
    with contextlib.ExitStack() as stack:
        yield {
            kind: stack.enter_context(volans.connect(driver.directory))
            for kind, driver in drivers.items()
        }


def await_that(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not true within {timeout_s} s"
        time.sleep(0.001)
    return result


def with_reference(channel: str, correlation_id: int) -> str:
    separator = "|" if "?" in channel else "?"
    return f"{channel}{separator}response-correlation-id={correlation_id}"


def one_message(subscription: volans.Subscription) -> bytes:
    got: list[bytes] = []

    def poll() -> bool:
        subscription.poll(lambda buffer, _header: got.append(bytes(buffer)))
        return bool(got)

    await_that(poll)
    return got[0]


class Requester:
    """Asks over a client, and hears its own answer only."""

    def __init__(self, client: volans.Client, streams: Streams) -> None:
        self.answers = client.add_subscription(streams.response, streams.response_stream)
        channel = with_reference(streams.request, self.answers.registration_id)
        self.publication = client.add_exclusive_publication(channel, streams.request_stream)


class Streams:
    """Channels and stream ids of one exchange."""

    def __init__(self, media: str, stream_id: int, free_port: Callable[[], int]) -> None:
        self.request, self.response = "aeron:ipc", "aeron:ipc?control-mode=response"
        if media == "udp":
            self.request = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
            self.response = f"aeron:udp?control-mode=response|control=127.0.0.1:{free_port()}"
        self.request_stream, self.response_stream = stream_id, stream_id + 1

    def arguments(self) -> list[str]:
        """Of the official client's script."""
        request = (self.request, str(self.request_stream))
        return [*request, self.response, str(self.response_stream)]


@pytest.mark.parametrize("asking", KINDS)
@pytest.mark.parametrize("answering", KINDS)
def test_each_requester_gets_its_answer_from_the_other_driver(
    asking: str,
    answering: str,
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    streams = Streams("udp", fresh_stream(), free_port)
    responder = clients[answering]
    requests = responder.add_subscription(streams.request, streams.request_stream)
    requesters = [Requester(clients[asking], streams) for _ in range(2)]
    await_that(lambda: requests.image_count == 2)
    publications = []
    for image in requests.images:
        channel = with_reference(streams.response, image.correlation_id)
        publication = responder.add_exclusive_publication(channel, streams.response_stream)
        publications.append(publication)
        publication.publish(str(image.session_id).encode(), timeout=20)
    for requester in requesters:
        assert one_message(requester.answers) == str(requester.publication.session_id).encode()
        assert requester.answers.image_count == 1


@pytest.mark.parametrize("media", ["udp", "ipc"])
@pytest.mark.parametrize("driver_kind", KINDS)
def test_the_official_client_asks_a_volans_client(
    driver_kind: str,
    media: str,
    drivers: dict[str, peer.Driver],
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    streams = Streams(media, fresh_stream(), free_port)
    responder = clients[driver_kind]
    requests = responder.add_subscription(streams.request, streams.request_stream)
    with official(drivers[driver_kind], "ask", streams) as process:
        question = one_message(requests)
        channel = with_reference(streams.response, requests.images[0].correlation_id)
        publication = responder.add_exclusive_publication(channel, streams.response_stream)
        publication.publish(question.upper(), timeout=20)
        assert process.stdout is not None
        assert process.stdout.readline() == "QUESTION\n"
        assert process.wait(20) == 0


@pytest.mark.parametrize("media", ["udp", "ipc"])
def test_the_official_client_answers_on_a_volans_driver(
    media: str,
    drivers: dict[str, peer.Driver],
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    streams = Streams(media, fresh_stream(), free_port)
    with official(drivers["volans"], "answer", streams) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        requester = Requester(clients["volans"], streams)
        requester.publication.publish(b"of volans", timeout=20)
        assert one_message(requester.answers) == b"OF VOLANS"
        process.stdin.close()
        assert process.wait(20) == 0


@contextlib.contextmanager
def official(driver: peer.Driver, role: str, streams: Streams) -> Iterator[subprocess.Popen[str]]:
    script = str(peer.HERE / "official_responses.py")
    command = [peer.peer_python(), script, str(driver.directory), role, *streams.arguments()]
    with subprocess.Popen(
        command,
        env=peer.official_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


REQUEST_SESSION, RESPONSE_SESSION = 77, 88
RSP_SETUP = 11
START = "init-term-id=3|term-id=3|term-offset=0|term-length=64k|mtu=2k"


def setup_frame(session_id: int, stream_id: int, flags: int) -> bytes:
    return struct.pack(
        "<iBBhiiiiiiii", 40, 0, flags, SETUP, 0, session_id, stream_id, 3, 3, 65536, 2048, 0
    )


def status_message(session_id: int, stream_id: int, flags: int, window: int) -> bytes:
    term_id = 0 if flags else 3
    return struct.pack(
        "<iBBhiiiiiq", 36, 0, flags, SM, session_id, stream_id, term_id, 0, window, 5
    )


def test_drivers_answer_by_the_same_frames(
    clients: dict[str, volans.Client],
    fresh_stream: Callable[[], int],
    free_port: Callable[[], int],
) -> None:
    """A hand-made requester: it asks, is told the session, asks for its SETUP, and listens."""
    request_stream = fresh_stream()
    response_stream = request_stream + 1
    transcripts = {}
    for kind, client in clients.items():
        request_port, control_port = free_port(), free_port()
        requests = client.add_subscription(
            f"aeron:udp?endpoint=127.0.0.1:{request_port}", request_stream
        )
        with WirePeer(request_port) as asking, WirePeer(control_port) as listening:
            ask = setup_frame(REQUEST_SESSION, request_stream, 0x80)
            asking.send(ask)
            asking.expect("request", has("SM"), ("SM",), repeat=partial(asking.send, ask))
            await_that(lambda: requests.images)  # noqa: B023
            channel = f"aeron:udp?control-mode=response|control=127.0.0.1:{control_port}|{START}"
            publication = client.add_exclusive_publication(
                with_reference(
                    f"{channel}|session-id={RESPONSE_SESSION}", requests.images[0].correlation_id
                ),
                response_stream,
            )
            told = asking.expect("told", has(str(RSP_SETUP)), (str(RSP_SETUP),))
            wanted = status_message(RESPONSE_SESSION, response_stream, SEND_SETUP, 0)
            listening.send(wanted)
            listening.expect(
                "setup", has("SETUP"), ("SETUP",), repeat=partial(listening.send, wanted)
            )
            listening.send(status_message(RESPONSE_SESSION, response_stream, 0, 32768))
            await_that(lambda: publication.is_connected)  # noqa: B023
            publication.publish(b"answer", timeout=20)
            listening.expect("answer", has("DATA"), ("DATA",))
            # Who listens need not be told any more: status messages come alone.
            for step in ("settling", "settled"):
                asking.forget()
                heard = asking.expect(step, has("SM"), ("SM", str(RSP_SETUP)))
            assert [kind_of(frame) for frame in heard] == ["SM"]
            transcripts[kind] = {**listening.transcript, "told": told}
    assert transcripts["volans"] == transcripts["official"]
    assert transcripts["volans"]["told"] == [
        struct.pack(
            "<iBBhiii",
            20,
            0,
            0,
            RSP_SETUP,
            REQUEST_SESSION,
            request_stream,
            RESPONSE_SESSION,
        )
    ]


def test_drivers_ask_by_the_same_frames(
    clients: dict[str, volans.Client], fresh_stream: Callable[[], int]
) -> None:
    """A hand-made responder: it is asked, tells its session, and is asked for its SETUP."""
    request_stream = fresh_stream()
    response_stream = request_stream + 1
    transcripts = {}
    for kind, client in clients.items():
        with WirePeer() as asked, WirePeer() as answering:
            answers = client.add_subscription(
                f"aeron:udp?control-mode=response|control=127.0.0.1:{answering.port}",
                response_stream,
            )
            channel = (
                f"aeron:udp?endpoint=127.0.0.1:{asked.port}|session-id={REQUEST_SESSION}|{START}"
            )
            publication = client.add_exclusive_publication(
                with_reference(channel, answers.registration_id), request_stream
            )
            asked.expect("request", has("SETUP"), ("SETUP",))
            asked.send(
                struct.pack(
                    "<iBBhiii",
                    20,
                    0,
                    0,
                    RSP_SETUP,
                    REQUEST_SESSION,
                    request_stream,
                    RESPONSE_SESSION,
                )
            )
            session = struct.pack("<ii", RESPONSE_SESSION, response_stream)
            answering.expect(
                "wanted",
                has("SM", session),
                ("SM",),
                only=lambda frame: session in frame,  # noqa: B023
            )
            answering.send(setup_frame(RESPONSE_SESSION, response_stream, 0))
            await_that(lambda: answers.images)  # noqa: B023
            assert answers.images[0].session_id == RESPONSE_SESSION
            publication.close()
            transcripts[kind] = {**asked.transcript, **answering.transcript}
    assert transcripts["volans"] == transcripts["official"]
