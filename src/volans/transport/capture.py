# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Wrapper `capture`: write every datagram of an engine into a pcapng file for Wireshark."""

from __future__ import annotations

import os

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.volans.memory.atomic import cas_i32, cpu_pause, store_release_i32
from cython.cimports.volans.transport.address import (
    address_family,
    address_is_loopback,
    address_is_multicast,
    address_is_wildcard,
    address_port,
    address_set_port,
    address_wildcard_of,
)
from cython.cimports.volans.transport.capture import CapturedPeer, CaptureState
from cython.cimports.volans.transport.contract import (
    Address,
    Endpoint,
    EndpointOptions,
    Engine,
    EngineOps,
    RxDatagram,
)
from cython.cimports.volans.transport.pcapng import (
    pcapng_close,
    pcapng_datagram,
    pcapng_flush,
    pcapng_header,
    pcapng_init,
)
from cython.cimports.volans.transport.registry import EngineHandle, engine_to_wrap
from cython.cimports.volans.transport.wrapper import (
    wrapper_enter,
    wrapper_fill_ops,
    wrapper_leave,
    wrapper_new,
)

from volans.transport.errors import EngineClosedError

_ops = cython.declare(EngineOps)


@cfunc
@nogil
@exceptval(check=False)
def state_of(engine: pointer[Engine]) -> pointer[CaptureState]:
    return cast(pointer[CaptureState], engine.private_state)


@cfunc
@nogil
@exceptval(check=False)
def lock(state: pointer[CaptureState]) -> cython.void:
    while not cas_i32(address(state.lock), 0, 1):
        cpu_pause()


@cfunc
@nogil
@exceptval(check=False)
def unlock(state: pointer[CaptureState]) -> cython.void:
    store_release_i32(address(state.lock), 0)


@cfunc
@nogil
@exceptval(check=False)
def remember(
    state: pointer[CaptureState],
    endpoint: pointer[Endpoint],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> cython.void:
    known: pointer[CapturedPeer]
    grown: cython.p_void
    if state.peer_count == state.peer_capacity:
        grown = realloc(state.peers, (state.peer_capacity * 2 + 8) * sizeof(CapturedPeer))
        if grown is cython.NULL:
            return
        state.peers = cast(pointer[CapturedPeer], grown)
        state.peer_capacity = state.peer_capacity * 2 + 8
    known = address(state.peers[state.peer_count])
    state.peer_count += 1
    known.endpoint = endpoint
    known.peer = options.connect_to
    known.group = options.multicast_group
    if known.group.length == 0 and address_is_multicast(bind_to):
        known.group = bind_to[0]
    if known.group.length > 0:
        address_set_port(address(known.group), address_port(address(endpoint.local)))


@cfunc
@nogil
@exceptval(check=False)
def recall(
    state: pointer[CaptureState], endpoint: pointer[Endpoint], out: pointer[CapturedPeer]
) -> cython.bint:
    i: int32_t
    for i in range(state.peer_count):
        if state.peers[i].endpoint == endpoint:
            out[0] = state.peers[i]
            return True
    return False


@cfunc
@nogil
@exceptval(check=False)
def endpoint_open(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    state: pointer[CaptureState] = state_of(engine)
    result: int32_t = engine.inner.ops.endpoint_open(engine.inner, endpoint, bind_to, options)
    if result == 0 and (
        options.connect_to.length > 0
        or options.multicast_group.length > 0
        or address_is_multicast(bind_to)
    ):
        lock(state)
        remember(state, endpoint, bind_to, options)
        unlock(state)
    return result


@cfunc
@nogil
@exceptval(check=False)
def endpoint_close(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    state: pointer[CaptureState] = state_of(engine)
    i: int32_t
    lock(state)
    for i in range(state.peer_count):
        if state.peers[i].endpoint == endpoint:
            state.peer_count -= 1
            state.peers[i] = state.peers[state.peer_count]
            break
    unlock(state)
    engine.inner.ops.endpoint_close(engine.inner, endpoint)


@cfunc
@nogil
@exceptval(check=False)
def own_address(
    endpoint: pointer[Endpoint], other: pointer[cython.const[Address]], out: pointer[Address]
) -> cython.void:
    """The endpoint's address; a wildcard that talks to loopback is loopback."""
    out[0] = endpoint.local
    if other.length > 0 and address_is_wildcard(out) and address_is_loopback(other):
        address_wildcard_of(out, address_family(other), address_port(address(endpoint.local)))
        if out.length == 16:
            out.bytes[4] = 127
            out.bytes[7] = 1
        else:
            out.bytes[23] = 1


@cfunc
@nogil
@exceptval(check=False)
def capture_received(engine: pointer[Engine], datagram: pointer[RxDatagram]) -> cython.void:
    state: pointer[CaptureState] = state_of(engine)
    local: Address
    known: CapturedPeer
    at: int32_t = 0
    step: int32_t = datagram.segment_length
    if step <= 0:
        step = datagram.length
    own_address(datagram.endpoint, address(datagram.source), address(local))
    known.group.length = 0
    if state.peer_count > 0:
        lock(state)
        recall(state, datagram.endpoint, address(known))
        unlock(state)
        if known.group.length > 0:
            local = known.group
    while True:
        if step > datagram.length - at:
            step = datagram.length - at
        pcapng_datagram(
            address(state.file),
            engine.now_ns + state.epoch_offset_ns,
            False,
            address(datagram.source),
            address(local),
            datagram.data + at,
            step,
        )
        at += step
        if at >= datagram.length:
            return


@cfunc
@nogil
@exceptval(check=False)
def capture_sent(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> cython.void:
    state: pointer[CaptureState] = state_of(engine)
    local: Address
    to: Address
    known: CapturedPeer
    if destination is not cython.NULL and destination.length > 0:
        to = destination[0]
    else:
        known.peer.length = 0
        lock(state)
        recall(state, endpoint, address(known))
        unlock(state)
        to = known.peer
        if to.length == 0:
            address_wildcard_of(address(to), address_family(address(endpoint.local)), 0)
    own_address(endpoint, address(to), address(local))
    pcapng_datagram(
        address(state.file),
        engine.now_ns + state.epoch_offset_ns,
        True,
        address(local),
        address(to),
        data,
        length,
    )


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    inner: pointer[Engine] = wrapper_enter(engine)
    count: int32_t = inner.ops.rx_poll(inner, out, limit)
    i: int32_t
    if state_of(engine).captures_rx:
        for i in range(count):
            capture_received(engine, address(out[i]))
    wrapper_leave(engine)
    return count


@cfunc
@nogil
@exceptval(check=False)
def tx_run(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    base: pointer[cython.const[uint8_t]],
    segment_length: int32_t,
    segment_count: int32_t,
    last_length: int32_t,
) -> int32_t:
    inner: pointer[Engine] = wrapper_enter(engine)
    accepted: int32_t = inner.ops.tx_run(
        inner, endpoint, destination, base, segment_length, segment_count, last_length
    )
    i: int32_t
    if state_of(engine).captures_tx:
        for i in range(accepted):
            capture_sent(
                engine,
                endpoint,
                destination,
                base + cast(cython.size_t, i) * segment_length,
                segment_length if i < segment_count - 1 else last_length,
            )
    return accepted


@cfunc
@nogil
@exceptval(check=False)
def tx_copy(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    inner: pointer[Engine] = wrapper_enter(engine)
    accepted: int32_t = inner.ops.tx_copy(inner, endpoint, destination, data, length)
    if accepted > 0 and state_of(engine).captures_tx:
        capture_sent(engine, endpoint, destination, data, length)
    return accepted


@cfunc
@nogil
@exceptval(check=False)
def close_engine(engine: pointer[Engine]) -> cython.void:
    state: pointer[CaptureState] = state_of(engine)
    pcapng_close(address(state.file))
    free(state.peers)
    free(state)
    free(engine)


wrapper_fill_ops(address(_ops))
_ops.name = b"capture"
_ops.endpoint_open = endpoint_open
_ops.endpoint_close = endpoint_close
_ops.rx_poll = rx_poll
_ops.tx_run = tx_run
_ops.tx_copy = tx_copy
_ops.close = close_engine


@cclass
class CaptureEngine(EngineHandle):
    """Writes what an engine sends and receives into ``path`` (made or emptied).

    ``handle`` is the engine to wrap; closing this writes the rest and closes it.
    ``interface_name`` names the interface in the file. Time stamps are the engine's ``now_ns``
    plus ``epoch_offset_ns`` (nanoseconds from 1970 to that clock's zero). ``direction`` is "rx",
    "tx" or "both"; ``snap_length_bytes`` cuts payloads. Datagrams are captured when the engine
    takes them for sending, before they leave. Should the disk refuse, capturing ends and
    ``error`` says why; the traffic goes on.

    Raises OSError (the path), ValueError, EngineClosedError.
    """

    def __init__(
        self,
        handle: EngineHandle,
        path,
        *,
        interface_name: str = "volans",
        epoch_offset_ns: int64_t = 0,
        direction: str = "both",
        snap_length_bytes: int32_t = 65535,
    ):
        engine: pointer[Engine] = cython.NULL
        if self.engine is not cython.NULL:
            raise ValueError("a CaptureEngine is initialised once")
        if direction not in ("rx", "tx", "both"):
            raise ValueError(f"direction {direction!r} is unknown: choose rx, tx or both")
        if not 0 <= snap_length_bytes <= 65535:
            raise ValueError(f"snap_length_bytes is {snap_length_bytes}: choose from 0 to 65535")
        interface: bytes = interface_name.encode()
        if not 1 <= len(interface) <= 1024:
            raise ValueError(f"interface_name has {len(interface)} bytes: choose from 1 to 1024")
        if handle.engine is cython.NULL or handle.is_wrapped:
            engine_to_wrap(handle, address(engine))  # says which
        descriptor: int32_t = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
        )
        state: pointer[CaptureState] = cast(pointer[CaptureState], calloc(1, sizeof(CaptureState)))
        if state is cython.NULL or (
            pcapng_init(address(state.file), descriptor, snap_length_bytes) < 0
        ):
            free(state)
            os.close(descriptor)
            raise MemoryError
        engine_to_wrap(handle, address(engine))
        state.epoch_offset_ns = epoch_offset_ns
        state.captures_rx = direction != "tx"
        state.captures_tx = direction != "rx"
        pcapng_header(address(state.file), interface, len(interface))
        self.path = path
        self.adopt(wrapper_new(address(_ops), engine, state), f"capture({handle.name})", handle)

    def flush(self) -> None:
        """Write what is buffered. Only by the thread that owns the engine."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        with nogil:
            pcapng_flush(address(state_of(self.engine).file))

    @property
    def packet_count(self) -> int:
        """Datagrams captured."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return state_of(self.engine).file.packet_count

    @property
    def error(self) -> int:
        """The errno that ended the capture, 0 while all is well."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return state_of(self.engine).file.error
