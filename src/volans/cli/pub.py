"""``volans pub``: the lines of stdin, or a file, as messages."""

from __future__ import annotations

import stat as file_modes
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from volans.cli.file_transfer import MAX_CHUNK_BYTES, file_messages
from volans.cli.marks import reserved_value_of
from volans.cli.options import (
    DEFAULT_CHANNEL,
    DEFAULT_STREAM_ID,
    Channel,
    Directory,
    Json,
    StreamId,
    Timeout,
)
from volans.cli.output import note, print_json, transfer_progress
from volans.cli.session import await_subscriber, connect, interruptible, make_idle


def pub(
    directory: Directory = None,
    channel: Channel = DEFAULT_CHANNEL,
    stream_id: StreamId = DEFAULT_STREAM_ID,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Send this file (for `volans sub --file`)."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, help="End after so many lines; 0: at the end.")
    ] = 0,
    shared: Annotated[
        bool, typer.Option("--shared", help="A publication shared with other programs.")
    ] = False,
    timeout: Timeout = 5.0,
    json: Json = False,
) -> None:
    """Publish each line of stdin as a message, or a file as many.

    Waits for a subscriber first. A file is told whole by its length and SHA-256.
    """
    source = _open(file) if file is not None else sys.stdin.buffer
    with interruptible(), source, connect(directory, timeout, "pub") as client:
        add = client.add_publication if shared else client.add_exclusive_publication
        with add(channel, stream_id) as publication:
            await_subscriber(publication, timeout, make_idle("backoff"))
            if file is not None:
                result = send_file(publication, source, file, timeout)
            else:
                result = send_lines(publication, source, count, timeout)
    if json:
        print_json(result)
    elif file is not None:
        note(f"sent {file}: {result['bytes']:,} bytes in {result['messages']:,} messages")


def _open(path: Path) -> Any:
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a directory: give a file")
    return path.open("rb")


def send_lines(publication: Any, lines: Any, count: int, timeout_s: float) -> dict[str, Any]:
    """Publish lines without their ends; how much it was."""
    messages = total_bytes = 0
    for line in islice(lines, count or None):
        payload = line.rstrip(b"\r\n")
        publication.publish(payload, timeout_s)
        messages += 1
        total_bytes += len(payload)
    return {"messages": messages, "bytes": total_bytes}


def send_file(publication: Any, source: Any, path: Path, timeout_s: float) -> dict[str, Any]:
    """Publish a file; how much it was."""
    mode = path.stat()
    length = mode.st_size if file_modes.S_ISREG(mode.st_mode) else None
    chunk_bytes = min(MAX_CHUNK_BYTES, publication.max_message_length)
    messages = 0
    with transfer_progress() as progress:
        task = progress.add_task(f"sending {path.name}", total=length)
        sent: dict[str, Any] = {}
        for mark, payload in file_messages(source, path.name, length, chunk_bytes):
            publication.publish(payload, timeout_s, reserved_value_of(mark))
            messages += 1
            if messages % 32 == 0:
                progress.advance(task, 32 * chunk_bytes)
            last = payload
        sent = _end_fields(last)
        progress.update(task, completed=sent["bytes"])
    return {"messages": messages, **sent}


def _end_fields(payload: bytes) -> dict[str, Any]:
    from volans.cli.marks import unpack

    fields = unpack(payload) or {}
    return {"bytes": fields.get("length_bytes", 0), "sha256": fields.get("sha256")}
