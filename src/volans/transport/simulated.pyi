from typing import Self

from volans.transport.registry import EngineHandle

class SimulatedNetwork:
    def __new__(cls, seed: int, *, queue_capacity_count: int = 4096) -> Self: ...
    @property
    def seed(self) -> int: ...
    def engine(
        self, host: str = "127.0.0.1", *, role: str = "receiver", tx_queue_count: int = 256
    ) -> EngineHandle: ...
    def configure(
        self,
        source: str | None = None,
        destination: str | None = None,
        *,
        loss: float | None = None,
        duplicate: float | None = None,
        reorder: float | None = None,
        corrupt: float | None = None,
        delay_min_ns: int | None = None,
        delay_max_ns: int | None = None,
        partitioned: bool | None = None,
    ) -> None: ...
    def partition(self, one: str, other: str) -> None: ...
    def heal(self, one: str, other: str) -> None: ...
    @property
    def next_delivery_ns(self) -> int | None: ...
    @property
    def in_flight_count(self) -> int: ...
    @property
    def trace_hash(self) -> int: ...
    @property
    def stats(self) -> dict[str, int]: ...

def create_engine(
    role: str, *, network: SimulatedNetwork, host: str = "127.0.0.1", **options: int
) -> EngineHandle: ...
