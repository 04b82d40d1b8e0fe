"""Volans: the Aeron message bus for Python."""

__version__ = "0.1.0"
