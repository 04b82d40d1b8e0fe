from collections.abc import Callable, Iterator
from typing import NamedTuple

from typing_extensions import Buffer

class DistinctErrorLog:
    def __init__(self, buffer: Buffer, epoch_clock_ms: Callable[[], int]) -> None: ...
    def record(self, error: str | BaseException) -> bool: ...

class ErrorObservation(NamedTuple):
    observation_count: int
    first_timestamp_ms: int
    last_timestamp_ms: int
    text: str

class ErrorLogReader:
    def __init__(self, buffer: Buffer) -> None: ...
    @property
    def corrupt_offset(self) -> int | None: ...
    def read(self, since_timestamp_ms: int = 0) -> list[ErrorObservation]: ...
    def __iter__(self) -> Iterator[ErrorObservation]: ...
