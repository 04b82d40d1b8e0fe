from collections.abc import Collection
from struct import Struct

from typing_extensions import Buffer

from volans.driver.shared import SharedState

RECORD: Struct

class EventSink:
    def __init__(self, shared: SharedState, ring: Buffer, event_ids: Collection[int]) -> None: ...
    @property
    def lost_count(self) -> int: ...
