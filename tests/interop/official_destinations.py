"""The official C client adds and removes destinations; run under the peer's Python.

Arguments: driver directory, channel, stream id, then destinations. Adds a publication and the
destinations, waits for a line on stdin, removes the first two again, waits for another line, ends.
The wheel's Python face has no destinations, its shared object has. (Its removal by id is of no use:
in this version the client sends the publication's id in place of the destination's.)
"""

from __future__ import annotations

import ctypes
import sys
import time

from peer_driver import load_library

DEADLINE_S = 20.0


class OfficialClient:
    """The C API, as far as destinations need it."""

    def __init__(self, directory: str) -> None:
        self._c = load_library()
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

    def _until_done(self, poll: object, *arguments: object) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while self._check(poll(*arguments)) == 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer in {DEADLINE_S} s")
            time.sleep(0.001)

    def add_publication(self, channel: str, stream_id: int) -> ctypes.c_void_p:
        command, publication = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(
            self._c.aeron_async_add_exclusive_publication(
                ctypes.byref(command), self._client, channel.encode(), stream_id
            )
        )
        self._until_done(
            self._c.aeron_async_add_exclusive_publication_poll, ctypes.byref(publication), command
        )
        return publication

    def change(self, operation: str, publication: ctypes.c_void_p, channel: str) -> None:
        """`add_destination` or `remove_destination`, and wait until the driver has agreed."""
        command = ctypes.c_void_p()
        start = getattr(self._c, f"aeron_exclusive_publication_async_{operation}")
        self._check(start(ctypes.byref(command), self._client, publication, channel.encode()))
        self._until_done(self._c.aeron_exclusive_publication_async_destination_poll, command)

    def close(self) -> None:
        self._check(self._c.aeron_close(self._client))


def main() -> None:
    directory, channel, stream_id, *destinations = sys.argv[1:]
    client = OfficialClient(directory)
    publication = client.add_publication(channel, int(stream_id))
    for destination in destinations:
        client.change("add_destination", publication, destination)
    print("added", flush=True)
    sys.stdin.readline()
    for destination in destinations[:2]:
        client.change("remove_destination", publication, destination)
    print("removed", flush=True)
    sys.stdin.readline()
    client.close()


if __name__ == "__main__":
    main()
