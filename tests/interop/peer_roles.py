"""The roles a client worker plays, the same code for every client library.

Commands (stdin, one JSON object a line): ``connect``, ``publish``, ``subscribe``, ``ping``,
``pong``, ``close``. Every command ends with a ``done`` or an ``error`` event on stdout; a
subscriber says ``subscribed`` first. An adapter module gives ``connect(directory)`` returning a
client with ``add_publication``, ``add_subscription`` and ``poll``. Standard library only: this
runs under the peer's Python, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import sys
import time
import traceback

POOL_SHIFTS = 4096
STALL_SECONDS = 20.0


class MessageSource:
    """Deterministic messages: an 8-byte little-endian sequence number, then seeded bytes."""

    def __init__(self, seed: int, sizes: list[int]):
        if min(sizes) < 8:
            raise ValueError(f"a message needs 8 bytes for its sequence number, not {min(sizes)}")
        self.sizes = sizes
        self._pool = random.Random(seed).randbytes(max(sizes) + POOL_SHIFTS)

    def message(self, sequence: int) -> bytes:
        size = self.sizes[sequence % len(self.sizes)]
        shift = (sequence * 31) % POOL_SHIFTS
        return struct.pack("<q", sequence) + self._pool[shift : shift + size - 8]


def emit(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Patience:
    """Raises when nothing moves for STALL_SECONDS; yields the processor meanwhile."""

    def __init__(self, what: str):
        self.what = what
        self.moved()

    def moved(self) -> None:
        self._deadline = time.monotonic() + STALL_SECONDS
        self._idle_count = 0

    def wait(self, state: object = "") -> None:
        self._idle_count += 1
        if self._idle_count < 100:
            os.sched_yield()
            return
        time.sleep(0.0005)
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"{self.what}: no progress in {STALL_SECONDS} s {state}")


def offer(publication: object, payload: bytes, patience: Patience) -> None:
    while not (result := publication.offer(payload)):
        patience.wait(result)
    patience.moved()


class Roles:
    """Plays commands against one client."""

    def __init__(self, adapter: object):
        self.adapter = adapter
        self.client = None
        self.open: list = []

    def connect(self, directory: str) -> dict:
        self.client = self.adapter.connect(directory)
        return {}

    def publish(
        self,
        channel: str,
        stream_id: int,
        count: int,
        sizes: list[int],
        seed: int,
        exclusive: bool = False,
        destinations: list[str] | None = None,
    ) -> dict:
        """Offer ``count`` messages; the publication stays open until ``close``."""
        publication = self.client.add_publication(channel, stream_id, exclusive)
        self.open.append(publication)
        for destination in destinations or []:
            publication.add_destination(destination)
        source = MessageSource(seed, sizes)
        digest = hashlib.sha256()
        patience = Patience(f"publish on {channel}")
        for sequence in range(count):
            payload = source.message(sequence)
            offer(publication, payload, patience)
            digest.update(payload)
        return {"count": count, "sha256": digest.hexdigest(), "position": publication.position}

    def subscribe(self, channel: str, stream_id: int, count: int, limit: int = 10) -> dict:
        """Poll until ``count`` whole messages came, checking the order."""
        subscription = self.client.add_subscription(channel, stream_id)
        self.open.append(subscription)
        emit("subscribed")
        digest = hashlib.sha256()
        received = 0

        def on_message(buffer: object, header: object) -> None:
            nonlocal received
            data = bytes(buffer)
            (sequence,) = struct.unpack_from("<q", data)
            if sequence != received:
                raise AssertionError(f"expected message {received}, got {sequence}")
            digest.update(data)
            received += 1

        patience = Patience(f"subscribe on {channel}")
        while received < count:
            if self.client.poll(subscription, on_message, limit):
                patience.moved()
            else:
                patience.wait(f"at {received} of {count}")
        return {"count": received, "sha256": digest.hexdigest()}

    def pong(self, ping: str, pong: str, stream_id: int, count: int) -> dict:
        """Echo ``count`` messages from channel ``ping`` to channel ``pong``."""
        subscription = self.client.add_subscription(ping, stream_id)
        publication = self.client.add_publication(pong, stream_id + 1, True)
        self.open += [subscription, publication]
        emit("subscribed")
        patience = Patience(f"pong on {ping}")
        echoed = 0

        def on_message(buffer: object, header: object) -> None:
            nonlocal echoed
            offer(publication, bytes(buffer), patience)
            echoed += 1

        while echoed < count:
            if not self.client.poll(subscription, on_message, 10):
                patience.wait(f"at {echoed} of {count}")
        return {"count": echoed}

    def ping(
        self, ping: str, pong: str, stream_id: int, count: int, size: int = 32, seed: int = 1
    ) -> dict:
        """``count`` round trips, one in flight; the sorted times in nanoseconds, thinned."""
        subscription = self.client.add_subscription(pong, stream_id + 1)
        publication = self.client.add_publication(ping, stream_id, True)
        self.open += [subscription, publication]
        source = MessageSource(seed, [size])
        patience = Patience(f"ping on {ping}")
        times_ns = []
        answer = b""

        def on_message(buffer: object, header: object) -> None:
            nonlocal answer
            answer = bytes(buffer)

        for sequence in range(count):
            payload = source.message(sequence)
            start_ns = time.perf_counter_ns()
            offer(publication, payload, patience)
            while answer != payload:
                if not self.client.poll(subscription, on_message, 10):
                    patience.wait(f"at round trip {sequence}")
            times_ns.append(time.perf_counter_ns() - start_ns)
        times_ns.sort()
        return {
            "count": count,
            "p50_ns": times_ns[len(times_ns) // 2],
            "p99_ns": times_ns[len(times_ns) * 99 // 100],
        }

    def close(self) -> dict:
        """Close what is open, newest first; the client stays."""
        while self.open:
            self.open.pop().close()
        return {}


def serve(adapter: object) -> None:
    """Play commands from stdin until it ends."""
    roles = Roles(adapter)
    emit("ready", python=sys.version.split()[0], library=adapter.VERSION)
    for line in sys.stdin:
        fields = json.loads(line)
        command = fields.pop("command")
        try:
            emit("done", **getattr(roles, command)(**fields))
        except Exception as error:
            traceback.print_exc()
            emit("error", message=f"{type(error).__name__}: {error}")
    roles.close()
    if roles.client is not None:
        roles.client.close()
