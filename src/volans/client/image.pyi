from collections.abc import Callable
from typing import final

from volans.client.batch import Batch
from volans.client.buffer import Buffer
from volans.client.header import Header
from volans.client.log_file import LogFile
from volans.client.results import ControlledAction
from volans.client.subscription import Subscription
from volans.errors import VolansError

class ReentrantPollError(VolansError, RuntimeError): ...

@final
class Image:
    correlation_id: int
    subscriber_position_id: int
    source_identity: str
    def __init__(
        self,
        conductor: object,
        subscription: object,
        log_file: LogFile,
        position_address: int,
        counters_owner: object,
        correlation_id: int,
        session_id: int,
        stream_id: int,
        subscriber_position_id: int,
        source_identity: str,
    ) -> None: ...
    @property
    def session_id(self) -> int: ...
    @property
    def stream_id(self) -> int: ...
    @property
    def subscription(self) -> Subscription: ...
    @property
    def join_position(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def initial_term_id(self) -> int: ...
    @property
    def term_buffer_length(self) -> int: ...
    @property
    def mtu_length(self) -> int: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def end_of_stream_position(self) -> int: ...
    @property
    def is_end_of_stream(self) -> bool: ...
    @property
    def is_publication_revoked(self) -> bool: ...
    @property
    def active_transport_count(self) -> int: ...
    def reject(self, reason: str) -> None: ...
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
