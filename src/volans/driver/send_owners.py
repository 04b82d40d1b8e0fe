# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Python owner of what the sender sends over.

The control plane makes it, lends the struct to the agents by pointer and drops the owner only
when every agent has let go (`released`). Nothing here runs on a data path.
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.layout import (
    DESTINATIONS_DYNAMIC,
    DESTINATIONS_MANUAL,
    DESTINATIONS_NONE,
    SendChannelEndpoint,
)
from cython.cimports.volans.driver.send_destinations import send_destinations_free
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.driver.sockaddrs import get_address, set_address
from cython.cimports.volans.memory.atomic import load_acquire_i32
from cython.cimports.volans.memory.counters import CountersManager, counter_value_address
from cython.cimports.volans.memory.int64_map import int64_map_free, int64_map_init
from cython.cimports.volans.transport.contract import Address, EndpointOptions
from cython.cimports.volans.transport.registry import EngineHandle


@cclass
class SendEndpointOwner:
    """A socket (or what stands for one) over which publications send."""

    def __cinit__(self):
        self.state = cast(pointer[SendChannelEndpoint], calloc(1, sizeof(SendChannelEndpoint)))
        if self.state == cython.NULL or int64_map_init(address(self.state.publications), 8) < 0:
            raise MemoryError
        self.state.endpoint.descriptor = -1

    def __init__(
        self,
        shared: SharedState,
        counters: CountersManager,
        engine: EngineHandle,
        *,
        endpoint_id: int64_t,
        bind_to: bytes,
        destination: bytes,
        channel_status_counter_id: int32_t,
        connect_to: bytes = b"",
        is_multicast: bool = False,
        has_group_semantics: bool = False,
        multicast_ttl: int32_t = 0,
        multicast_interface_index: int32_t = 0,
        multicast_interface: bytes = b"",
        control_mode: str = "",
        destination_count_counter_id: int32_t = -1,
        send_timestamp_offset=None,
        socket_sndbuf_length: int32_t = 0,
        socket_rcvbuf_length: int32_t = 0,
    ):
        """Open and bind. Addresses are sockaddr bytes. Raises OSError of the bind.

        `control_mode` "manual" or "dynamic": to destinations instead of `destination`.
        `send_timestamp_offset`: where messages get the time they are sent at (-8: their
        reserved value), or None.
        """
        state: pointer[SendChannelEndpoint] = self.state
        options: EndpointOptions
        local: Address
        memset(address(options), 0, sizeof(EndpointOptions))
        options.socket_sndbuf_length = socket_sndbuf_length
        options.socket_rcvbuf_length = socket_rcvbuf_length
        options.multicast_ttl = multicast_ttl
        options.multicast_interface_index = multicast_interface_index
        set_address(address(options.multicast_interface), multicast_interface)
        set_address(address(options.connect_to), connect_to)
        set_address(address(local), bind_to)
        set_address(address(state.destination), destination)
        self.engine_handle = engine
        self.shared_owner = (shared, counters)
        state.engine = engine.engine
        state.shared = address(shared.state)
        state.id = endpoint_id
        state.channel_status = counter_value_address(
            address(counters.view), channel_status_counter_id
        )
        state.multicast_ttl = multicast_ttl
        state.is_multicast = is_multicast
        if control_mode:
            state.destinations.mode = (
                DESTINATIONS_MANUAL if control_mode == "manual" else DESTINATIONS_DYNAMIC
            )
            state.destinations.count_counter = counter_value_address(
                address(counters.view), destination_count_counter_id
            )
        state.is_unicast = not is_multicast and state.destinations.mode == DESTINATIONS_NONE
        state.has_group_semantics = has_group_semantics
        if send_timestamp_offset is not None:
            state.has_send_timestamp = True
            state.send_timestamp_offset = send_timestamp_offset
        state.endpoint.owner = state
        result: int32_t = state.engine.ops.endpoint_open(
            state.engine, address(state.endpoint), address(local), address(options)
        )
        if result < 0:
            state.engine = cython.NULL
            raise OSError(-result, "cannot open the channel's socket")

    def close(self) -> None:
        """Close the descriptor; only after the sender released the endpoint (or never had it)."""
        if self.state.engine != cython.NULL:
            self.state.engine.ops.endpoint_close(self.state.engine, address(self.state.endpoint))
            self.state.engine = cython.NULL

    def __dealloc__(self):
        if self.state != cython.NULL:
            int64_map_free(address(self.state.publications))
            send_destinations_free(address(self.state.destinations))
            free(self.state)

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
        """The sender will not touch the endpoint again."""
        return load_acquire_i32(address(self.state.sender_released)) != 0
