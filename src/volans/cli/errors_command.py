"""``volans errors``: the distinct errors a driver has met."""

from __future__ import annotations

from typing import Annotated

import typer

from volans.cli.options import Directory, Json
from volans.cli.output import clean, note, print_json, print_line, timestamp
from volans.cli.source import DriverDirectory


def errors(
    directory: Directory = None,
    since_ms: Annotated[
        int, typer.Option("--since-ms", min=0, help="Only those seen since this epoch time.")
    ] = 0,
    json: Json = False,
) -> None:
    """Show the distinct errors of a driver: how often, when first, when last, what."""
    with DriverDirectory(directory) as source:
        log = source.error_log()
        observations = log.read(since_ms)
        if json:
            print_json(
                {
                    **source.describe(),
                    "corrupt_offset": log.corrupt_offset,
                    "errors": [observation._asdict() for observation in observations],
                }
            )
            return
        for observation in observations:
            print_line(
                f"{observation.observation_count} times from "
                f"{timestamp(observation.first_timestamp_ms)} to "
                f"{timestamp(observation.last_timestamp_ms)}"
            )
            for line in observation.text.splitlines():
                print_line(f"    {clean(line)}")
        if log.corrupt_offset is not None:
            note(f"the error log is corrupt from byte {log.corrupt_offset} on")
        print_line(f"{len(observations)} distinct errors in {source.path}")
