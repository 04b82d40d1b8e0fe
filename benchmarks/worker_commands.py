"""What a benchmark worker does on command; the same timed loops for every Aeron client.

Runs in the worker processes (under the peer's Python for the official side). A library module
gives ``VERSION``, ``start_driver(settings)``, ``connect(directory)`` and
``open_loops(directory, channel, answers, stream_id)``. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

STALL_SECONDS = 30.0


def emit(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def percentiles(times_ns: list[int]) -> dict[str, float]:
    times_ns = sorted(times_ns)
    count = len(times_ns)
    return {
        name: times_ns[min(count - 1, int(count * share))]
        for name, share in (("p50_ns", 0.5), ("p99_ns", 0.99), ("p999_ns", 0.999))
    }


class Stall:
    """Yields the processor while nothing moves; raises after STALL_SECONDS of that."""

    def __init__(self) -> None:
        self.deadline = 0.0

    def wait(self) -> None:
        now = time.monotonic()
        if self.deadline == 0.0:
            self.deadline = now + STALL_SECONDS
        elif now > self.deadline:
            raise TimeoutError(f"no progress in {STALL_SECONDS} s")
        os.sched_yield()


def ignore(buffer: object, header: object) -> None:
    """The cheapest handler there is: what is measured is the call, not the handler."""


class Commands:
    """State of one worker: its driver (if embedded), client, streams and compiled loops."""

    def __init__(self, library: object):
        self.library = library
        self.driver = None
        self.client = None
        self.loops = None
        self.publication = None
        self.subscription = None

    def start_driver(self, settings: dict[str, str]) -> dict:
        """An embedded driver, configured by environment variables."""
        os.environ.update(settings)
        self.driver = self.library.start_driver(settings)
        return {}

    def connect(self, directory: str) -> dict:
        self.client = self.library.connect(directory)
        return {}

    def publish_on(self, channel: str, stream_id: int) -> dict:
        self.publication = self.client.add_exclusive_publication(channel, stream_id)
        return {}

    def subscribe_to(self, channel: str, stream_id: int) -> dict:
        self.subscription = self.client.add_subscription(channel, stream_id)
        return {}

    def await_connected(self) -> dict:
        stall = Stall()
        while self.publication is not None and not self.publication.is_connected:
            stall.wait()
        while self.subscription is not None and not self.subscription.is_connected:
            stall.wait()
        return {}

    # One thread, one process: the price of a call.

    def burst(self, count: int, size: int, limit: int) -> dict:
        """Offer ``count`` messages, then poll them; nanoseconds a message of each."""
        offer, poll, payload = self.publication.offer, self.subscription.poll, bytes(size)
        retries = 0
        start_ns = time.perf_counter_ns()
        for _ in range(count):
            while not offer(payload):
                retries += 1
        middle_ns = time.perf_counter_ns()
        left = count
        while left > 0:
            left -= poll(ignore, limit)
        end_ns = time.perf_counter_ns()
        return {
            "offer_ns": (middle_ns - start_ns) / count,
            "poll_ns": (end_ns - middle_ns) / count,
            "retries": retries,
        }

    def batch_burst(self, count: int, size: int, batch: int) -> dict:
        """The same with ``offer_batch`` and ``poll_batch``."""
        import numpy

        messages = numpy.zeros((batch, size), dtype=numpy.uint8)
        offer_batch, poll_batch = self.publication.offer_batch, self.subscription.poll_batch
        start_ns = time.perf_counter_ns()
        sent = 0
        while sent < count:
            sent += offer_batch(messages)
        middle_ns = time.perf_counter_ns()
        left = sent
        while left > 0:
            left -= len(poll_batch(batch))
        end_ns = time.perf_counter_ns()
        return {
            "offer_ns": (middle_ns - start_ns) / sent,
            "poll_ns": (end_ns - middle_ns) / sent,
            "retries": 0,
        }

    # Two processes: the rate and the round trip a Python application gets.

    def send_messages(self, count: int, size: int, batch: int = 0) -> dict:
        stall = Stall()
        start_ns = time.monotonic_ns()
        if batch:
            import numpy

            messages = numpy.zeros((batch, size), dtype=numpy.uint8)
            offer_batch = self.publication.offer_batch
            sent = 0
            while sent < count:
                accepted = offer_batch(messages[: count - sent])
                sent += accepted
                if not accepted:
                    stall.wait()
        else:
            offer, payload = self.publication.offer, bytes(size)
            for _ in range(count):
                while not offer(payload):
                    stall.wait()
        return {"start_ns": start_ns}

    def receive_messages(self, count: int, limit: int = 256, batch: int = 0) -> dict:
        emit("receiving")
        stall = Stall()
        left = count
        if batch:
            poll_batch = self.subscription.poll_batch
            while left > 0:
                got = len(poll_batch(batch))
                left -= got
                if not got:
                    stall.wait()
        else:
            poll = self.subscription.poll
            while left > 0:
                got = poll(ignore, limit)
                left -= got
                if not got:
                    stall.wait()
        return {"end_ns": time.monotonic_ns()}

    def echo(self, count: int) -> dict:
        offer, poll = self.publication.offer, self.subscription.poll
        stall = Stall()

        def on_message(buffer: object, header: object) -> None:
            while not offer(payload):
                stall.wait()

        payload = bytes(32)
        emit("receiving")
        left = count
        while left > 0:
            got = poll(on_message, 10)
            left -= got
            if not got:
                stall.wait()
        return {}

    def round_trips(self, count: int, size: int) -> dict:
        offer, poll, payload = self.publication.offer, self.subscription.poll, bytes(size)
        stall = Stall()
        times_ns = []
        for _ in range(count):
            start_ns = time.perf_counter_ns()
            while not offer(payload):
                stall.wait()
            while not poll(ignore, 10):
                stall.wait()
            times_ns.append(time.perf_counter_ns() - start_ns)
        return percentiles(times_ns)

    # Compiled loops: no Python between offer and poll.

    def open_loops(self, directory: str, channel: str, answers: str, stream_id: int) -> dict:
        self.loops = self.library.open_loops(directory, channel, answers, stream_id)
        return {}

    def loops_one_way(self, count: int, size: int) -> dict:
        return {"elapsed_ns": self.loops.one_way(count, size)}

    def loops_burst(self, count: int, size: int) -> dict:
        offer_ns, poll_ns = self.loops.burst(count, size)
        return {"offer_ns": offer_ns / count, "poll_ns": poll_ns / count}

    def loops_round_trips(self, count: int, size: int) -> dict:
        return percentiles(self.loops.round_trips(count, size))

    # An idle process.

    def cpu_share(self, seconds: float) -> dict:
        """Processor time this whole process used in ``seconds`` of doing nothing."""
        cpu_start, start = time.process_time(), time.monotonic()
        time.sleep(seconds)
        return {"share": (time.process_time() - cpu_start) / (time.monotonic() - start)}

    def close(self) -> dict:
        for name in ("loops", "publication", "subscription", "client", "driver"):
            open_thing = getattr(self, name)
            setattr(self, name, None)
            if open_thing is not None:
                open_thing.close()
        return {}


def serve(library: object, commands: type[Commands] = Commands) -> None:
    """Play commands from stdin until it ends."""
    state = commands(library)
    emit("ready", python=sys.version.split()[0], library=library.VERSION)
    for line in sys.stdin:
        fields = json.loads(line)
        command = fields.pop("command")
        try:
            emit("done", **getattr(state, command)(**fields))
        except Exception as error:
            traceback.print_exc()
            emit("error", message=f"{type(error).__name__}: {error}")
    state.close()
