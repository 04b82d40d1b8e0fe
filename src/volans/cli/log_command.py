"""``volans log``: looking into log buffer files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from volans.cli.failures import CommandFailedError
from volans.cli.options import Directory, Json, resolve_directory
from volans.cli.output import Column, format_value, print_json, print_line, print_table
from volans.log.inspect import LogFileMetadata, LogFrame, LogInspector


class PayloadFormat(StrEnum):
    """How payloads are shown."""

    AUTO = "auto"
    HEX = "hex"
    ASCII = "ascii"


app = typer.Typer(add_completion=False, no_args_is_help=True)
_FLAG_LETTERS = "BESR----"
FRAME_COLUMNS = (
    Column("partition_index", "partition"),
    Column("offset", "offset", True),
    Column("frame_length", "length", True),
    Column("type", "type"),
    Column("flags", "flags"),
    Column("term_id", "term"),
    Column("reserved_value", "reserved"),
    Column("payload", "payload"),
)


@app.callback()
def _log() -> None:
    """Look into log buffer files."""


@app.command()
def inspect(
    log: Annotated[str, typer.Argument(help="A log buffer file, or its registration id.")],
    directory: Directory = None,
    partition: Annotated[
        int | None, typer.Option(min=0, max=2, help="Only this of the three terms.")
    ] = None,
    frames: Annotated[bool, typer.Option(help="List the frames too.")] = True,
    limit: Annotated[int, typer.Option(min=0, help="Most frames to list; 0: all.")] = 1000,
    payload_limit: Annotated[int, typer.Option(min=0, help="Most bytes shown of each.")] = 32,
    data: Annotated[
        PayloadFormat, typer.Option(help="Payloads as text, as hexadecimal digits, or as they are.")
    ] = PayloadFormat.AUTO,
    scan_over_zeroes: Annotated[
        bool,
        typer.Option("--scan-over-zeroes", help="Look for frames behind gaps, as of lost data."),
    ] = False,
    json: Json = False,
) -> None:
    """Show what a log buffer holds: its constants, tails and frames. Works on dead files too."""
    path = find_log(log, directory)
    with LogInspector(path) as inspector:
        metadata = metadata_row(inspector.metadata)
        found: Iterator[LogFrame] = iter(())
        if frames:
            found = inspector.frames(
                partition, payload_limit=payload_limit, scan_over_zeroes=scan_over_zeroes
            )
        chosen = islice(found, limit or None)
        if json:
            shown_as = PayloadFormat.HEX if data is PayloadFormat.AUTO else data
            rows = [frame_row(frame, shown_as) for frame in chosen]
            print_json({"path": str(path), "metadata": metadata, "frames": rows})
            return
        print_line(str(path))
        for name, value in metadata.items():
            shown = str(value) if isinstance(value, list) else format_value(value)
            print_line(f"  {name:<44}{shown}")
        if frames:
            _print_frames(chosen, limit, data)


def _print_frames(chosen: Iterator[LogFrame], limit: int, data: PayloadFormat) -> None:
    rows = [frame_row(frame, data) for frame in chosen]
    if rows:
        print_table(FRAME_COLUMNS, rows)
    more = " (the limit: see --limit)" if limit and len(rows) == limit else ""
    print_line(f"{len(rows)} frames{more}")


def find_log(log: str, directory: str | None) -> Path:
    """The file itself, or that of a registration id in a driver's directory."""
    path = Path(log)
    if path.exists() or not log.isdecimal():
        return path
    home = resolve_directory(directory)
    for folder in ("publications", "images"):
        candidate = Path(home, folder, f"{log}.logbuffer")
        if candidate.exists():
            return candidate
    raise CommandFailedError(f"no log buffer {log}.logbuffer in {home}: see volans streams")


def metadata_row(metadata: LogFileMetadata) -> dict[str, Any]:
    """The metadata by name."""
    row = dataclasses.asdict(metadata)
    row["term_tails"] = [
        {"term_id": term_id, "offset": offset} for term_id, offset in metadata.term_tails
    ]
    row["type"] = metadata.type_name
    row["producer_position"] = metadata.producer_position
    return row


def frame_row(frame: LogFrame, data: PayloadFormat) -> dict[str, Any]:
    """One frame by name; the payload as a text."""
    row = dataclasses.asdict(frame)
    row["type"] = frame.type_name if frame.is_committed else f"{frame.type_name} (uncommitted)"
    row["flags"] = _flags(frame.flags)
    match data:
        case PayloadFormat.HEX:
            row["payload"] = frame.payload.hex()
        case PayloadFormat.ASCII:
            row["payload"] = frame.payload.decode("ascii", "backslashreplace")
        case PayloadFormat.AUTO:
            row["payload"] = _readable(frame.payload)
    return row


def _flags(flags: int) -> str:
    return "".join(
        letter if flags & 0x80 >> bit else "." for bit, letter in enumerate(_FLAG_LETTERS[:4])
    )


def _readable(payload: bytes) -> str:
    if payload and all(0x20 <= byte < 0x7F for byte in payload):
        return payload.decode("ascii")
    return payload.hex(" ", 4)
