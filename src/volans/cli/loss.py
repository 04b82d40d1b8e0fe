"""``volans loss``: what a driver's receivers have missed."""

from __future__ import annotations

from volans.cli.options import Directory, Json
from volans.cli.output import Column, print_json, print_line, print_table, timestamp
from volans.cli.source import DriverDirectory

COLUMNS = (
    Column("observation_count", "times", True),
    Column("total_bytes_lost", "bytes", True),
    Column("first", "first"),
    Column("last", "last"),
    Column("session_id", "session"),
    Column("stream_id", "stream"),
    Column("channel", "channel"),
    Column("source", "source"),
)


def loss(directory: Directory = None, json: Json = False) -> None:
    """Show the loss report of a driver: where bytes had to be asked for again."""
    with DriverDirectory(directory) as source:
        entries = source.losses()
        if json:
            print_json({**source.describe(), "losses": [entry._asdict() for entry in entries]})
            return
        rows = [
            {
                **entry._asdict(),
                "first": timestamp(entry.first_observation_ms),
                "last": timestamp(entry.last_observation_ms),
            }
            for entry in entries
        ]
        if rows:
            print_table(COLUMNS, rows)
        total_bytes = sum(entry.total_bytes_lost for entry in entries)
        print_line(f"{len(entries)} streams with loss, {total_bytes:,} bytes, in {source.path}")
