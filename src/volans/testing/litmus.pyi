from typing import final

from typing_extensions import Buffer

@final
class RingVerdict:
    received: int
    damaged: int
    misordered: int
    def __new__(cls, producers: int) -> RingVerdict: ...

def produce(
    buffer: Buffer,
    producer: int,
    count: int,
    *,
    many: bool = True,
    claim_every: int = 0,
    patience_ns: int = 30_000_000_000,
) -> int: ...
def consume(
    buffer: Buffer,
    producers: int,
    total: int,
    *,
    many: bool = True,
    patience_ns: int = 30_000_000_000,
) -> RingVerdict: ...
def transmit(buffer: Buffer, count: int, *, pause_every: int = 0) -> int: ...
def receive(
    buffer: Buffer, last_sequence: int, *, patience_ns: int = 30_000_000_000
) -> dict[str, int]: ...
def pass_messages(buffer: Buffer, rounds: int) -> int: ...
def observe_messages(
    buffer: Buffer, rounds: int, *, patience_ns: int = 30_000_000_000
) -> dict[str, int]: ...
