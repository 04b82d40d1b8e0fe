from typing import Any

from volans.transport.registry import EngineHandle

class TamperEngine(EngineHandle):
    def __init__(
        self,
        handle: Any,
        *,
        drops_naks: bool = False,
        corrupts_payloads: bool = False,
        period_count: int = 1,
    ) -> None: ...
    @property
    def tampered_count(self) -> int: ...
