"""Refusals: what a command is answered with when it cannot be done."""

from __future__ import annotations

from volans.errors import VolansError
from volans.protocol.error_codes import ErrorCode


class CommandRefusedError(VolansError):
    """A client's command cannot be done; becomes ON_ERROR.

    Attributes: ``error_code`` and the message, which names the value, the limit and the remedy.
    """

    def __init__(self, error_code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code


def invalid_channel(message: str) -> CommandRefusedError:
    """The channel or one of its parameters does not fit."""
    return CommandRefusedError(ErrorCode.INVALID_CHANNEL, message)


def not_supported(message: str) -> CommandRefusedError:
    """Understood, but this driver cannot do it."""
    return CommandRefusedError(ErrorCode.NOT_SUPPORTED, message)
