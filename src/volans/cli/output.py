"""Rendering: rows are data first (a list of dicts), then a table or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

_WIDE = 100_000


class Column(NamedTuple):
    """One column: the key in the rows, its heading, and whether it holds numbers."""

    key: str
    heading: str
    numeric: bool = False


def console(*, stderr: bool = False) -> Console:
    """A console; nothing is cut or wrapped when the output is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def clean(text: str) -> str:
    """A text from a file without what would steer the terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def format_value(value: object) -> str:
    """A value of a row for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return clean(str(value))


def make_table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> Table:
    """A table of the rows."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric,
            overflow="fold",
        )
    for row in rows:
        table.add_row(
            *(
                Text(
                    clean(str(value))
                    if isinstance(value := row.get(column.key), int) and not column.numeric
                    else format_value(value)
                )
                for column in columns
            )
        )
    return table


def print_table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print the rows."""
    console().print(make_table(columns, rows))


def print_json(value: object) -> None:
    """One JSON value a line, written at once so that a reader at a pipe's end has it."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def print_line(text: str) -> None:
    """One line to stdout, at once."""
    sys.stdout.write(clean(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line to stderr."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def timestamp(epoch_ms: int) -> str:
    """Local time of an epoch value in milliseconds."""
    try:
        local = time.localtime(epoch_ms / 1e3)
    except (OverflowError, ValueError, OSError):
        return f"{epoch_ms} ms"
    return time.strftime("%Y-%m-%d %H:%M:%S", local) + f".{epoch_ms % 1000:03d}"


def format_bytes(size_bytes: float) -> str:
    """``1.5 MB`` and the like."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size_bytes) < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def transfer_progress() -> Progress:
    """A progress bar for bytes on stderr; invisible when that is no terminal."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
