"""``volans driver-tool``: about a driver as a process, and about those that are no more."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from volans.cli.failures import CommandFailedError
from volans.cli.options import Directory, Json, read_seconds, resolve_directory
from volans.cli.output import (
    Column,
    format_bytes,
    note,
    print_json,
    print_line,
    print_table,
    timestamp,
)
from volans.cli.source import DriverDirectory, epoch_ms

app = typer.Typer(add_completion=False, invoke_without_command=True)
_ALIVE_WITHIN_MS: Final = 10_000
_LOOK_INTERVAL_S: Final = 0.01
# Values of the system counter "controllable idle strategy".
_IDLE_MODES: Final = {"default": 0, "noop": 1, "spin": 2, "yield": 3, "park": 4}
GC_COLUMNS = (
    Column("directory", "directory"),
    Column("state", "state"),
    Column("pid", "pid"),
    Column("size", "size"),
    Column("done", ""),
)


@app.callback()
def info(context: typer.Context, directory: Directory = None, json: Json = False) -> None:
    """Tell about a driver; or its pid only, end it, clear away what dead ones left."""
    if context.invoked_subcommand is not None:
        context.obj = directory
        return
    with DriverDirectory(directory) as source:
        cnc = source.cnc
        if json:
            print_json({**source.describe(), "cnc_file": cnc.path, "cnc_version": cnc.version})
            return
        heartbeat_ms = cnc.driver_heartbeat_ms
        print_line(f"command and control file: {cnc.path}")
        print_line(f"version: {cnc.version}, pid: {cnc.pid}")
        print_line(
            f"{timestamp(epoch_ms())} (start: {timestamp(cnc.start_timestamp_ms)}, activity: "
            f"{'shut down' if heartbeat_ms < 0 else timestamp(heartbeat_ms)})"
        )


@app.command()
def pid(context: typer.Context, directory: Directory = None) -> None:
    """Print the pid of the driver and nothing else."""
    with DriverDirectory(directory or context.obj) as source:
        print_line(str(source.cnc.pid))


@app.command()
def terminate(
    context: typer.Context,
    directory: Directory = None,
    token: Annotated[str, typer.Option(help="For the driver's termination validator.")] = "",
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", "-t", parser=read_seconds, metavar="TIME", help="Wait so long for the end."
        ),
    ] = 5.0,
) -> None:
    """Ask the driver to end, and wait until it has."""
    path = resolve_directory(directory or context.obj)
    pid = ask_to_end(path, token.encode())
    deadline_ns = time.monotonic_ns() + int(timeout * 1e9)
    while not _has_ended(path, pid):
        if time.monotonic_ns() >= deadline_ns:
            raise CommandFailedError(
                f"the driver in {path} (pid {pid}) was asked to end and goes on after {timeout:g} "
                "s: AERON_DRIVER_TERMINATION_VALIDATOR=allow at its start permits it"
            )
        time.sleep(_LOOK_INTERVAL_S)
    note(f"the driver in {path} (pid {pid}) has ended")


@app.command("idle-strategy")
def set_idle_strategy(
    context: typer.Context,
    mode: Annotated[str, typer.Argument(help=f"One of {', '.join(_IDLE_MODES)}, or a number.")],
    directory: Directory = None,
) -> None:
    """Tell agents with the idle strategy `controllable` how to idle from now on."""
    from volans.memory import AtomicCounter, CountersReader
    from volans.protocol.cnc import CncFile
    from volans.protocol.counter_types import SystemCounter

    value = _IDLE_MODES.get(mode, int(mode) if mode.isdecimal() and len(mode) < 10 else -1)
    if value < 0:
        raise typer.BadParameter(f"{mode!r} is none of {', '.join(_IDLE_MODES)}, and no number")
    with CncFile.attach(resolve_directory(directory or context.obj), timeout_s=10.0) as cnc:
        counters = CountersReader(cnc.counters_metadata_buffer, cnc.counters_values_buffer)
        AtomicCounter(counters, SystemCounter.CONTROLLABLE_IDLE_STRATEGY).set(value)


@app.command()
def gc(
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent",
            help="Where to look; where the default directory would be when not given.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them, do not only list them.")] = False,
    json: Json = False,
) -> None:
    """Find the directories of drivers, and with `--yes` remove those of dead ones.

    A driver that lives, or may live, is never touched; nor is a directory with other files in it.
    """
    from volans.agents.processes import process_start_epoch_ms
    from volans.driver.config import DriverConfig
    from volans.driver.leftovers import DriverLeftover, find_leftovers, look_at, remove_leftover

    home = Path(parent) if parent else Path(DriverConfig.default_directory()).parent

    def look_again(path: Path) -> DriverLeftover:
        return look_at(path, epoch_ms(), _ALIVE_WITHIN_MS, process_start_epoch_ms)

    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    for found in find_leftovers(home, epoch_ms(), _ALIVE_WITHIN_MS, process_start_epoch_ms):
        removed = False
        if yes and found.state.may_go:
            try:
                removed = remove_leftover(found, look_again)
            except OSError as error:
                failures.append(f"{found.path}: {error.strerror}")
        rows.append(
            {
                "directory": str(found.path),
                "state": found.state.value,
                "pid": found.pid,
                "size_bytes": found.size_bytes,
                "may_go": found.state.may_go,
                "removed": removed,
                "detail": found.detail,
            }
        )
    if json:
        print_json({"parent": str(home), "drivers": rows})
    else:
        _print_leftovers(home, rows, yes=yes)
    if failures:
        raise CommandFailedError(f"could not remove {'; '.join(failures)}")


def ask_to_end(path: str, token: bytes) -> int:
    """Write TERMINATE_DRIVER to a living driver; its pid."""
    from volans.memory import ManyToOneRingBuffer
    from volans.protocol.cnc import CncFile
    from volans.protocol.commands import TerminateDriver

    with CncFile.attach(path, timeout_s=0.0, read_only=True) as seen:
        if not seen.is_driver_active(epoch_ms(), _ALIVE_WITHIN_MS):
            raise CommandFailedError(f"the driver in {path} (pid {seen.pid}) runs no more")
    with CncFile.attach(path, timeout_s=_ALIVE_WITHIN_MS / 1e3) as cnc:
        ring = ManyToOneRingBuffer(cnc.to_driver_buffer)
        command = TerminateDriver(ring.next_correlation_id(), ring.next_correlation_id(), token)
        if not ring.write(command.msg_type_id, command.encode()):
            raise CommandFailedError(f"the command buffer of the driver in {path} is full")
        return cnc.pid


def _has_ended(path: str, pid: int) -> bool:
    from volans.errors import VolansError
    from volans.protocol.cnc import CncFile

    try:
        with CncFile.attach(path, timeout_s=0.0, read_only=True) as cnc:
            return cnc.pid != pid or not cnc.is_driver_active(epoch_ms(), _ALIVE_WITHIN_MS)
    except (VolansError, OSError):
        return True  # it has removed its directory


def _print_leftovers(home: Path, rows: list[dict[str, Any]], *, yes: bool) -> None:
    shown = [
        {
            **row,
            "size": format_bytes(row["size_bytes"]),
            "done": "removed" if row["removed"] else row["detail"],
        }
        for row in rows
    ]
    if shown:
        print_table(GC_COLUMNS, shown)
    count = sum(bool(row["removed"] if yes else row["may_go"]) for row in rows)
    remedy = "" if yes or not count else ": --yes removes them"
    what = "removed" if yes else "of dead drivers"
    print_line(f"{len(rows)} directories of drivers in {home}, {count} {what}{remedy}")
