"""``volans rate``: how many messages a second go through."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from volans.cli.options import (
    DEFAULT_CHANNEL,
    DEFAULT_STREAM_ID,
    INT32_MAX,
    Channel,
    Directory,
    Idle,
    Json,
    StreamId,
    Timeout,
    read_seconds,
    read_size,
    resolve_directory,
)
from volans.cli.output import format_bytes, print_json, print_line
from volans.cli.rate_loops import RateReport, publish_at_full_rate, receive_at_full_rate
from volans.cli.session import await_publisher, await_subscriber, connect, interruptible, make_idle


class Role(StrEnum):
    """Which side this process plays."""

    BOTH = "both"
    PUBLISHER = "publisher"
    SUBSCRIBER = "subscriber"


def rate(
    directory: Directory = None,
    role: Annotated[
        Role, typer.Option(help="The side to play; both: the subscriber in a second process.")
    ] = Role.BOTH,
    channel: Channel = DEFAULT_CHANNEL,
    stream_id: StreamId = DEFAULT_STREAM_ID,
    length: Annotated[
        int, typer.Option("--length", parser=read_size, metavar="SIZE", help="Bytes of a message.")
    ] = 32,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, help="Messages; 0: as many as there is time for.")
    ] = 0,
    duration: Annotated[
        float, typer.Option(parser=read_seconds, metavar="TIME", help="How long to publish.")
    ] = 10.0,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=1 << 20, help="Most messages in one call.")
    ] = 1024,
    idle: Idle = "backoff",
    timeout: Timeout = 5.0,
    json: Json = False,
    progress: Annotated[bool, typer.Option("--progress", hidden=True)] = False,
) -> None:
    """Measure how many messages a second go from a publisher to a subscriber.

    Both sides work in batches. The subscriber counts, and checks that all have come.
    """
    if not 1 <= length <= INT32_MAX:
        raise typer.BadParameter(f"--length {length}: from 1 byte on")
    if role is Role.BOTH:
        from volans.cli.children import rate_of_two_processes

        with interruptible():
            result = rate_of_two_processes(
                resolve_directory(directory),
                channel,
                stream_id,
                timeout,
                [f"--length={length}", f"--count={count}", f"--duration={duration}"],
                [f"--batch={batch}", f"--idle={idle}"],
                None if json else lambda line: print_line(describe(line)),
            )
        show(result, json=json)
        return
    strategy = make_idle(idle)

    def report(now: RateReport) -> None:
        if progress:
            print_json({"event": "progress", **now.as_json()})
        elif not json:
            print_line(describe(now.as_json()))

    with interruptible(), connect(directory, timeout, "rate") as client:
        if role is Role.PUBLISHER:
            with client.add_exclusive_publication(channel, stream_id) as publication:
                await_subscriber(publication, timeout, strategy)
                sent = publish_at_full_rate(
                    publication, strategy, length, count, duration, batch, timeout
                )
            show({"role": "publisher", **sent.as_json()}, json=json)
        else:
            with client.add_subscription(channel, stream_id) as subscription:
                await_publisher(subscription, timeout, strategy)
                received = receive_at_full_rate(subscription, strategy, batch, timeout, report)
            show({"role": "subscriber", **received.as_json()}, json=json)


def show(result: dict[str, Any], *, json: bool) -> None:
    """Print a result."""
    if json:
        print_json(result)
    else:
        print_line(f"{result['role']}: {result['messages']:,} messages, {describe(result)}")


def describe(result: dict[str, Any]) -> str:
    """A rate for people."""
    return (
        f"{result['messages_per_second']:,.0f} messages/s, "
        f"{format_bytes(result['bytes_per_second'])}/s in {result['seconds']:.2f} s"
    )
