"""Benchmark worker for pyzmq: PUSH and PULL one way, PAIR for round trips.

A directory of an Aeron driver has no meaning here; channels are ZeroMQ end points.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import zmq

sys.path.insert(0, str(Path(__file__).resolve().parent))

import worker_commands

VERSION = f"pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}"
HIGH_WATER_MARK = 100_000


class ZmqCommands(worker_commands.Commands):
    """The two-process commands on blocking sockets, as a ZeroMQ program would be written."""

    def __init__(self, library: object):
        super().__init__(library)
        self._context = zmq.Context()

    def _socket(self, kind: int, channel: str, bind: bool) -> zmq.Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, 30_000)
        (socket.bind if bind else socket.connect)(channel)
        return socket

    def connect(self, directory: str) -> dict:
        return {}

    def publish_on(self, channel: str, stream_id: int) -> dict:
        self.publication = self._socket(zmq.PUSH, channel, bind=False)
        return {}

    def subscribe_to(self, channel: str, stream_id: int) -> dict:
        self.subscription = self._socket(zmq.PULL, channel, bind=True)
        return {}

    def await_connected(self) -> dict:
        return {}

    def send_messages(self, count: int, size: int, batch: int = 0) -> dict:
        send, payload = self.publication.send, bytes(size)
        start_ns = time.monotonic_ns()
        for _ in range(count):
            send(payload)
        return {"start_ns": start_ns}

    def receive_messages(self, count: int, limit: int = 0, batch: int = 0) -> dict:
        receive = self.subscription.recv
        worker_commands.emit("receiving")
        for _ in range(count):
            receive()
        return {"end_ns": time.monotonic_ns()}

    def echo(self, count: int) -> dict:
        receive, send = self.subscription.recv, self.publication.send
        worker_commands.emit("receiving")
        for _ in range(count):
            send(receive())
        return {}

    def round_trips(self, count: int, size: int) -> dict:
        send, receive, payload = self.publication.send, self.subscription.recv, bytes(size)
        times_ns = []
        for _ in range(count):
            start_ns = time.perf_counter_ns()
            send(payload)
            receive()
            times_ns.append(time.perf_counter_ns() - start_ns)
        return worker_commands.percentiles(times_ns)


if __name__ == "__main__":
    worker_commands.serve(sys.modules[__name__], ZmqCommands)
