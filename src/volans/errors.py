"""The exceptions a program that uses Volans may meet; all derive from :class:`VolansError`."""

from __future__ import annotations

__all__ = [
    "ClientClosedError",
    "ClientTimeoutError",
    "CncFormatError",
    "CncVersionError",
    "ConfigError",
    "DriverAlreadyRunningError",
    "DriverNotRunningError",
    "DriverTimeoutError",
    "MaxPositionExceededError",
    "PublicationClosedError",
    "RegistrationError",
    "SubscriptionClosedError",
    "VolansError",
]


class VolansError(Exception):
    """Base of all exceptions of this package."""


class DriverNotRunningError(VolansError):
    """No media driver serves the directory: start one (``volansmd``) or name its directory."""


class DriverAlreadyRunningError(VolansError):
    """Another media driver is active in the directory: stop it or use another directory."""


class DriverTimeoutError(VolansError, TimeoutError):
    """The media driver was there, but did not answer or show life in time."""


class ClientTimeoutError(VolansError, TimeoutError):
    """The media driver declared this client dead: its keep-alives came too late."""


class CncVersionError(VolansError):
    """The command and control file was written by an incompatible version."""


class CncFormatError(VolansError, ValueError):
    """The command and control file is truncated, corrupt or not one at all."""


class ConfigError(VolansError, ValueError):
    """A setting has a value outside what is allowed.

    Attributes: ``name`` (the environment variable or argument), ``value``, ``allowed``.
    """

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name = name
        self.value = value
        self.allowed = allowed
        super().__init__(f"{name}={value!r} is invalid: {allowed}")


class RegistrationError(VolansError):
    """The media driver refused a publication, subscription, counter or destination.

    Attributes: ``code`` (see :class:`volans.protocol.error_codes.ErrorCode`), ``message`` (the
    driver's words) and ``correlation_id`` of the refused command, None when unknown.
    """

    def __init__(self, code: int, message: str, correlation_id: int | None = None) -> None:
        self.code = code
        self.message = message
        self.correlation_id = correlation_id
        super().__init__(f"{getattr(code, 'name', f'error code {code}')}: {message}")


class ClientClosedError(VolansError):
    """The client, or the thing used through it, has been closed."""


class PublicationClosedError(ClientClosedError):
    """The publication has been closed: add a new one."""


class SubscriptionClosedError(ClientClosedError):
    """The subscription has been closed: add a new one."""


class MaxPositionExceededError(VolansError):
    """The stream has reached its last position (2**31 terms): add a new publication."""
