# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Drive a transport engine from Python: what the driver's agents do, one call at a time."""

from __future__ import annotations

import os
from typing import NamedTuple

import cython
from cython import address, cast, cclass, cfunc, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.volans.transport.address import address_from_text, address_to_text
from cython.cimports.volans.transport.contract import (
    RX_FLAG_TRUNCATED,
    Address,
    Endpoint,
    EndpointOptions,
    Engine,
    RxDatagram,
)
from cython.cimports.volans.transport.registry import EngineHandle

POLL_LIMIT = 1024


class Received(NamedTuple):
    """One datagram: its bytes, (host, port) it came from, the endpoint's number, flags, and when
    the system and the engine had it (epoch ns, 0: not taken)."""

    data: bytes
    source: tuple | None
    endpoint: int
    is_truncated: bool = False
    receive_timestamp_ns: int = 0
    channel_timestamp_ns: int = 0


@cclass
class EngineDriver:
    """The Python face of an engine for tests. Endpoints are known by the number ``open`` gave.

    Threading: one thread. Sent buffers are kept alive until ``close``. Closing closes the
    endpoints, then the handle. Raises OSError with the engine's errno.
    """

    _handle: EngineHandle
    _endpoints: pointer[pointer[Endpoint]]
    _states: list
    _kept: list
    _received: pointer[RxDatagram]
    _held_count: int32_t

    def __cinit__(self, handle: EngineHandle):
        self._handle = handle
        self._states = []
        self._kept = []
        self._endpoints = cast(
            pointer[pointer[Endpoint]], calloc(POLL_LIMIT, sizeof(cython.p_void))
        )
        self._received = cast(pointer[RxDatagram], calloc(POLL_LIMIT, sizeof(RxDatagram)))
        if self._endpoints is cython.NULL or self._received is cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        i: int32_t
        for i in range(POLL_LIMIT):
            if self._endpoints is not cython.NULL:
                free(self._endpoints[i])
        free(self._endpoints)
        free(self._received)

    @cfunc
    def _engine(self) -> pointer[Engine]:
        if self._handle.engine is cython.NULL:
            raise ValueError("the engine is closed")
        return self._handle.engine

    @cfunc
    def _endpoint(self, number: int32_t, wanted: str) -> object:
        if not 0 <= number < len(self._states):
            raise IndexError(f"endpoint {number} of {len(self._states)}")
        if self._states[number] not in wanted.split("|"):
            raise ValueError(f"endpoint {number} is {self._states[number]}, not {wanted}")
        return None

    def open(
        self,
        host: str,
        port: int = 0,
        *,
        add: bool = True,
        socket_sndbuf_length: int = 0,
        socket_rcvbuf_length: int = 0,
        multicast_group: tuple | None = None,
        multicast_interface: str | None = None,
        multicast_interface_index: int = 0,
        multicast_ttl: int = 0,
        connect_to: tuple | None = None,
        timestamps: int = 0,
    ) -> int:
        """Open (and add) an endpoint bound to ``host`` and ``port``; returns its number."""
        engine: pointer[Engine] = self._engine()
        bind_to: Address
        options: EndpointOptions
        result: int32_t
        number: int32_t = len(self._states)
        if number >= POLL_LIMIT:
            raise ValueError(f"more than {POLL_LIMIT} endpoints: use a second EngineDriver")
        memset(address(options), 0, sizeof(EndpointOptions))
        address_from_text(address(bind_to), host, port)
        options.socket_sndbuf_length = socket_sndbuf_length
        options.socket_rcvbuf_length = socket_rcvbuf_length
        options.multicast_ttl = multicast_ttl
        options.timestamps = timestamps
        options.multicast_interface_index = multicast_interface_index
        if multicast_group is not None:
            address_from_text(
                address(options.multicast_group), multicast_group[0], multicast_group[1]
            )
        if multicast_interface is not None:
            address_from_text(address(options.multicast_interface), multicast_interface, 0)
        if connect_to is not None:
            address_from_text(address(options.connect_to), connect_to[0], connect_to[1])
        endpoint: pointer[Endpoint] = cast(pointer[Endpoint], calloc(1, sizeof(Endpoint)))
        if endpoint is cython.NULL:
            raise MemoryError
        result = engine.ops.endpoint_open(engine, endpoint, address(bind_to), address(options))
        if result < 0:
            free(endpoint)
            _raise_errno(result, f"open {host}:{port}")
        self._endpoints[number] = endpoint
        self._states.append("open")
        if add:
            self.add(number)
        return number

    def add(self, number: int) -> None:
        """Begin polling an endpoint."""
        self._endpoint(number, "open")
        _raise_errno(
            self._engine().ops.endpoint_add(self._engine(), self._endpoints[cast(int32_t, number)]),
            "add",
        )
        self._states[number] = "added"

    def remove(self, number: int) -> None:
        """End polling an endpoint; its queued sends are forgotten."""
        self._endpoint(number, "added")
        self._engine().ops.endpoint_remove(self._engine(), self._endpoints[cast(int32_t, number)])
        self._states[number] = "open"

    def close_endpoint(self, number: int) -> None:
        """Remove an endpoint if it is polled, and close it."""
        self._endpoint(number, "added|open")
        if self._states[number] == "added":
            self.remove(number)
        self._engine().ops.endpoint_close(self._engine(), self._endpoints[cast(int32_t, number)])
        self._states[number] = "closed"

    def local(self, number: int) -> tuple:
        """(host, port) as bound."""
        self._endpoint(number, "added|open")
        return address_to_text(address(self._endpoints[cast(int32_t, number)].local))

    def descriptor(self, number: int) -> int:
        """The endpoint's descriptor, -1 when there is none."""
        self._endpoint(number, "added|open")
        return self._endpoints[cast(int32_t, number)].descriptor

    def buffer_lengths(self, number: int) -> tuple:
        """(send, receive) buffer lengths as granted."""
        self._endpoint(number, "added|open")
        endpoint: pointer[Endpoint] = self._endpoints[cast(int32_t, number)]
        return endpoint.socket_sndbuf_length, endpoint.socket_rcvbuf_length

    def send_run(
        self,
        number: int,
        destination: tuple | None,
        data: bytes,
        segment_length: int,
        segment_count: int,
        last_length: int | None = None,
        offset: int = 0,
    ) -> int:
        """Queue a run lying in ``data`` (not copied); returns how many were accepted."""
        self._endpoint(number, "added|open")
        last: int = segment_length if last_length is None else last_length
        if segment_count > 0 and min(segment_length, last, offset) >= 0:
            end = offset + segment_length * (segment_count - 1) + last
            if end > len(data):
                raise ValueError(f"the run ends at {end}, the data at {len(data)}")
        to: Address
        to.length = 0
        if destination is not None:
            address_from_text(address(to), destination[0], destination[1])
        self._kept.append(data)
        base: pointer[uint8_t] = data
        engine: pointer[Engine] = self._engine()
        result: int32_t = engine.ops.tx_run(
            engine,
            self._endpoints[cast(int32_t, number)],
            address(to) if destination is not None else cython.NULL,
            base + cast(int64_t, offset),
            segment_length,
            segment_count,
            last,
        )
        _raise_errno(result, "send_run")
        return result

    def send_copy(self, number: int, destination: tuple | None, data: bytes) -> int:
        """Queue one datagram, copied at once; returns 1, or 0 when the queue is full."""
        self._endpoint(number, "added|open")
        to: Address
        to.length = 0
        if destination is not None:
            address_from_text(address(to), destination[0], destination[1])
        base: pointer[uint8_t] = data
        engine: pointer[Engine] = self._engine()
        result: int32_t = engine.ops.tx_copy(
            engine,
            self._endpoints[cast(int32_t, number)],
            address(to) if destination is not None else cython.NULL,
            base,
            len(data),
        )
        _raise_errno(result, "send_copy")
        return result

    def flush(self) -> int:
        """Hand everything queued to the network; returns how many datagrams it took."""
        result: int32_t = self._engine().ops.tx_flush(self._engine())
        _raise_errno(result, "flush")
        return result

    def forget(self, data: bytes, offset: int = 0, length: int | None = None) -> None:
        """Drop queued datagrams that lie in ``data`` (from ``offset`` on for ``length`` bytes)."""
        base: pointer[uint8_t] = data
        count: int64_t = len(data) - offset if length is None else length
        self._engine().ops.tx_forget(self._engine(), base + cast(int64_t, offset), count)

    def poll(self, limit: int = 64, *, release: bool = True) -> list:
        """Up to ``limit`` received datagrams. Without ``release`` the engine keeps its buffers
        until :meth:`release`."""
        if self._held_count:
            raise ValueError(f"{self._held_count} datagrams are held: release them first")
        if not 0 <= limit <= POLL_LIMIT:
            raise ValueError(f"limit {limit} is outside 0 to {POLL_LIMIT}")
        engine: pointer[Engine] = self._engine()
        count: int32_t = engine.ops.rx_poll(engine, self._received, limit)
        _raise_errno(count, "poll")
        datagrams: list = []
        i: int32_t
        number: int32_t = 0
        for i in range(count):
            found: pointer[RxDatagram] = address(self._received[i])
            for number in range(len(self._states)):
                if self._endpoints[number] == found.endpoint:
                    break
            datagrams.append(
                Received(
                    cast(pointer[cython.char], found.data)[: found.length],
                    address_to_text(address(found.source)),
                    number,
                    bool(found.flags & RX_FLAG_TRUNCATED),
                    found.receive_timestamp_ns,
                    found.channel_timestamp_ns,
                )
            )
        self._held_count = count
        if release:
            self.release()
        return datagrams

    def release(self) -> None:
        """Give the buffers of the last poll back to the engine."""
        engine: pointer[Engine] = self._engine()
        engine.ops.rx_release(engine, self._received, self._held_count)
        self._held_count = 0

    def set_now_ns(self, now_ns: int) -> None:
        """What time the engine believes it is."""
        self._engine().now_ns = now_ns

    def wait_descriptor(self) -> int:
        """A descriptor to wait on, or a negative number."""
        return self._engine().ops.wait_descriptor(self._engine())

    @property
    def stats(self) -> dict:
        """The engine's counts."""
        return self._handle.stats

    @property
    def handle(self) -> EngineHandle:
        """What was given."""
        return self._handle

    def close(self) -> None:
        """Close all endpoints and the engine; may be called again."""
        if self._handle.engine is cython.NULL:
            return
        if self._held_count:
            self.release()
        for number, state in enumerate(self._states):
            if state != "closed":
                self.close_endpoint(number)
        self._handle.close()
        self._kept.clear()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def _raise_errno(result, what):
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
