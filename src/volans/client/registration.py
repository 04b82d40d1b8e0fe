"""What has been asked of the driver and not answered yet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Kind(Enum):
    """What a registration is for."""

    PUBLICATION = auto()
    EXCLUSIVE_PUBLICATION = auto()
    SUBSCRIPTION = auto()
    COUNTER = auto()
    STATIC_COUNTER = auto()
    SESSION_ID = auto()
    OPERATION = auto()


@dataclass(slots=True)
class Registration:
    """One request; ``done`` is set when ``result`` or ``error`` is there."""

    registration_id: int
    kind: Kind
    deadline_ns: int
    channel: str = ""
    stream_id: int = 0
    fragments: bool = False
    on_available_image: Callable[..., object] | None = None
    on_unavailable_image: Callable[..., object] | None = None
    result: Any = None
    error: BaseException | None = None
    abandoned: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def describe(self) -> str:
        """What was asked, for error messages."""
        what = self.kind.name.lower().replace("_", " ")
        if self.channel:
            return f"{what} {self.channel} stream {self.stream_id}"
        return what
