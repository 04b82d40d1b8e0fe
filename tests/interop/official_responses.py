"""The official C client asks, or answers, over response channels; run under the peer's Python.

Arguments: driver directory, `ask` or `answer`, request channel, request stream, response channel,
response stream. Who asks sends one question and prints the answer; who answers gives each question
back in capitals until its input ends.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable

from peer_driver import load_library

DEADLINE_S = 30.0
FragmentHandler = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t, ctypes.c_void_p
)


class SubscriptionConstants(ctypes.Structure):
    _fields_ = (
        ("channel", ctypes.c_char_p),
        ("on_available_image", ctypes.c_void_p),
        ("on_unavailable_image", ctypes.c_void_p),
        ("registration_id", ctypes.c_int64),
        ("stream_id", ctypes.c_int32),
        ("channel_status_indicator_id", ctypes.c_int32),
    )


class ImageConstants(ctypes.Structure):
    _fields_ = (
        ("subscription", ctypes.c_void_p),
        ("source_identity", ctypes.c_char_p),
        ("correlation_id", ctypes.c_int64),
        ("rest", ctypes.c_int64 * 8),
    )


class OfficialClient:
    """The C API, as far as requests and answers need it."""

    def __init__(self, directory: str) -> None:
        self._c = load_library()
        self._c.aeron_subscription_image_at_index.restype = ctypes.c_void_p
        self._c.aeron_exclusive_publication_offer.restype = ctypes.c_int64
        context = ctypes.c_void_p()
        self._client = ctypes.c_void_p()
        self._check(self._c.aeron_context_init(ctypes.byref(context)))
        self._check(self._c.aeron_context_set_dir(context, directory.encode()))
        self._check(self._c.aeron_init(ctypes.byref(self._client), context))
        self._check(self._c.aeron_start(self._client))

    def _check(self, result: int) -> int:
        if result < 0:
            raise RuntimeError(self._c.aeron_errmsg().decode(errors="replace"))
        return result

    def add_publication(self, channel: str, stream_id: int) -> ctypes.c_void_p:
        command, publication = ctypes.c_void_p(), ctypes.c_void_p()
        add = self._c.aeron_async_add_exclusive_publication
        self._check(add(ctypes.byref(command), self._client, channel.encode(), stream_id))
        poll = self._c.aeron_async_add_exclusive_publication_poll
        until(lambda: self._check(poll(ctypes.byref(publication), command)))
        return publication

    def add_subscription(self, channel: str, stream_id: int) -> ctypes.c_void_p:
        command, subscription = ctypes.c_void_p(), ctypes.c_void_p()
        no_handlers = (None, None, None, None)
        add = self._c.aeron_async_add_subscription
        arguments = (channel.encode(), stream_id, *no_handlers)
        self._check(add(ctypes.byref(command), self._client, *arguments))
        poll = self._c.aeron_async_add_subscription_poll
        until(lambda: self._check(poll(ctypes.byref(subscription), command)))
        return subscription

    def registration_id(self, subscription: ctypes.c_void_p) -> int:
        constants = SubscriptionConstants()
        self._check(self._c.aeron_subscription_constants(subscription, ctypes.byref(constants)))
        return constants.registration_id

    def image_ids(self, subscription: ctypes.c_void_p) -> list[int]:
        """Correlation ids of its images."""
        found = []
        for index in range(self._c.aeron_subscription_image_count(subscription)):
            image = self._c.aeron_subscription_image_at_index(subscription, index)
            constants = ImageConstants()
            self._check(
                self._c.aeron_image_constants(ctypes.c_void_p(image), ctypes.byref(constants))
            )
            found.append(constants.correlation_id)
        return found

    def offer(self, publication: ctypes.c_void_p, message: bytes) -> None:
        offer = self._c.aeron_exclusive_publication_offer
        size = ctypes.c_size_t(len(message))
        until(lambda: offer(publication, message, size, None, None) > 0)

    def poll(self, subscription: ctypes.c_void_p) -> list[bytes]:
        got: list[bytes] = []
        handler = FragmentHandler(
            lambda _data, buffer, length, _header: got.append(buffer[:length])
        )
        self._check(
            self._c.aeron_subscription_poll(subscription, handler, None, ctypes.c_size_t(10))
        )
        return got

    def close(self) -> None:
        self._check(self._c.aeron_close(self._client))


def until(condition: Callable[[], object]) -> object:
    deadline = time.monotonic() + DEADLINE_S
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not true in {DEADLINE_S} s")
        time.sleep(0.001)
    return result


def with_reference(channel: str, correlation_id: int) -> str:
    separator = "|" if "?" in channel else "?"
    return f"{channel}{separator}response-correlation-id={correlation_id}"


def ask(client: OfficialClient, question: tuple[str, int], answer: tuple[str, int]) -> None:
    answers = client.add_subscription(*answer)
    channel = with_reference(question[0], client.registration_id(answers))
    publication = client.add_publication(channel, question[1])
    client.offer(publication, b"question")
    print(until(lambda: client.poll(answers))[0].decode(), flush=True)


def give_answers(
    client: OfficialClient, question: tuple[str, int], answer: tuple[str, int]
) -> None:
    questions = client.add_subscription(*question)
    print("ready", flush=True)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not over.is_set():
        time.sleep(0.001)
        for image_id in client.image_ids(questions):
            for message in client.poll(questions):
                publication = client.add_publication(with_reference(answer[0], image_id), answer[1])
                client.offer(publication, message.upper())


def main() -> None:
    directory, role, request, request_stream, response, response_stream = sys.argv[1:]
    client = OfficialClient(directory)
    act = ask if role == "ask" else give_answers
    act(client, (request, int(request_stream)), (response, int(response_stream)))
    client.close()


if __name__ == "__main__":
    main()
