"""Reads a driver's system counters and error log count from ``cnc.dat``, by the bytes alone.

Deliberately independent of Volans: a test that asks "did anything get lost at all?" must not
trust the code it tests. Layout: PROTOCOL.md sections 2 and 6.
"""

from __future__ import annotations

import struct
from pathlib import Path

HEADER_BYTES = 128
VALUE_BYTES = 128

NAK_MESSAGES_SENT = 5
NAK_MESSAGES_RECEIVED = 6
INVALID_PACKETS = 14
ERRORS = 15


def system_counters(directory: Path) -> list[int]:
    """Values of the system counters; counter id and system counter id are the same number."""
    with open(directory / "cnc.dat", "rb") as file:
        _version, to_driver, to_clients, metadata, _values = struct.unpack("<5i", file.read(20))
        file.seek(HEADER_BYTES + to_driver + to_clients + metadata)
        values = file.read(46 * VALUE_BYTES)
    return [struct.unpack_from("<q", values, at)[0] for at in range(0, len(values), VALUE_BYTES)]
