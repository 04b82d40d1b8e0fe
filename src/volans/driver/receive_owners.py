# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Python owners of receive endpoints and of the transports (destinations) they receive over.

An endpoint knows streams, sessions and images; each of its destinations is one bound address. A
plain subscription's endpoint has one destination, a multi-destination one has any number.
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.layout import (
    TIMESTAMP_OFFSET_NONE,
    ReceiveChannelEndpoint,
    ReceiveDestination,
)
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.driver.sockaddrs import get_address, set_address
from cython.cimports.volans.memory.atomic import load_acquire_i32
from cython.cimports.volans.memory.counters import CountersManager, counter_value_address
from cython.cimports.volans.memory.int64_map import int64_map_free, int64_map_init
from cython.cimports.volans.transport.contract import (
    RX_TIMESTAMP_CHANNEL,
    RX_TIMESTAMP_MEDIA,
    Address,
    EndpointOptions,
    Engine,
)
from cython.cimports.volans.transport.registry import EngineHandle


@cclass
class ReceiveEndpointOwner:
    """What images receive over, without its sockets."""

    def __cinit__(self):
        self.state = cast(
            pointer[ReceiveChannelEndpoint], calloc(1, sizeof(ReceiveChannelEndpoint))
        )
        if self.state == cython.NULL or int64_map_init(address(self.state.streams), 8) < 0:
            raise MemoryError

    def __init__(
        self,
        shared: SharedState,
        counters: CountersManager,
        engine: EngineHandle,
        *,
        endpoint_id: int64_t,
        receiver_id: int64_t,
        channel_status_counter_id: int32_t,
        group_tag=None,
        session_count_limit: int32_t = 0x7FFFFFFF,
        media_timestamp_offset=None,
        channel_timestamp_offset=None,
    ):
        """Timestamp offsets: bytes into the payload, -8 for the reserved value, or None."""
        state: pointer[ReceiveChannelEndpoint] = self.state
        self.engine_handle = engine
        self.shared_owner = (shared, counters)
        state.engine = engine.engine
        state.shared = address(shared.state)
        state.id = endpoint_id
        state.receiver_id = receiver_id
        state.has_group_tag = group_tag is not None
        # What an error frame says where there is no tag.
        state.group_tag = -1 if group_tag is None else group_tag
        state.channel_status = counter_value_address(
            address(counters.view), channel_status_counter_id
        )
        state.session_count_limit = session_count_limit
        state.media_timestamp_offset = (
            TIMESTAMP_OFFSET_NONE if media_timestamp_offset is None else media_timestamp_offset
        )
        state.channel_timestamp_offset = (
            TIMESTAMP_OFFSET_NONE if channel_timestamp_offset is None else channel_timestamp_offset
        )

    def __dealloc__(self):
        if self.state != cython.NULL:
            int64_map_free(address(self.state.streams))
            free(self.state.destinations)
            free(self.state)

    @property
    def released(self) -> bool:
        """The receiver will not touch the endpoint again."""
        return load_acquire_i32(address(self.state.receiver_released)) != 0


@cclass
class ReceiveDestinationOwner:
    """One bound address of a receive endpoint."""

    def __cinit__(self):
        self.state = cast(pointer[ReceiveDestination], calloc(1, sizeof(ReceiveDestination)))
        if self.state == cython.NULL:
            raise MemoryError
        self.state.endpoint.descriptor = -1

    def __init__(
        self,
        channel: ReceiveEndpointOwner,
        *,
        destination_id: int64_t,
        bind_to: bytes,
        control: bytes = b"",
        has_explicit_control: bool = False,
        is_multicast: bool = False,
        multicast_ttl: int32_t = 0,
        multicast_group: bytes = b"",
        multicast_interface: bytes = b"",
        multicast_interface_index: int32_t = 0,
        socket_sndbuf_length: int32_t = 0,
        socket_rcvbuf_length: int32_t = 0,
    ):
        """Open and bind. Addresses are sockaddr bytes. Raises OSError of the bind.

        Status messages go to `control`, or without one to the source of what comes in.
        """
        state: pointer[ReceiveDestination] = self.state
        engine: pointer[Engine] = channel.state.engine
        options: EndpointOptions
        local: Address
        memset(address(options), 0, sizeof(EndpointOptions))
        options.socket_sndbuf_length = socket_sndbuf_length
        options.socket_rcvbuf_length = socket_rcvbuf_length
        options.multicast_ttl = multicast_ttl
        options.multicast_interface_index = multicast_interface_index
        if channel.state.media_timestamp_offset != TIMESTAMP_OFFSET_NONE:
            options.timestamps |= RX_TIMESTAMP_MEDIA
        if channel.state.channel_timestamp_offset != TIMESTAMP_OFFSET_NONE:
            options.timestamps |= RX_TIMESTAMP_CHANNEL
        set_address(address(options.multicast_group), multicast_group)
        set_address(address(options.multicast_interface), multicast_interface)
        set_address(address(local), bind_to)
        set_address(address(state.control), control)
        self.channel = channel
        state.channel = channel.state
        state.id = destination_id
        state.is_multicast = is_multicast
        state.has_explicit_control = has_explicit_control
        state.multicast_ttl = multicast_ttl
        state.endpoint.owner = state
        result: int32_t = engine.ops.endpoint_open(
            engine, address(state.endpoint), address(local), address(options)
        )
        if result < 0:
            state.channel = cython.NULL
            raise OSError(-result, "cannot open the channel's socket")

    def close(self) -> None:
        """Close the descriptor; only after the receiver released it (or never had it)."""
        engine: pointer[Engine]
        if self.state.channel != cython.NULL:
            engine = self.channel.state.engine
            engine.ops.endpoint_close(engine, address(self.state.endpoint))
            self.state.channel = cython.NULL

    def __dealloc__(self):
        free(self.state)

    @property
    def destination_id(self) -> int:
        return self.state.id

    @property
    def local_address(self) -> bytes:
        """sockaddr bytes as bound."""
        return get_address(address(self.state.endpoint.local))

    @property
    def socket_sndbuf_length(self) -> int:
        return self.state.endpoint.socket_sndbuf_length

    @property
    def socket_rcvbuf_length(self) -> int:
        return self.state.endpoint.socket_rcvbuf_length

    @property
    def released(self) -> bool:
        """The receiver will not touch the destination again."""
        return load_acquire_i32(address(self.state.receiver_released)) != 0
