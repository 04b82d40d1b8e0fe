from typing import final

from volans.errors import VolansError

class LogFileError(VolansError, ValueError):
    path: str
    def __init__(self, path: str, why: str) -> None: ...

class CorruptLogError(VolansError):
    session_id: int
    position: int
    frame_length: int
    message_length: int
    def __init__(
        self, session_id: int, position: int, frame_length: int, message_length: int = 0
    ) -> None: ...

@final
class LogFile:
    def __init__(self, path: str, pre_touch: bool = False) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def is_mapped(self) -> bool: ...
