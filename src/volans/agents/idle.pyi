from typing import Any

from typing_extensions import Buffer

from volans.memory.counters import AtomicCounter

class IdleStrategy:
    def idle(self, work_count: int = 0) -> None: ...
    def reset(self) -> None: ...
    @staticmethod
    def from_name(
        name: str, init_args: str | None = None, control: AtomicCounter | Buffer | None = None
    ) -> IdleStrategy: ...
    def _state_for_tests(self) -> dict[str, Any]: ...

class NoOpIdleStrategy(IdleStrategy): ...

class BusySpinIdleStrategy(IdleStrategy):
    def __init__(self) -> None: ...

class YieldingIdleStrategy(IdleStrategy):
    def __init__(self) -> None: ...

class SleepingIdleStrategy(IdleStrategy):
    def __init__(self, sleep_ns: int = 1000) -> None: ...

class BackoffIdleStrategy(IdleStrategy):
    def __init__(
        self,
        max_spins: int = 10,
        max_yields: int = 5,
        min_park_ns: int = 1000,
        max_park_ns: int = 1_000_000,
    ) -> None: ...

class ControllableIdleStrategy(IdleStrategy):
    def __init__(self, control: AtomicCounter | Buffer | None = None) -> None: ...
