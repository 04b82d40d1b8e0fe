from collections.abc import Collection
from struct import Struct

from typing_extensions import Buffer

from volans.transport.registry import EngineHandle

RECORD: Struct

class EventTap(EngineHandle):
    def __init__(self, handle: EngineHandle, ring: Buffer, event_ids: Collection[int]) -> None: ...
    @property
    def lost_count(self) -> int: ...
