from collections.abc import Callable
from typing import final

from volans.client.base_image import BaseImage
from volans.client.batch import Batch
from volans.client.buffer import Buffer
from volans.client.header import Header
from volans.client.results import ControlledAction
from volans.errors import VolansError

class ReentrantPollError(VolansError, RuntimeError): ...

@final
class Image(BaseImage):
    def poll(
        self,
        handler: Callable[[Buffer, Header], object],
        limit: int = 256,
        *,
        fragments: bool = False,
    ) -> int: ...
    def bounded_poll(
        self,
        handler: Callable[[Buffer, Header], object],
        limit_position: int,
        limit: int = 256,
        *,
        fragments: bool = False,
    ) -> int: ...
    def controlled_poll(
        self,
        handler: Callable[[Buffer, Header], ControlledAction | None],
        limit: int = 256,
        *,
        fragments: bool = False,
    ) -> int: ...
    def bounded_controlled_poll(
        self,
        handler: Callable[[Buffer, Header], ControlledAction | None],
        limit_position: int,
        limit: int = 256,
        *,
        fragments: bool = False,
    ) -> int: ...
    def poll_batch(self, limit: int = 65536, *, fragments: bool = False) -> Batch: ...
    def block_poll(
        self, handler: Callable[[Buffer, int, int], object], limit_bytes: int = ...
    ) -> int: ...
    def raw_poll(
        self, handler: Callable[[str, int, int, int, int], object], limit_bytes: int = ...
    ) -> int: ...
    # For the conductor.
    def _close(self) -> None: ...
    def _release(self) -> None: ...
