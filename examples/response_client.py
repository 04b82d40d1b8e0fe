"""Asks the response server and prints its answers: `python examples/response_client.py hello you`.

Any number of these may run at once, on this machine or others; each hears its own answers only.
"""

from __future__ import annotations

import argparse

import volans

REQUESTS = "aeron:udp?endpoint=127.0.0.1:20121"
RESPONSES = "aeron:udp?control-mode=response|control=127.0.0.1:20122"
REQUEST_STREAM, RESPONSE_STREAM = 10001, 10002


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--directory", help="of the media driver")
    arguments.add_argument("--requests", default=REQUESTS, help="channel of the requests")
    arguments.add_argument("--responses", default=RESPONSES, help="channel of the answers")
    arguments.add_argument("words", nargs="+", help="what to ask")
    options = arguments.parse_args()
    with volans.connect(options.directory) as client:
        # First the place for answers; the request names it.
        answers = client.add_subscription(options.responses, RESPONSE_STREAM)
        requests = client.add_exclusive_publication(
            f"{options.requests}|response-correlation-id={answers.registration_id}", REQUEST_STREAM
        )
        for word in options.words:
            requests.publish(word.encode(), timeout=10)
            for answer in answers.messages(timeout=10):
                print(bytes(answer).decode(), flush=True)
                break
            else:
                raise SystemExit("no answer within 10 s: does the server run?")


if __name__ == "__main__":
    main()
