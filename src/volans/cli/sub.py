"""``volans sub``: what is published, to stdout or into a file."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from volans.cli.failures import CommandFailedError
from volans.cli.file_transfer import FileReceiver, ReplacingFile
from volans.cli.marks import Mark, mark_of
from volans.cli.options import (
    DEFAULT_CHANNEL,
    DEFAULT_STREAM_ID,
    Channel,
    Directory,
    Json,
    StreamId,
    read_seconds,
)
from volans.cli.output import note, print_json, transfer_progress
from volans.cli.session import Patience, connect, interruptible, make_idle

_CONNECT_TIMEOUT_S = 5.0
_POLL_LIMIT = 256


class Receiver:
    """Writes messages as lines, and a sent file as it is, to ``output``."""

    def __init__(self, output: BinaryIO, count: int) -> None:
        self._output = output
        self._count = count
        self.file = FileReceiver(output)
        self.line_count = 0
        self.total_bytes = 0

    @property
    def is_done(self) -> bool:
        """Whether all that was asked for has come."""
        return self.file.is_complete or (self._count > 0 and self.line_count >= self._count)

    @property
    def room(self) -> int:
        """Most messages to poll next, so that no more are taken than wanted."""
        return min(_POLL_LIMIT, self._count - self.line_count) if self._count else _POLL_LIMIT

    def on_message(self, buffer: Any, header: Any) -> None:
        """Take one message."""
        mark = mark_of(header.reserved_value)
        if mark in (Mark.FILE_BEGIN, Mark.FILE_DATA, Mark.FILE_END):
            self.file.accept(mark, buffer, header.session_id)
            self.total_bytes = self.file.received_bytes
        elif not self.is_done:
            self._output.write(bytes(buffer) + b"\n")
            self.line_count += 1
            self.total_bytes += len(buffer)

    def flush(self) -> None:
        """Let readers have it."""
        self._output.flush()


def sub(
    directory: Directory = None,
    channel: Channel = DEFAULT_CHANNEL,
    stream_id: StreamId = DEFAULT_STREAM_ID,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Save here; ends when the file or the stream ends."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, help="End after so many messages; 0: never.")
    ] = 0,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="End when the publishers have gone.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            "-t",
            parser=read_seconds,
            metavar="TIME",
            help="Fail when nothing comes for so long (seconds, or 100ms, 5s); default: never.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print each message as a line, or save what is published.

    A file sent by `volans pub --file` is verified by its length and SHA-256, and only then takes
    its name. Ctrl-C ends in order.
    """
    if json and file is None:
        raise typer.BadParameter("--json tells about a saved file: give --file too")
    with ExitStack() as stack:
        stack.enter_context(interruptible())
        target = stack.enter_context(ReplacingFile(file)) if file is not None else None
        receiver = Receiver(target.file if target is not None else sys.stdout.buffer, count)
        client = stack.enter_context(connect(directory, _CONNECT_TIMEOUT_S, "sub"))
        subscription = stack.enter_context(client.add_subscription(channel, stream_id))
        receive(subscription, receiver, timeout, until_end=until_end or file is not None)
        if file is not None and receiver.file.has_begun and not receiver.file.is_complete:
            raise CommandFailedError(
                f"the publisher went before the end: {receiver.total_bytes:,} bytes came"
            )
        if target is not None:
            target.keep()
    if json:
        print_json(summary(receiver, file))
    elif file is not None:
        verified = ", verified" if receiver.file.is_complete else ""
        note(f"saved {file}: {receiver.total_bytes:,} bytes{verified}")


def receive(
    subscription: Any, receiver: Receiver, timeout_s: float | None, *, until_end: bool
) -> None:
    """Poll until all has come. Raises CommandFailedError when nothing comes in time."""
    patience = Patience(
        timeout_s, lambda: f"{receiver.line_count} messages, {receiver.total_bytes} bytes came"
    )
    idle = make_idle("backoff")
    had_publisher = False
    with transfer_progress() as progress:
        task = None
        while not receiver.is_done:
            polled = subscription.poll(receiver.on_message, receiver.room)
            idle.idle(polled)
            patience.saw(polled)
            if polled:
                receiver.flush()
                if task is None and receiver.file.has_begun:
                    name, length = receiver.file.name, receiver.file.length_bytes
                    task = progress.add_task(f"receiving {name}", total=length)
                if task is not None:
                    progress.update(task, completed=receiver.total_bytes)
                continue
            images = subscription.images
            had_publisher = had_publisher or bool(images)
            gone = all(image.is_closed or image.is_end_of_stream for image in images)
            if until_end and had_publisher and gone:
                return


def summary(receiver: Receiver, file: Path | None) -> dict[str, Any]:
    """What came, for programs."""
    return {
        "path": str(file),
        "bytes": receiver.total_bytes,
        "messages": receiver.line_count,
        "sha256": receiver.file.sha256 if receiver.file.is_complete else None,
        "verified": receiver.file.is_complete,
    }
