"""``volans stat``: the counters of a driver, live or once."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from volans.cli.counter_rows import CounterFilter, CounterRow, read_rows, read_type
from volans.cli.options import (
    Channels,
    Directory,
    Identities,
    Json,
    Sessions,
    Streams,
    read_seconds,
)
from volans.cli.output import Column, console, make_table, print_json, print_line
from volans.cli.source import DriverDirectory

COLUMNS = (
    Column("id", "id", True),
    Column("value", "value", True),
    Column("type", "type"),
    Column("label", "label"),
)
LIVE_COLUMNS = (*COLUMNS[:2], Column("rate", "per second", True), *COLUMNS[2:])


def display_rows(
    rows: Sequence[CounterRow],
    previous: Mapping[int, tuple[str, int]] | None = None,
    elapsed_s: float = 0.0,
) -> list[dict[str, Any]]:
    """Rows of the table; with the values of a moment before, how fast they grow."""
    result = []
    for row in rows:
        before = None if previous is None else previous.get(row.id)
        rate = None
        if before is not None and before[0] == row.label and elapsed_s > 0:
            rate = round((row.value - before[1]) / elapsed_s)
        result.append(
            {
                "id": row.id,
                "value": row.value,
                "rate": rate or None,
                "type": row.type_name,
                "label": row.label,
            }
        )
    return result


def as_json(source: DriverDirectory, rows: Sequence[CounterRow]) -> dict[str, Any]:
    """A snapshot for programs."""
    return {
        **source.describe(),
        "timestamp_ms": time.time_ns() // 1_000_000,
        "counters": [row.as_json() for row in rows],
    }


def stat(
    directory: Directory = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Counter type: number or name such as sub-pos. Repeatable."),
    ] = None,
    identities: Identities = None,
    sessions: Sessions = None,
    streams: Streams = None,
    channels: Channels = None,
    non_zero: Annotated[bool, typer.Option("--non-zero", help="Leave out zeros.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
    interval: Annotated[
        float,
        typer.Option(parser=read_seconds, metavar="TIME", help="Time between two looks."),
    ] = 1.0,
    count: Annotated[int, typer.Option(min=0, help="End after so many looks; 0: at Ctrl-C.")] = 0,
    json: Json = False,
) -> None:
    """Watch the counters of a driver, official or ours, running or not; read-only.

    A counter must pass every filter that is given, and of a repeated one any value.
    """
    wanted = CounterFilter(
        frozenset(read_type(name) for name in types or ()),
        frozenset(identities or ()),
        frozenset(sessions or ()),
        frozenset(streams or ()),
        tuple(channels or ()),
        non_zero,
    )
    looks = 1 if once else count
    with DriverDirectory(directory) as source:
        if json:
            _print_all_json(source, wanted, looks, interval)
        elif sys.stdout.isatty() and looks != 1:
            _show_live(source, wanted, looks, interval)
        else:
            _print_all(source, wanted, looks, interval)


def _print_all_json(
    source: DriverDirectory, wanted: CounterFilter, looks: int, interval_s: float
) -> None:
    done = 0
    while True:
        print_json(as_json(source, read_rows(source.counters, wanted)))
        done += 1
        if done == looks:
            return
        time.sleep(interval_s)


def _print_all(
    source: DriverDirectory, wanted: CounterFilter, looks: int, interval_s: float
) -> None:
    output = console()
    done = 0
    while True:
        print_line(source.headline())
        output.print(make_table(COLUMNS, display_rows(read_rows(source.counters, wanted))))
        done += 1
        if done == looks:
            return
        print_line("")
        time.sleep(interval_s)


def _show_live(
    source: DriverDirectory, wanted: CounterFilter, looks: int, interval_s: float
) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    previous: dict[int, tuple[str, int]] | None = None
    looked_ns = time.monotonic_ns()
    done = 0
    with Live(console=console(), auto_refresh=False, screen=True) as live:
        while True:
            rows = read_rows(source.counters, wanted)
            now_ns = time.monotonic_ns()
            shown = display_rows(rows, previous, (now_ns - looked_ns) / 1e9)
            head = Text(f"{source.headline()}  {time.strftime('%H:%M:%S')}", style="bold")
            live.update(Group(head, make_table(LIVE_COLUMNS, shown)), refresh=True)
            previous = {row.id: (row.label, row.value) for row in rows}
            looked_ns = now_ns
            done += 1
            if done == looks:
                return
            time.sleep(interval_s)
