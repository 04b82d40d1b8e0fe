from collections.abc import Iterator
from typing import NamedTuple

from typing_extensions import Buffer

class LossReport:
    def __init__(self, buffer: Buffer) -> None: ...
    def create_entry(
        self,
        bytes_lost: int,
        now_ms: int,
        session_id: int,
        stream_id: int,
        channel: str,
        source: str,
    ) -> int | None: ...
    def observe(self, entry: int, bytes_lost: int, now_ms: int) -> None: ...

class LossEntry(NamedTuple):
    observation_count: int
    total_bytes_lost: int
    first_observation_ms: int
    last_observation_ms: int
    session_id: int
    stream_id: int
    channel: str
    source: str

class LossReportReader:
    def __init__(self, buffer: Buffer) -> None: ...
    @property
    def corrupt_offset(self) -> int | None: ...
    def read(self) -> list[LossEntry]: ...
    def __iter__(self) -> Iterator[LossEntry]: ...
