"""Options that several commands share, and the readers of their values."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from volans.protocol.units import UnitError, parse_duration_ns, parse_size

DEFAULT_CHANNEL: Final = "aeron:ipc"
DEFAULT_STREAM_ID: Final = 1001
INT32_MIN: Final = -(1 << 31)
INT32_MAX: Final = (1 << 31) - 1
_BARE_NUMBER_LIMIT: Final = 1e9


def read_size(text: str) -> int:
    """Bytes from ``64k`` and the like."""
    try:
        return parse_size(str(text))
    except UnitError as error:
        raise typer.BadParameter(str(error)) from None


def read_seconds(text: str) -> float:
    """Seconds from ``5``, ``2.5``, ``100ms`` or ``5s``."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_duration_ns(str(text)) / 1e9
        except UnitError:
            raise typer.BadParameter(
                f"{text!r} is not a time: write seconds, or a number with s, ms, us or ns"
            ) from None
    if not 0 <= seconds <= _BARE_NUMBER_LIMIT:
        raise typer.BadParameter(f"{text!r} is not a time from 0 to 1e9 seconds")
    return seconds


def read_channel(text: str) -> str:
    """A channel URI that can be read, as it was given."""
    from volans.protocol.channel_uri import ChannelUri, InvalidChannelError

    try:
        ChannelUri.parse(text)
    except InvalidChannelError as error:
        raise typer.BadParameter(str(error)) from None
    return text


Directory = Annotated[
    str | None,
    typer.Option(
        "--directory",
        "-d",
        envvar="AERON_DIR",
        help="Directory of the media driver; the official default when not given.",
    ),
]
Channel = Annotated[
    str, typer.Option("--channel", "-c", parser=read_channel, metavar="URI", help="Channel.")
]
StreamId = Annotated[
    int, typer.Option("--stream-id", "-s", min=INT32_MIN, max=INT32_MAX, help="Stream.")
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        "-t",
        parser=read_seconds,
        metavar="TIME",
        help="Longest wait for the driver and for the other side (seconds, or 100ms, 5s).",
    ),
]
Identities = Annotated[
    list[int] | None,
    typer.Option("--identity", help="Registration id or client id. Repeatable."),
]
Sessions = Annotated[
    list[int] | None,
    typer.Option("--session", min=INT32_MIN, max=INT32_MAX, help="Session id. Repeatable."),
]
Streams = Annotated[
    list[int] | None,
    typer.Option("--stream", min=INT32_MIN, max=INT32_MAX, help="Stream id. Repeatable."),
]
Channels = Annotated[
    list[str] | None,
    typer.Option("--channel", help="A part of the channel. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Idle = Annotated[
    str,
    typer.Option(
        "--idle",
        metavar="NAME",
        help="What to do while nothing comes: spin, yield, backoff, sleep-ns.",
    ),
]


def resolve_directory(directory: str | None) -> str:
    """The directory given, else the official default."""
    if directory:
        return os.fspath(directory)
    from volans.driver.config import DriverConfig

    return DriverConfig.default_directory()
