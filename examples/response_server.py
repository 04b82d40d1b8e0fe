"""Answers each requester over a stream of its own.

Run `python examples/response_server.py`, then `examples/response_client.py` in another terminal.
Both need a running driver (`volans driver`), or the server's `--embedded`.

The server gives one address where requesters find their answers (`control`). It never learns
their addresses: it says which request it answers, and the drivers do the rest.
"""

from __future__ import annotations

import argparse
import sys
import time

import volans

REQUESTS = "aeron:udp?endpoint=127.0.0.1:20121"
RESPONSES = "aeron:udp?control-mode=response|control=127.0.0.1:20122"
REQUEST_STREAM, RESPONSE_STREAM = 10001, 10002


class ResponseServer:
    """One publication for each image of the request stream, as long as the image lives."""

    def __init__(self, client: volans.Client, requests: str, responses: str) -> None:
        self._client = client
        self._responses = responses
        self._adding: dict[int, int] = {}  # registration ids, by image
        self._answering: dict[int, volans.ExclusivePublication] = {}  # by image
        self._requests = client.add_subscription(requests, REQUEST_STREAM)

    def work(self) -> int:
        """Take requests and answer them; how many."""
        images = {image.correlation_id: image for image in self._requests.images}
        for number in self._answering.keys() - images.keys():
            self._answering.pop(number).close()
        for number in self._adding.keys() - images.keys():
            self._client.cancel(self._adding.pop(number))
        return sum(self._answer(number, image) for number, image in images.items())

    def _answer(self, number: int, image: volans.Image) -> int:
        publication = self._answering.get(number) or self._add(number)
        if publication is None or not publication.is_connected:
            return 0  # requests wait in the image meanwhile
        return image.poll(lambda buffer, _header: publication.publish(bytes(buffer).upper()), 10)

    def _add(self, number: int) -> volans.ExclusivePublication | None:
        if number not in self._adding:
            channel = f"{self._responses}|response-correlation-id={number}"
            self._adding[number] = self._client.async_add_exclusive_publication(
                channel, RESPONSE_STREAM
            )
        try:
            publication = self._client.get_exclusive_publication(self._adding[number])
        except volans.RegistrationError:
            del self._adding[number]  # the request has gone meanwhile
            return None
        if publication is not None:
            del self._adding[number]
            self._answering[number] = publication
        return publication


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--directory", help="of the media driver")
    arguments.add_argument("--embedded", action="store_true", help="run a driver in this process")
    arguments.add_argument("--requests", default=REQUESTS, help="channel of the requests")
    arguments.add_argument("--responses", default=RESPONSES, help="channel of the answers")
    options = arguments.parse_args()
    with volans.connect(options.directory, embedded=options.embedded) as client:
        server = ResponseServer(client, options.requests, options.responses)
        print("answering", flush=True)
        try:
            while True:
                if server.work() == 0:
                    time.sleep(0.001)
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()
