"""Official C client (the pyaeron wheel) as a worker; runs under the peer's Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pyaeron

sys.path.insert(0, str(Path(__file__).resolve().parent))

VERSION = f"pyaeron {pyaeron.__version__}"


class Client:
    """What ``peer_roles`` asks of a client."""

    def __init__(self, directory: str):
        self._aeron = pyaeron.Aeron(dir=directory)

    def add_publication(self, channel: str, stream_id: int, exclusive: bool) -> object:
        if exclusive:
            return self._aeron.add_exclusive_publication(channel, stream_id)
        return self._aeron.add_publication(channel, stream_id)

    def add_subscription(self, channel: str, stream_id: int) -> object:
        return self._aeron.add_subscription(channel, stream_id)

    def poll(self, subscription: object, handler: object, limit: int) -> int:
        return subscription.poll(handler, limit, assemble=True)

    def close(self) -> None:
        self._aeron.close()


def connect(directory: str) -> Client:
    return Client(directory)


if __name__ == "__main__":
    import peer_roles

    peer_roles.serve(sys.modules[__name__])
