from volans.transport.registry import EngineHandle

class LossEngine(EngineHandle):
    def __init__(
        self,
        handle: EngineHandle,
        *,
        rate: float = 0.0,
        seed: int = 0,
        direction: str = "both",
        rx_type_mask: int = 0xFFFFFFFF,
    ) -> None: ...
    @property
    def rx_dropped_count(self) -> int: ...
    @property
    def tx_dropped_count(self) -> int: ...
