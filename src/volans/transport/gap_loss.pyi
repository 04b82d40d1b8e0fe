from volans.transport.registry import EngineHandle

class GapLossEngine(EngineHandle):
    def __init__(
        self,
        handle: EngineHandle,
        *,
        term_id: int,
        gap_length: int,
        term_offset: int = 0,
        gap_radix: int = 0,
        gap_count: int = 0,
    ) -> None: ...
    @property
    def rx_dropped_count(self) -> int: ...
