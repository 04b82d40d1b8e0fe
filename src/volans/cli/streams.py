"""``volans streams``: the positions of every stream of a driver."""

from __future__ import annotations

from volans.cli.counter_rows import CounterFilter, read_rows
from volans.cli.options import Channels, Directory, Json, Sessions, Streams
from volans.cli.output import Column, print_json, print_line, print_table
from volans.cli.source import DriverDirectory
from volans.cli.stream_rows import group_by_stream, stream_rows

COLUMNS = (
    Column("stream_id", "stream"),
    Column("session_id", "session"),
    Column("name", "counter"),
    Column("value", "value", True),
    Column("registration_id", "registration"),
    Column("channel", "channel"),
)


def streams(
    directory: Directory = None,
    sessions: Sessions = None,
    streams: Streams = None,
    channels: Channels = None,
    json: Json = False,
) -> None:
    """Show the positions of every stream, in the order a message passes them.

    A subscriber that holds its stream up has a line `slow-subscriber` too, with its lag in bytes.
    """
    wanted = CounterFilter.of_streams(sessions, streams, channels)
    with DriverDirectory(directory) as source:
        grouped = group_by_stream(read_rows(source.counters, wanted))
        rows = stream_rows(grouped)
        if json:
            print_json({**source.describe(), "streams": rows})
            return
        if rows:
            print_table(COLUMNS, rows)
        print_line(f"{len(grouped)} streams in {source.path}")
