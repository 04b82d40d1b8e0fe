"""``volans pong``: the other side of ``volans ping``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from volans.cli.options import Directory, Idle, Json, Timeout
from volans.cli.output import note, print_json
from volans.cli.ping import (
    DEFAULT_PING_CHANNEL,
    DEFAULT_PING_STREAM_ID,
    DEFAULT_PONG_CHANNEL,
    DEFAULT_PONG_STREAM_ID,
    PingChannel,
    PingStream,
    PongChannel,
    PongStream,
)
from volans.cli.session import connect, interruptible, make_idle


class Ponger:
    """Sends every message back; ``echoed`` counts them."""

    def __init__(self, publication: Any, idle: Any) -> None:
        self._publication = publication
        self._idle = idle
        self.echoed = 0

    def on_message(self, buffer: Any, header: Any) -> None:
        """Send one message back; it is dropped when nobody listens any more."""
        publication = self._publication
        while not publication.offer(buffer, header.reserved_value):
            if not publication.is_connected:
                return
            self._idle.idle(0)
        self.echoed += 1


def pong(
    directory: Directory = None,
    ping_channel: PingChannel = DEFAULT_PING_CHANNEL,
    pong_channel: PongChannel = DEFAULT_PONG_CHANNEL,
    ping_stream_id: PingStream = DEFAULT_PING_STREAM_ID,
    pong_stream_id: PongStream = DEFAULT_PONG_STREAM_ID,
    once: Annotated[
        bool, typer.Option("--once", help="End when the first ping has gone again.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, help="End after so many; 0: at Ctrl-C.")
    ] = 0,
    idle: Idle = "backoff",
    timeout: Timeout = 5.0,
    json: Json = False,
) -> None:
    """Send back what a `volans ping` sends, until Ctrl-C."""
    strategy = make_idle(idle)
    with (
        interruptible(),
        connect(directory, timeout, "pong") as client,
        client.add_subscription(ping_channel, ping_stream_id) as subscription,
        client.add_exclusive_publication(pong_channel, pong_stream_id) as publication,
    ):
        ponger = Ponger(publication, strategy)
        had_ping = False
        while not count or ponger.echoed < count:
            polled = subscription.poll(ponger.on_message, 10)
            strategy.idle(polled)
            if once and not polled:
                images = subscription.images
                had_ping = had_ping or bool(images)
                if had_ping and all(i.is_closed or i.is_end_of_stream for i in images):
                    break
    if json:
        print_json({"echoed": ponger.echoed})
        return
    note(f"{ponger.echoed:,} messages sent back")
