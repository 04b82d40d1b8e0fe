from os import PathLike

from volans.transport.registry import EngineHandle

class CaptureEngine(EngineHandle):
    def __init__(
        self,
        handle: EngineHandle,
        path: str | PathLike[str],
        *,
        interface_name: str = "volans",
        epoch_offset_ns: int = 0,
        direction: str = "both",
        snap_length_bytes: int = 65535,
    ) -> None: ...
    @property
    def path(self) -> str | PathLike[str]: ...
    @property
    def packet_count(self) -> int: ...
    @property
    def error(self) -> int: ...
    def flush(self) -> None: ...
