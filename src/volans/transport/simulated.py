# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Engine `simulated`: a whole network in memory, under the caller's clock, from one seed."""

from __future__ import annotations

import errno as error_numbers

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import EBADF, EDESTADDRREQ
from cython.cimports.libc.stdint import INT32_MAX, INT64_MAX, int32_t, int64_t, uint8_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.transport.address import (
    address_from_text,
    address_is_multicast,
    address_is_wildcard,
)
from cython.cimports.volans.transport.contract import (
    MAX_DATAGRAM_LENGTH,
    Address,
    Endpoint,
    EndpointOptions,
    Engine,
    EngineOps,
    RxDatagram,
)
from cython.cimports.volans.transport.layout import TxRun
from cython.cimports.volans.transport.poll_set import (
    poll_set_add,
    poll_set_free,
    poll_set_init,
    poll_set_remove,
)
from cython.cimports.volans.transport.registry import EngineHandle, wrap_engine
from cython.cimports.volans.transport.simulated_layout import (
    SIMULATED_HOSTS_MAX,
    SimEngine,
    SimLink,
    SimNetwork,
    SimPacket,
    SimPort,
)
from cython.cimports.volans.transport.simulated_network import (
    sim_host,
    sim_link,
    sim_lock,
    sim_network_free,
    sim_network_new,
    sim_next_delivery_ns,
    sim_packet_before,
    sim_port_close,
    sim_port_open,
    sim_port_take,
    sim_send,
    sim_unlock,
)
from cython.cimports.volans.transport.tx_queue import (
    tx_queue_compact,
    tx_queue_copy,
    tx_queue_forget,
    tx_queue_forget_endpoint,
    tx_queue_free,
    tx_queue_init,
    tx_queue_run,
    tx_queue_settle,
    tx_run_length,
)

_ops = cython.declare(EngineOps)


@cfunc
@nogil
@exceptval(check=False)
def state_of(engine: pointer[Engine]) -> pointer[SimEngine]:
    return cast(pointer[SimEngine], engine.private_state)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_open(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    state: pointer[SimEngine] = state_of(engine)
    result: int32_t
    sim_lock(state.network)
    result = sim_port_open(state.network, state.host, endpoint, bind_to, options)
    sim_unlock(state.network)
    return result


@cfunc
@nogil
@exceptval(check=False)
def endpoint_close(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    state: pointer[SimEngine] = state_of(engine)
    if endpoint.private_state is cython.NULL:
        return
    sim_lock(state.network)
    sim_port_close(state.network, cast(pointer[SimPort], endpoint.private_state))
    sim_unlock(state.network)
    endpoint.private_state = cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def endpoint_add(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> int32_t:
    if endpoint.private_state is cython.NULL:
        return -EBADF
    return poll_set_add(address(state_of(engine).poll_set), endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_remove(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    tx_queue_forget_endpoint(address(state_of(engine).tx), endpoint)
    poll_set_remove(address(state_of(engine).poll_set), endpoint)


@cfunc
@nogil
@exceptval(check=False)
def endpoint_connect(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    peer: pointer[cython.const[Address]],
) -> int32_t:
    if endpoint.private_state is cython.NULL:
        return -EBADF
    sim_lock(state_of(engine).network)
    cast(pointer[SimPort], endpoint.private_state).peer = peer[0]
    sim_unlock(state_of(engine).network)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def earliest_port(state: pointer[SimEngine], now_ns: int64_t) -> pointer[SimPort]:
    found: pointer[SimPort] = cython.NULL
    port: pointer[SimPort]
    i: int32_t
    for i in range(state.poll_set.count):
        port = cast(pointer[SimPort], state.poll_set.endpoints[i].private_state)
        if (
            port.heap_count > 0
            and port.heap[0].deliver_at_ns <= now_ns
            and (found is cython.NULL or sim_packet_before(port.heap[0], found.heap[0]))
        ):
            found = port
    return found


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    state: pointer[SimEngine] = state_of(engine)
    port: pointer[SimPort]
    packet: pointer[SimPacket]
    count: int32_t = 0
    sim_lock(state.network)
    while count < limit:
        port = earliest_port(state, engine.now_ns)
        if port is cython.NULL:
            break
        packet = sim_port_take(state.network, port)
        out[count].data = cast(pointer[uint8_t], packet + 1)
        out[count].length = packet.length
        out[count].flags = 0
        out[count].segment_length = 0
        out[count].receive_timestamp_ns = packet.deliver_at_ns
        out[count].channel_timestamp_ns = engine.now_ns
        out[count].endpoint = port.endpoint
        out[count].source = packet.source
        engine.stats.bytes_received += packet.length
        count += 1
    sim_unlock(state.network)
    engine.stats.datagrams_received += count
    return count


@cfunc
@nogil
@exceptval(check=False)
def rx_release(
    engine: pointer[Engine], datagrams: pointer[RxDatagram], count: int32_t
) -> cython.void:
    i: int32_t
    for i in range(count):
        free(cast(pointer[SimPacket], datagrams[i].data) - 1)


@cfunc
@nogil
@exceptval(check=False)
def target(
    endpoint: pointer[Endpoint], destination: pointer[cython.const[Address]]
) -> pointer[cython.const[Address]]:
    """The connected peer before the given destination; NULL when there is neither."""
    port: pointer[SimPort] = cast(pointer[SimPort], endpoint.private_state)
    if port.peer.length > 0:
        return address(port.peer)
    if destination is cython.NULL or destination.length == 0:
        return cython.NULL
    return destination


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
    if endpoint.private_state is cython.NULL:
        return -EBADF
    destination = target(endpoint, destination)
    if destination is cython.NULL:
        return -EDESTADDRREQ
    return tx_queue_run(
        address(state_of(engine).tx),
        endpoint,
        destination,
        base,
        segment_length,
        segment_count,
        last_length,
    )


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
    if endpoint.private_state is cython.NULL:
        return -EBADF
    destination = target(endpoint, destination)
    if destination is cython.NULL:
        return -EDESTADDRREQ
    return tx_queue_copy(address(state_of(engine).tx), endpoint, destination, data, length)


@cfunc
@nogil
@exceptval(check=False)
def tx_flush(engine: pointer[Engine]) -> int32_t:
    state: pointer[SimEngine] = state_of(engine)
    run: pointer[TxRun]
    sent: int32_t = 0
    length: int32_t
    i: int32_t
    if state.tx.run_count == 0:
        return 0
    sim_lock(state.network)
    for i in range(state.tx.run_count):
        run = address(state.tx.runs[i])
        while run.done < run.segment_count:
            length = tx_run_length(run, run.done)
            sim_send(
                state.network,
                cast(pointer[SimPort], run.endpoint.private_state),
                address(run.destination),
                run.base + cast(cython.size_t, run.done) * run.segment_length,
                length,
                engine.now_ns,
            )
            engine.stats.bytes_sent += length
            sent += 1
            tx_queue_settle(address(state.tx), i, 1)
    sim_unlock(state.network)
    tx_queue_compact(address(state.tx))
    engine.stats.datagrams_sent += sent
    return sent


@cfunc
@nogil
@exceptval(check=False)
def tx_forget(
    engine: pointer[Engine], base: pointer[cython.const[uint8_t]], length: int64_t
) -> cython.void:
    tx_queue_forget(address(state_of(engine).tx), base, length)


@cfunc
@nogil
@exceptval(check=False)
def wait_descriptor(engine: pointer[Engine]) -> int32_t:
    return -1


@cfunc
@nogil
@exceptval(check=False)
def close_engine(engine: pointer[Engine]) -> cython.void:
    state: pointer[SimEngine] = state_of(engine)
    poll_set_free(address(state.poll_set))
    tx_queue_free(address(state.tx))
    free(state)
    free(engine)


@cfunc
@nogil
@exceptval(check=False)
def new_engine(
    network: pointer[SimNetwork], host: int32_t, tx_queue_count: int32_t
) -> pointer[Engine]:
    engine: pointer[Engine] = cast(pointer[Engine], calloc(1, sizeof(Engine)))
    state: pointer[SimEngine] = cast(pointer[SimEngine], calloc(1, sizeof(SimEngine)))
    if engine is cython.NULL or state is cython.NULL:
        free(engine)
        free(state)
        return cython.NULL
    state.network = network
    state.host = host
    engine.ops = address(_ops)
    engine.private_state = state
    engine.caps.max_burst = tx_queue_count
    engine.caps.max_segments = 1
    engine.caps.max_datagram_length = MAX_DATAGRAM_LENGTH
    engine.caps.receive_timestamps = 1
    if (
        poll_set_init(address(state.poll_set), INT32_MAX) < 0
        or tx_queue_init(address(state.tx), tx_queue_count) < 0
    ):
        close_engine(engine)
        return cython.NULL
    return engine


_ops.name = b"simulated"
_ops.endpoint_open = endpoint_open
_ops.endpoint_close = endpoint_close
_ops.endpoint_add = endpoint_add
_ops.endpoint_connect = endpoint_connect
_ops.endpoint_remove = endpoint_remove
_ops.rx_poll = rx_poll
_ops.rx_release = rx_release
_ops.tx_run = tx_run
_ops.tx_copy = tx_copy
_ops.tx_flush = tx_flush
_ops.tx_forget = tx_forget
_ops.wait_descriptor = wait_descriptor
_ops.close = close_engine


@cclass
class SimulatedNetwork:
    """Hosts and the links between them, in memory.

    ``seed`` decides every fault; ``queue_capacity_count`` is how many datagrams may be on
    their way to one endpoint (more are dropped and counted as ``overflowed``). Time is what
    the engines are told: a datagram becomes receivable when the receiving engine's
    ``now_ns`` reaches its delivery time. Same seed and same calls give the same datagrams,
    and so the same ``trace_hash``. At most 64 hosts.

    Threading: engines of one network may live on several threads, but only one thread gives
    a reproducible run.
    """

    def __cinit__(self, seed: int, *, queue_capacity_count: int32_t = 4096):
        if queue_capacity_count < 1:
            raise ValueError(f"queue_capacity_count is {queue_capacity_count}: choose 1 or more")
        self.seed = seed
        self.network = sim_network_new(cast(uint64_t, seed & ((1 << 64) - 1)), queue_capacity_count)
        if self.network is cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.network is not cython.NULL:
            sim_network_free(self.network)

    @cfunc
    @nogil
    @exceptval(check=False)
    def next_delivery(self) -> int64_t:
        result: int64_t
        sim_lock(self.network)
        result = sim_next_delivery_ns(self.network)
        sim_unlock(self.network)
        return result

    def engine(
        self, host: str = "127.0.0.1", *, role: str = "receiver", tx_queue_count: int32_t = 256
    ) -> EngineHandle:
        """An engine on ``host`` (a numeric address). Engines of one host share its ports."""
        if not 1 <= tx_queue_count <= 65536:
            raise ValueError(f"tx_queue_count is {tx_queue_count}: choose from 1 to 65536")
        return wrap_engine(
            new_engine(self.network, self._host(host), tx_queue_count), "simulated", self
        )

    def configure(
        self,
        source: str | None = None,
        destination: str | None = None,
        *,
        loss: float | None = None,
        duplicate: float | None = None,
        reorder: float | None = None,
        corrupt: float | None = None,
        delay_min_ns: int | None = None,
        delay_max_ns: int | None = None,
        partitioned: bool | None = None,
    ) -> None:
        """Set what happens to datagrams from ``source`` to ``destination`` from now on.

        Without hosts: on every link that has no settings of its own. ``loss``, ``duplicate``,
        ``reorder`` (up to 8 places late) and ``corrupt`` (one bit flipped) are probabilities.
        Delays are uniform from ``delay_min_ns`` to ``delay_max_ns``; what is not reordered
        keeps its order. None leaves a setting as it is.

        Raises ValueError naming the setting.
        """
        for name, value in (
            ("loss", loss),
            ("duplicate", duplicate),
            ("reorder", reorder),
            ("corrupt", corrupt),
        ):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}: a probability from 0 to 1 is needed")
        if (source is None) != (destination is None):
            raise ValueError("a link needs both source and destination, or neither")
        link: pointer[SimLink] = address(self.network.default_link)
        if source is not None:
            link = sim_link(self.network, self._host(source), self._host(destination))
        base: pointer[SimLink] = (
            link if source is None or link.is_set else address(self.network.default_link)
        )
        delay_min: int64_t = base.delay_min_ns if delay_min_ns is None else delay_min_ns
        delay_max: int64_t = base.delay_max_ns if delay_max_ns is None else delay_max_ns
        if delay_max_ns is None and delay_max < delay_min:
            delay_max = delay_min
        if not 0 <= delay_min <= delay_max:
            raise ValueError(
                f"delay_min_ns {delay_min} and delay_max_ns {delay_max} are no range from 0 up"
            )
        sim_lock(self.network)
        last_delivery_ns: int64_t = link.last_delivery_ns
        if base != link:
            link[0] = base[0]
            link.last_delivery_ns = last_delivery_ns
        if loss is not None:
            link.loss = loss
        if duplicate is not None:
            link.duplicate = duplicate
        if reorder is not None:
            link.reorder = reorder
        if corrupt is not None:
            link.corrupt = corrupt
        if partitioned is not None:
            link.is_partitioned = bool(partitioned)
        link.delay_min_ns = delay_min
        link.delay_max_ns = delay_max
        if source is not None:
            link.is_set = 1
        sim_unlock(self.network)

    def partition(self, one: str, other: str) -> None:
        """Cut both directions between two hosts."""
        self.configure(one, other, partitioned=True)
        self.configure(other, one, partitioned=True)

    def heal(self, one: str, other: str) -> None:
        """Join two hosts again."""
        self.configure(one, other, partitioned=False)
        self.configure(other, one, partitioned=False)

    @property
    def next_delivery_ns(self) -> int | None:
        """When the next datagram becomes receivable, None when none is on its way."""
        result: int64_t = self.next_delivery()
        return None if result == INT64_MAX else result

    @property
    def in_flight_count(self) -> int:
        """Datagrams sent and not yet received."""
        total: int64_t = 0
        i: int32_t
        sim_lock(self.network)
        for i in range(self.network.port_count):
            total += self.network.ports[i].heap_count
        sim_unlock(self.network)
        return total

    @property
    def trace_hash(self) -> int:
        """A running 64-bit hash over every datagram received: time, where, whence, bytes."""
        return self.network.trace_hash

    @property
    def stats(self) -> dict:
        """Datagrams offered, delivered, lost, partitioned, duplicated, reordered, corrupted,
        overflowed (queue full) and unroutable (nobody bound there)."""
        return self.network.stats

    @cfunc
    @exceptval(-1, check=False)
    def _host(self, host: str) -> int32_t:
        at: Address
        number: int32_t
        address_from_text(address(at), host, 0)
        if address_is_multicast(address(at)) or address_is_wildcard(address(at)):
            raise ValueError(f"host {host} is no unicast address: give each host its own")
        sim_lock(self.network)
        number = sim_host(self.network, address(at))
        sim_unlock(self.network)
        if number < 0:
            raise OSError(
                error_numbers.ENOSPC,
                f"host {host} is one too many: a network holds {SIMULATED_HOSTS_MAX}",
            )
        return number


def create_engine(
    role: str, *, network: SimulatedNetwork, host: str = "127.0.0.1", **options
) -> EngineHandle:
    """An engine of ``network`` on ``host``; further options as for ``network.engine``."""
    return network.engine(host, role=role, **options)
