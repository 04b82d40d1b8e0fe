# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""One bound address on an engine of its own, for the control plane's few datagrams."""

from __future__ import annotations

import os

import cython
from cython import address, cast, cclass, cfunc, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.transport.contract import (
    ENGINE_MAX_BURST,
    RX_FLAG_TRUNCATED,
    Address,
    Endpoint,
    EndpointOptions,
    Engine,
    RxDatagram,
)
from cython.cimports.volans.transport.registry import EngineHandle

from volans.transport.errors import EngineClosedError


@cfunc
def set_sockaddr(out: pointer[Address], sockaddr: bytes) -> object:
    if len(sockaddr) not in (16, 28):
        raise ValueError(f"socket address of {len(sockaddr)} bytes: 16 or 28 are possible")
    memset(out, 0, sizeof(Address))
    memcpy(out.bytes, cast(cython.p_char, sockaddr), len(sockaddr))
    out.length = cast(int32_t, len(sockaddr))


@cclass
class DatagramPort:
    """Sends and receives datagrams as bytes; nothing blocks.

    Args:
        handle: the engine; nobody else may use it. Closing the port closes it.
        bind_to: sockaddr bytes, port 0 for any.
        socket_sndbuf_length, socket_rcvbuf_length: bytes; 0 leaves the system's default.

    Raises OSError with the engine's errno. Threading: one thread.
    """

    handle: EngineHandle
    endpoint: Endpoint
    received: RxDatagram[ENGINE_MAX_BURST]
    is_open: cython.bint

    def __init__(
        self,
        handle: EngineHandle,
        bind_to: bytes,
        *,
        socket_sndbuf_length: int32_t = 0,
        socket_rcvbuf_length: int32_t = 0,
    ):
        local: Address
        options: EndpointOptions
        result: int32_t
        if handle.engine is cython.NULL:
            raise EngineClosedError(f"the {handle.name} engine is closed: make a new one")
        memset(address(self.endpoint), 0, sizeof(Endpoint))
        memset(address(options), 0, sizeof(EndpointOptions))
        options.socket_sndbuf_length = socket_sndbuf_length
        options.socket_rcvbuf_length = socket_rcvbuf_length
        set_sockaddr(address(local), bind_to)
        self.handle = handle
        engine: pointer[Engine] = handle.engine
        result = engine.ops.endpoint_open(
            engine, address(self.endpoint), address(local), address(options)
        )
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        self.is_open = True
        result = engine.ops.endpoint_add(engine, address(self.endpoint))
        if result < 0:
            engine.ops.endpoint_close(engine, address(self.endpoint))
            self.is_open = False
            raise OSError(-result, os.strerror(-result))

    def send(self, destination: bytes, data: bytes, now_ns: int64_t) -> bool:
        """Send one datagram now; False when the network would not take it."""
        to: Address
        result: int32_t
        self._check_open()
        engine: pointer[Engine] = self.handle.engine
        set_sockaddr(address(to), destination)
        engine.now_ns = now_ns
        result = engine.ops.tx_copy(
            engine,
            address(self.endpoint),
            address(to),
            cast(pointer[uint8_t], cast(cython.p_char, data)),
            cast(int32_t, len(data)),
        )
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result == 1 and engine.ops.tx_flush(engine) >= 1

    def receive(self, now_ns: int64_t) -> list:
        """(data, sockaddr bytes of the source) of what came in; truncated ones are left out."""
        self._check_open()
        engine: pointer[Engine] = self.handle.engine
        count: int32_t
        i: int32_t
        found: list = []
        engine.now_ns = now_ns
        count = engine.ops.rx_poll(engine, self.received, ENGINE_MAX_BURST)
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        for i in range(count):
            if not self.received[i].flags & RX_FLAG_TRUNCATED:
                found.append(
                    (
                        cast(cython.p_char, self.received[i].data)[: self.received[i].length],
                        cast(cython.p_char, self.received[i].source.bytes)[
                            : self.received[i].source.length
                        ],
                    )
                )
        if count > 0:
            engine.ops.rx_release(engine, self.received, count)
        return found

    @property
    def local_address(self) -> bytes:
        """sockaddr bytes as bound."""
        return cast(cython.p_char, self.endpoint.local.bytes)[: self.endpoint.local.length]

    def close(self) -> None:
        """Close the socket and the engine; may be called again."""
        engine: pointer[Engine] = self.handle.engine
        if self.is_open and engine is not cython.NULL:
            self.is_open = False
            engine.ops.endpoint_remove(engine, address(self.endpoint))
            engine.ops.endpoint_close(engine, address(self.endpoint))
        self.handle.close()

    @cfunc
    def _check_open(self) -> object:
        if not self.is_open or self.handle.engine is cython.NULL:
            raise EngineClosedError("the port is closed")
