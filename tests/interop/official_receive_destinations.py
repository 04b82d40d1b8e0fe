"""The official C client adds and removes receive destinations; run under the peer's Python.

Arguments: driver directory, channel, stream id, then destinations. Adds a subscription and the
destinations, waits for a line on stdin, removes the first two again, waits for another line, ends.
"""

from __future__ import annotations

import ctypes
import sys

from official_destinations import OfficialClient


class OfficialSubscriber(OfficialClient):
    """The C API, as far as receive destinations need it."""

    def add_subscription(self, channel: str, stream_id: int) -> ctypes.c_void_p:
        command, subscription = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(
            self._c.aeron_async_add_subscription(
                ctypes.byref(command),
                self._client,
                channel.encode(),
                ctypes.c_int32(stream_id),
                None,
                None,
                None,
                None,
            )
        )
        self._until_done(
            self._c.aeron_async_add_subscription_poll, ctypes.byref(subscription), command
        )
        return subscription

    def change_subscription(
        self, operation: str, subscription: ctypes.c_void_p, channel: str
    ) -> None:
        """`add_destination` or `remove_destination`, and wait until the driver has agreed."""
        command = ctypes.c_void_p()
        start = getattr(self._c, f"aeron_subscription_async_{operation}")
        self._check(start(ctypes.byref(command), self._client, subscription, channel.encode()))
        self._until_done(self._c.aeron_subscription_async_destination_poll, command)


def main() -> None:
    directory, channel, stream_id, *destinations = sys.argv[1:]
    client = OfficialSubscriber(directory)
    subscription = client.add_subscription(channel, int(stream_id))
    for destination in destinations:
        client.change_subscription("add_destination", subscription, destination)
    print("added", flush=True)
    sys.stdin.readline()
    for destination in destinations[:2]:
        client.change_subscription("remove_destination", subscription, destination)
    print("removed", flush=True)
    sys.stdin.readline()
    client.close()


if __name__ == "__main__":
    main()
