"""Volans client as a worker, the counterpart of ``peer_official.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import volans

sys.path.insert(0, str(Path(__file__).resolve().parent))

VERSION = f"volans {getattr(volans, '__version__', '')}"


class Client:
    """What ``peer_roles`` asks of a client."""

    def __init__(self, directory: str):
        self._client = volans.connect(directory)

    def add_publication(self, channel: str, stream_id: int, exclusive: bool) -> object:
        if exclusive:
            return self._client.add_exclusive_publication(channel, stream_id)
        return self._client.add_publication(channel, stream_id)

    def add_subscription(self, channel: str, stream_id: int) -> object:
        return self._client.add_subscription(channel, stream_id)

    def poll(self, subscription: object, handler: object, limit: int) -> int:
        return subscription.poll(handler, limit)

    def close(self) -> None:
        self._client.close()


def connect(directory: str) -> Client:
    return Client(directory)


if __name__ == "__main__":
    import peer_roles

    peer_roles.serve(sys.modules[__name__])
