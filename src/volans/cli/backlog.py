"""``volans backlog``: how far each part of a stream lags behind."""

from __future__ import annotations

from volans.cli.counter_rows import CounterFilter, read_rows
from volans.cli.options import Channels, Directory, Json, Sessions, Streams
from volans.cli.output import Column, print_json, print_line, print_table
from volans.cli.source import DriverDirectory
from volans.cli.stream_rows import backlog_rows, group_by_stream

COLUMNS = (
    Column("stream_id", "stream"),
    Column("session_id", "session"),
    Column("part", "part"),
    Column("position", "position", True),
    Column("backlog_bytes", "backlog", True),
    Column("window_bytes", "window", True),
    Column("registration_id", "registration"),
    Column("channel", "channel"),
)


def backlog(
    directory: Directory = None,
    sessions: Sessions = None,
    streams: Streams = None,
    channels: Channels = None,
    json: Json = False,
) -> None:
    """Show how many bytes wait before each sender, receiver and subscriber."""
    wanted = CounterFilter.of_streams(sessions, streams, channels)
    with DriverDirectory(directory) as source:
        grouped = group_by_stream(read_rows(source.counters, wanted))
        rows = backlog_rows(grouped)
        if json:
            print_json({**source.describe(), "backlogs": rows})
            return
        if rows:
            print_table(COLUMNS, rows)
        print_line(f"{len(grouped)} streams in {source.path}")
