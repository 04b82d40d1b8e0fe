"""``volans events``: the lines of an event log that are asked for."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from volans.cli.failures import CommandFailedError
from volans.cli.options import Json
from volans.cli.output import clean, note, print_json, print_line
from volans.driver.event_log_names import EVENTS, select_events
from volans.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLLOW_INTERVAL_S: Final = 0.1
_LINE: Final = re.compile(r"\[(\d+)\.(\d{9})\] (\w+): (\w+) \[(\d+)/(\d+)\]:? ?(.*)")


def events(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="The log; AERON_EVENT_LOG_FILENAME unless given, - for stdin."
        ),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(help="Only these: names or ids, admin (all but frames); may be repeated."),
    ] = None,
    match: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Only lines whose text has this.")
    ] = None,
    since: Annotated[
        float, typer.Option(min=0, help="Only from this time on, seconds as in the log.")
    ] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as the log grows; Ctrl-C ends.")
    ] = False,
    json: Json = False,
) -> None:
    """Read and filter the event log of a driver."""
    path = file or os.environ.get("AERON_EVENT_LOG_FILENAME")
    if path is None:
        raise CommandFailedError("no event log: give FILE, or set AERON_EVENT_LOG_FILENAME")
    try:
        wanted = {EVENTS[each] for each in select_events(",".join(event or ["all"]))}
        pattern = re.compile(match or "")
    except ConfigError as error:
        raise CommandFailedError(f"--event {error.value!r} is unknown: {error.allowed}") from None
    except re.error as error:
        raise CommandFailedError(f"--match {match!r} is no regular expression: {error}") from None
    shown = total = 0
    found = []
    for line in _lines(path, follow=follow):
        total += 1
        parts = _LINE.fullmatch(line)
        if parts is None:
            if not event and pattern.search(line) and not json:
                print_line(clean(line))
            continue
        seconds, nanoseconds, context, name, captured, length, text = parts.groups()
        time_ns = int(seconds) * 1_000_000_000 + int(nanoseconds)
        if name not in wanted or time_ns < since * 1e9 or not pattern.search(text):
            continue
        shown += 1
        if not json:
            print_line(clean(line))
            continue
        found.append(
            {
                "time_ns": time_ns,
                "context": context,
                "event": name,
                "captured_length": int(captured),
                "length": int(length),
                "text": text,
            }
        )
    if json:
        print_json({"file": path, "line_count": total, "events": found})
    else:
        note(f"{shown} of {total} lines of {path}")


def _lines(path: str, *, follow: bool) -> Iterator[str]:
    if path == "-":
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    try:
        file = Path(path).open(encoding="utf-8", errors="replace")  # noqa: SIM115
    except OSError as error:
        raise CommandFailedError(f"cannot read {path}: {error.strerror}") from None
    with file:
        started = ""
        while True:
            started += file.readline()
            if started.endswith("\n"):
                yield started[:-1]
                started = ""
            elif follow:
                time.sleep(FOLLOW_INTERVAL_S)
            else:
                if started:
                    yield started
                return
