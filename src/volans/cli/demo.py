"""``volans demo``: everything at work in about ten seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from volans.cli.demo_stage import Stage, open_stage
from volans.cli.demo_steps import STEPS, Transport, transports
from volans.cli.options import Json, read_seconds
from volans.cli.output import Column, console, format_bytes, make_table, note, print_json
from volans.cli.session import interruptible

COLUMNS: Final = (
    Column("transport", "transport"),
    Column("messages_per_second", "messages/s", True),
    Column("bytes_per_second", "payload", True),
    Column("p50", "round trip p50", True),
    Column("p99", "p99", True),
    Column("p99_9", "p99.9", True),
    Column("file", "file"),
)
_DEFAULT_STEP_S: Final = 1.6

Report = Callable[[str], None]


def demo(
    directory: Annotated[
        str | None,
        typer.Option(
            "--directory", "-d", help="Use a running media driver instead of an embedded one."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="File to carry; the Python executable.")
    ] = None,
    step: Annotated[
        float,
        typer.Option(
            "--step", parser=read_seconds, metavar="TIME", help="Length of one measurement."
        ),
    ] = _DEFAULT_STEP_S,
    json: Json = False,
) -> None:
    """Show Volans at work: a driver here, publishers and subscribers in processes of their own.

    Over IPC, then UDP on the loopback interface: message rate, round trips, and a file whose
    SHA-256 must be equal at both ends. Fails when anything does.
    """
    if file is not None and not file.is_file():
        raise typer.BadParameter(f"--file {file}: there is no such file")
    with interruptible(), ExitStack() as stack:
        stage = stack.enter_context(open_stage(directory, file, step))
        if sys.stderr.isatty():
            rows = _run_with_progress(stage)
        else:
            rows = run_steps(stage, note, lambda text: None)
    if json:
        print_json({"driver": stage.driver_name, "results": rows})
        return
    console().print(make_table(COLUMNS, [display_row(row) for row in rows]))


def run_steps(stage: Stage, say: Report, meanwhile: Report) -> list[dict[str, Any]]:
    """All steps over all transports; ``say`` hears of finished ones, ``meanwhile`` of progress."""
    rows = []
    for transport in transports():
        row: dict[str, Any] = {"transport": transport.name}
        for title, run in STEPS:
            meanwhile(f"{transport.name}: {title}")
            row.update(run(stage, transport, _progress(transport, title, meanwhile)))
            say(f"{transport.name}: {title}: {told(title, row)}")
        rows.append(row)
    return rows


def _progress(transport: Transport, title: str, meanwhile: Report) -> Callable[[Any], object]:
    def show(now: dict[str, Any]) -> None:
        meanwhile(f"{transport.name}: {title}: {now['messages_per_second']:,.0f} messages/s")

    return show


def told(title: str, row: dict[str, Any]) -> str:
    """What a step has brought, in a few words."""
    shown = display_row(row)
    if title == STEPS[0][0]:
        return f"{shown['messages_per_second']:,} messages/s"
    if title == STEPS[1][0]:
        return f"p50 {shown['p50']}, p99 {shown['p99']}, p99.9 {shown['p99_9']}"
    return f"{row['file_name']}, {shown['file']}"


def display_row(row: dict[str, Any]) -> dict[str, Any]:
    """A result for people."""
    shown: dict[str, Any] = {"transport": row["transport"]}
    if "messages_per_second" in row:
        shown["messages_per_second"] = round(row["messages_per_second"])
        shown["bytes_per_second"] = f"{format_bytes(row['bytes_per_second'])}/s"
    for name in ("p50", "p99", "p99_9"):
        if f"{name}_ns" in row:
            shown[name] = f"{row[f'{name}_ns'] / 1e3:,.1f} µs"
    if "file_bytes" in row:
        shown["file"] = (
            f"{format_bytes(row['file_bytes'])}, "
            f"sha256 {row['file_sha256'][:8]}… equal at both ends"
        )
    return shown


def _run_with_progress(stage: Stage) -> list[dict[str, Any]]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns: Sequence[Any] = (
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console(stderr=True)) as progress:
        total = len(STEPS) * len(transports())
        task = progress.add_task("starting", total=total)

        def say(text: str) -> None:
            progress.console.print(text, markup=False)
            progress.advance(task)

        rows = run_steps(stage, say, lambda text: progress.update(task, description=text))
        progress.update(task, description="done")
        return rows
