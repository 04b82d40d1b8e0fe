"""What can be wrong with a choice of transport."""

from __future__ import annotations


class UnknownTransportError(ValueError):
    """No transport has that name; the message lists those there are."""


class EngineClosedError(RuntimeError):
    """The engine was closed before this use."""
