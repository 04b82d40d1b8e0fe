from volans.driver.shared import SharedState
from volans.memory.counters import CountersManager
from volans.transport.registry import EngineHandle

class ReceiveEndpointOwner:
    def __init__(
        self,
        shared: SharedState,
        counters: CountersManager,
        engine: EngineHandle,
        *,
        endpoint_id: int,
        receiver_id: int,
        channel_status_counter_id: int,
        group_tag: int | None = None,
        session_count_limit: int = 0x7FFFFFFF,
        media_timestamp_offset: int | None = None,
        channel_timestamp_offset: int | None = None,
    ) -> None: ...
    @property
    def released(self) -> bool: ...

class ReceiveDestinationOwner:
    channel: ReceiveEndpointOwner
    def __init__(
        self,
        channel: ReceiveEndpointOwner,
        *,
        destination_id: int,
        bind_to: bytes,
        control: bytes = b"",
        has_explicit_control: bool = False,
        is_multicast: bool = False,
        multicast_ttl: int = 0,
        multicast_group: bytes = b"",
        multicast_interface: bytes = b"",
        multicast_interface_index: int = 0,
        socket_sndbuf_length: int = 0,
        socket_rcvbuf_length: int = 0,
    ) -> None: ...
    def close(self) -> None: ...
    @property
    def destination_id(self) -> int: ...
    @property
    def local_address(self) -> bytes: ...
    @property
    def socket_sndbuf_length(self) -> int: ...
    @property
    def socket_rcvbuf_length(self) -> int: ...
    @property
    def released(self) -> bool: ...
