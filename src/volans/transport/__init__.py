"""Datagrams in bursts over a choice of network APIs: engines by name, and wrappers around them.

``create("mmsg", role="sender")`` makes an engine; ``volans.transport.loss.LossEngine`` and
``volans.transport.capture.CaptureEngine`` wrap one; ``volans.transport.simulated`` holds a
whole network in memory.
"""

from volans.transport.errors import EngineClosedError, UnknownTransportError
from volans.transport.registry import EngineHandle, create, names, register

__all__ = [
    "EngineClosedError",
    "EngineHandle",
    "UnknownTransportError",
    "create",
    "names",
    "register",
]
