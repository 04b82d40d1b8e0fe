"""What a counters reader tells about one counter."""

from __future__ import annotations

from typing import NamedTuple


class CounterDescriptor(NamedTuple):
    """One counter as it was when it was read. Threading: a value, for any thread."""

    id: int
    type_id: int
    value: int
    label: str
    key: bytes
    registration_id: int
    owner_id: int
    reference_id: int
