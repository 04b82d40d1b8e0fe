"""Which errors are for people: one clear line and an exit code, 1, or 2 for bad arguments."""

from __future__ import annotations

from typing import Final

from volans.errors import ConfigError, VolansError

FAILED: Final = 1
BAD_ARGUMENTS: Final = 2


class CommandFailedError(VolansError):
    """A command could not do what it was asked for."""


def exit_code_of(error: BaseException) -> int | None:
    """The exit code an error means; None when it is a fault of the program's own."""
    if isinstance(error, ConfigError) or type(error).__name__ in {
        "InvalidChannelError",
        "UnitError",
    }:
        return BAD_ARGUMENTS
    if isinstance(error, BrokenPipeError):
        return None
    if isinstance(error, VolansError | OSError) or type(error).__name__ == "LogFormatError":
        return FAILED
    return None


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks."""
    text = " ".join(str(error).split())
    return text or type(error).__name__
