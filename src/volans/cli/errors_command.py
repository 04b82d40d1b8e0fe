"""``volans errors``: the distinct errors a driver has met."""

from __future__ import annotations

from typing import Annotated

import typer

from volans.cli.failures import CommandFailedError
from volans.cli.options import Directory, Json
from volans.cli.output import clean, note, print_json, print_line, timestamp
from volans.cli.source import DriverDirectory
from volans.memory import ErrorLogReader, MappedFile
from volans.memory.errors import TruncatedFileError


def errors(
    directory: Directory = None,
    since_ms: Annotated[
        int, typer.Option("--since-ms", min=0, help="Only those seen since this epoch time.")
    ] = 0,
    file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A file with a distinct error log, not a driver's."),
    ] = None,
    offset: Annotated[
        int, typer.Option(min=0, help="Where in the file the error log begins, bytes.")
    ] = 0,
    json: Json = False,
) -> None:
    """Show the distinct errors of a driver: how often, when first, when last, what."""
    if file is not None:
        with _mapped(file, offset) as mapped, mapped.view(offset, len(mapped) - offset) as view:
            _print_errors(ErrorLogReader(view), since_ms, {"file": file}, file, json=json)
        return
    with DriverDirectory(directory) as source:
        _print_errors(source.error_log(), since_ms, source.describe(), source.path, json=json)


def _mapped(file: str, offset: int) -> MappedFile:
    try:
        return MappedFile.open(file, read_only=True, minimum_length=offset + 1)
    except (TruncatedFileError, ValueError) as error:
        raise CommandFailedError(f"no error log in {file} at byte {offset}: {error}") from None


def _print_errors(
    log: ErrorLogReader, since_ms: int, about: dict[str, object], where: str, *, json: bool
) -> None:
    observations = log.read(since_ms)
    if json:
        print_json(
            {
                **about,
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
    print_line(f"{len(observations)} distinct errors in {where}")
