"""``volans ping``: how long a message takes to a pong and back."""

from __future__ import annotations

import struct
import time
from array import array
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from volans.cli.options import (
    INT32_MAX,
    INT32_MIN,
    Directory,
    Idle,
    Json,
    Timeout,
    read_channel,
    read_seconds,
    read_size,
)
from volans.cli.output import Column, format_bytes, print_json, print_line, print_table
from volans.cli.round_trips import RoundTrips, check_hlog
from volans.cli.session import (
    Patience,
    await_publisher,
    await_subscriber,
    connect,
    interruptible,
    make_idle,
)

DEFAULT_PING_CHANNEL: Final = "aeron:udp?endpoint=localhost:20123"
DEFAULT_PONG_CHANNEL: Final = "aeron:udp?endpoint=localhost:20124"
DEFAULT_PING_STREAM_ID: Final = 1002
DEFAULT_PONG_STREAM_ID: Final = 1003
COLUMNS: Final = (
    Column("percentile", "percentile"),
    Column("microseconds", "microseconds", True),
    Column("above", "slower", True),
)
_SEQUENCE = struct.Struct("=q")
_LOOK_EVERY_COUNT: Final = 16

PingChannel = Annotated[
    str, typer.Option("--ping-channel", parser=read_channel, metavar="URI", help="Channel there.")
]
PongChannel = Annotated[
    str, typer.Option("--pong-channel", parser=read_channel, metavar="URI", help="Channel back.")
]
PingStream = Annotated[
    int, typer.Option("--ping-stream-id", min=INT32_MIN, max=INT32_MAX, help="Stream there.")
]
PongStream = Annotated[
    int, typer.Option("--pong-stream-id", min=INT32_MIN, max=INT32_MAX, help="Stream back.")
]


class Pinger:
    """Sends one message at a time and takes the time until it is back."""

    def __init__(
        self, publication: Any, subscription: Any, length: int, idle: Any, timeout_s: float
    ) -> None:
        self._publication = publication
        self._subscription = subscription
        self._message = bytearray(length)
        self._idle = idle
        self._timeout_s = timeout_s
        self._sent = 0
        self._back = 0

    def _on_message(self, buffer: Any, header: Any) -> None:
        # Others may answer on the same stream, and late ones of an earlier ping.
        if len(buffer) == len(self._message) and buffer.get_int64(0) == self._sent:
            self._back = self._sent

    def run(self, count: int, duration_s: float | None, interval_ns: int) -> array[int]:
        """``count`` round trips, or as many as there are time for, in nanoseconds.

        With an interval the time counts from the moment a message was due, so that a pause
        is seen by all that it delayed.
        """
        clock_ns = time.perf_counter_ns
        publication, subscription, idle = self._publication, self._subscription, self._idle
        message = self._message
        times_ns = array("q")
        patience = Patience(self._timeout_s, lambda: f"no answer to ping {self._sent}")
        start_ns = clock_ns()
        due_ns = start_ns
        end_ns = None if duration_s is None else start_ns + int(duration_s * 1e9)
        while len(times_ns) < count and (end_ns is None or clock_ns() < end_ns):
            if interval_ns:
                due_ns += interval_ns
                while clock_ns() < due_ns:
                    idle.idle(0)
            self._sent += 1
            _SEQUENCE.pack_into(message, 0, self._sent)
            began_ns = due_ns if interval_ns else clock_ns()
            misses = 0
            while not publication.offer(message):
                patience.saw(0)
                idle.idle(0)
            while self._back != self._sent:
                polled = subscription.poll(self._on_message, 10)
                idle.idle(polled)
                misses += 1
                if misses % _LOOK_EVERY_COUNT == 0:
                    patience.saw(polled)
            times_ns.append(clock_ns() - began_ns)
            patience.saw(1)
        return times_ns


def ping(
    directory: Directory = None,
    ping_channel: PingChannel = DEFAULT_PING_CHANNEL,
    pong_channel: PongChannel = DEFAULT_PONG_CHANNEL,
    ping_stream_id: PingStream = DEFAULT_PING_STREAM_ID,
    pong_stream_id: PongStream = DEFAULT_PONG_STREAM_ID,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Round trips.")] = 100_000,
    warm_up: Annotated[
        int, typer.Option("--warm-up", min=0, help="Round trips before that do not count.")
    ] = 10_000,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=read_seconds, metavar="TIME", help="End after this time, warm-up included."
        ),
    ] = None,
    length: Annotated[
        int, typer.Option("--length", parser=read_size, metavar="SIZE", help="Bytes of a message.")
    ] = 32,
    rate: Annotated[
        float, typer.Option("--rate", min=0.0, help="Messages a second; 0: one after the other.")
    ] = 0.0,
    idle: Idle = "backoff",
    timeout: Timeout = 5.0,
    json: Json = False,
    hlog: Annotated[
        Path | None, typer.Option("--hlog", help="Write an HDR histogram log here.")
    ] = None,
) -> None:
    """Measure round trips to a `volans pong`, one message in flight at a time.

    With `--rate` a time counts from when the message was due, not from when it was sent.
    """
    if not _SEQUENCE.size <= length <= INT32_MAX:
        raise typer.BadParameter(f"--length {length}: from {_SEQUENCE.size} bytes on")
    if hlog is not None:
        check_hlog()
    strategy = make_idle(idle)
    with (
        interruptible(),
        connect(directory, timeout, "ping") as client,
        client.add_subscription(pong_channel, pong_stream_id) as subscription,
        client.add_exclusive_publication(ping_channel, ping_stream_id) as publication,
    ):
        await_subscriber(publication, timeout, strategy)
        await_publisher(subscription, timeout, strategy)
        pinger = Pinger(publication, subscription, length, strategy, timeout)
        began_ns = time.monotonic_ns()
        pinger.run(warm_up, None if duration is None else duration / 2, 0)
        left_s = None
        if duration is not None:
            left_s = max(0.001, duration - (time.monotonic_ns() - began_ns) / 1e9)
        started_ms = time.time_ns() // 1_000_000
        times_ns = pinger.run(count, left_s, int(1e9 / rate) if rate else 0)
        result = RoundTrips(times_ns, started_ms, time.time_ns() // 1_000_000)
    if hlog is not None:
        result.write_hlog(hlog, "ping")
    if json:
        print_json({**result.as_json(), "length_bytes": length, "channel": ping_channel})
        return
    print_line(
        f"{len(result):,} round trips of {format_bytes(length)} over {ping_channel}, "
        f"mean {result.mean_ns / 1e3:,.2f} microseconds"
    )
    print_table(COLUMNS, result.rows())
