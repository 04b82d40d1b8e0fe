"""The driver name resolver: drivers tell each other their names (PROTOCOL.md section 10.7).

A driver tells its own name to the bootstrap neighbours it was given and to whoever it has heard
of, and passes on all names it knows. What was not told again for the neighbour time-out is
forgotten. Runs on the control plane; time and the socket are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from volans.driver.naming.resolution_entries import ResolutionEntry, decode_frame, encode_frames
from volans.protocol.frames import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.naming.address import SocketAddress
    from volans.driver.naming.resolve import HostLookup

DUTY_CYCLE_MS: Final = 10
# Every neighbour is told every name: strangers must make neither table long.
MAX_NAMES: Final = 2_048
MAX_NEIGHBORS: Final = 256


class Port(Protocol):
    """The socket: `volans.transport.datagram_port.DatagramPort`."""

    def send(self, destination: bytes, data: bytes, now_ns: int) -> bool: ...
    def receive(self, now_ns: int) -> list[tuple[bytes, bytes]]: ...


@dataclass(slots=True)
class GossipSettings:
    """Times in milliseconds."""

    name: str
    local_address: SocketAddress
    mtu_length: int
    neighbor_timeout_ms: int
    self_interval_ms: int
    neighbor_interval_ms: int
    bootstrap_interval_ms: int


@dataclass(slots=True)
class BootstrapNeighbor:
    """A driver to ask first; ``address`` is None while its name has none."""

    name: str
    address: SocketAddress | None = None
    is_connected: bool = False


@dataclass(slots=True)
class GossipListener:
    """What the shell does about changes; all on the control plane."""

    on_names: Callable[[int], object] = lambda _count: None
    on_neighbors: Callable[[int], object] = lambda _count: None
    on_bootstrap: Callable[[int, BootstrapNeighbor], object] = lambda _index, _neighbor: None
    on_neighbor_added: Callable[[SocketAddress], object] = lambda _address: None
    on_neighbor_removed: Callable[[SocketAddress], object] = lambda _address: None
    on_invalid: Callable[[], object] = lambda: None
    on_short_send: Callable[[], object] = lambda: None
    on_error: Callable[[BaseException], object] = lambda _error: None


@dataclass(slots=True)
class _Known:
    address: SocketAddress
    active_ms: int


@dataclass(slots=True)
class _Deadlines:
    work_ms: int = 0
    self_ms: int = 0
    neighbor_ms: int = 0
    bootstrap_ms: int = 0


class Gossip:
    """One driver's names and neighbours.

    Args:
        settings: its name, address and intervals.
        bootstrap: names of the first neighbours.
        resolve_bootstrap: asked to find a name's address and to call back with it or None, now
            or later, on the control plane.
        next_lookup: for names no driver has told.

    Threading: `do_work` on the control plane; look-ups from any thread.
    """

    def __init__(
        self,
        settings: GossipSettings,
        port: Port,
        bootstrap: list[str],
        resolve_bootstrap: Callable[[str, Callable[[SocketAddress | None], None]], None],
        next_lookup: HostLookup,
        listener: GossipListener,
        now_ms: int,
    ) -> None:
        self._settings = settings
        self._port = port
        self._resolve_bootstrap = resolve_bootstrap
        self._next = next_lookup
        self._listener = listener
        self._own_name = settings.name.encode()
        self.bootstrap = [BootstrapNeighbor(name) for name in bootstrap]
        self._names: dict[tuple[bytes, int], _Known] = {}
        self._neighbors: dict[SocketAddress, int] = {}  # → when it was last active, ms
        self._deadlines = _Deadlines(
            neighbor_ms=now_ms + settings.neighbor_interval_ms,
            bootstrap_ms=now_ms,
        )

    def __call__(self, host: str, family: int) -> SocketAddress | None:
        """The address of a host in a family; None when nobody knows one."""
        known = self._names.get((host.encode(), family))
        if known is not None:
            return known.address
        own = self._settings.local_address
        if host.encode() == self._own_name and family == own.family:
            return own
        return self._next(host, family)

    @property
    def neighbors(self) -> list[SocketAddress]:
        """Where other drivers are."""
        return list(self._neighbors)

    @property
    def names(self) -> dict[str, SocketAddress]:
        """What is known, without the own name."""
        return {
            name.decode("utf-8", "backslashreplace"): known.address
            for (name, _family), known in list(self._names.items())
        }

    def do_work(self, now_ns: int, now_ms: int) -> int:
        """One duty cycle; work count."""
        deadlines, settings = self._deadlines, self._settings
        if now_ms < deadlines.work_ms:
            return 0
        deadlines.work_ms = now_ms + DUTY_CYCLE_MS
        work = self._receive(now_ns, now_ms)
        work += self._forget_names(now_ms) + self._forget_neighbors(now_ms)
        if now_ms >= deadlines.bootstrap_ms and self.bootstrap:
            deadlines.bootstrap_ms = now_ms + settings.bootstrap_interval_ms
            self._resolve_bootstraps()
        if now_ms >= deadlines.self_ms:
            deadlines.self_ms = now_ms + settings.self_interval_ms
            work += self._tell_self(now_ns)
        if now_ms >= deadlines.neighbor_ms:
            deadlines.neighbor_ms = now_ms + settings.neighbor_interval_ms
            work += self._tell_names(now_ns, now_ms)
        return work

    # --- hearing ----------------------------------------------------------------------------------

    def _receive(self, now_ns: int, now_ms: int) -> int:
        try:
            datagrams = self._port.receive(now_ns)
        except OSError as error:
            self._listener.on_error(error)
            return 0
        for data, source in datagrams:
            try:
                entries = decode_frame(data)
            except FrameError:
                self._listener.on_invalid()
                continue
            for entry in entries:
                self._on_entry(entry, source, now_ms)
        return len(datagrams)

    def _on_entry(self, entry: ResolutionEntry, source: bytes, now_ms: int) -> None:
        address = entry.address
        if entry.is_self and address.is_wildcard_host:
            # It listens everywhere: where the datagram came from will do.
            address = type(address).from_sockaddr(source)
        if entry.name == self._own_name and address.port == self._settings.local_address.port:
            return
        active_ms = now_ms - entry.age_ms
        key = (entry.name, address.family)
        if key in self._names or len(self._names) < MAX_NAMES:
            is_new = key not in self._names
            self._names[key] = _Known(address, active_ms)
            if is_new:
                self._listener.on_names(len(self._names))
        if address not in self._neighbors:
            if len(self._neighbors) < MAX_NEIGHBORS:
                self._neighbors[address] = active_ms
                self._listener.on_neighbors(len(self._neighbors))
                self._listener.on_neighbor_added(address)
        elif entry.is_self:
            self._neighbors[address] = active_ms

    def _forget_names(self, now_ms: int) -> int:
        timeout_ms = self._settings.neighbor_timeout_ms
        old = [key for key, known in self._names.items() if known.active_ms + timeout_ms <= now_ms]
        for key in old:
            del self._names[key]
        if old:
            self._listener.on_names(len(self._names))
        return len(old)

    def _forget_neighbors(self, now_ms: int) -> int:
        timeout_ms = self._settings.neighbor_timeout_ms
        old = [
            address
            for address, active_ms in self._neighbors.items()
            if active_ms + timeout_ms <= now_ms
        ]
        for address in old:
            del self._neighbors[address]
            self._listener.on_neighbor_removed(address)
        if old:
            self._listener.on_neighbors(len(self._neighbors))
        return len(old)

    # --- telling ----------------------------------------------------------------------------------

    def _tell_self(self, now_ns: int) -> int:
        own = ResolutionEntry(self._own_name, self._settings.local_address, is_self=True)
        work = 0
        for frame in encode_frames([own], self._settings.mtu_length):
            # Each once, the first ones first.
            first = [each.address for each in self.bootstrap if each.address is not None]
            for address in dict.fromkeys([*first, *self._neighbors]):
                work += self._send(address, frame, now_ns)
        for index, each in enumerate(self.bootstrap):
            is_connected = each.address in self._neighbors
            if is_connected != each.is_connected:
                each.is_connected = is_connected
                self._listener.on_bootstrap(index, each)
        return work

    def _tell_names(self, now_ns: int, now_ms: int) -> int:
        entries = [
            ResolutionEntry(name, known.address, now_ms - known.active_ms)
            for (name, _family), known in self._names.items()
        ]
        work = 0
        for frame in encode_frames(entries, self._settings.mtu_length):
            for address in self._neighbors:
                work += self._send(address, frame, now_ns)
        return work

    def _send(self, address: SocketAddress, frame: bytes, now_ns: int) -> int:
        try:
            if not self._port.send(address.sockaddr_bytes(), frame, now_ns):
                self._listener.on_short_send()
        except OSError as error:
            self._listener.on_error(error)
            return 0
        return 1

    def _resolve_bootstraps(self) -> None:
        """Again and again for those that are no neighbours: their names may have moved."""
        for index, each in enumerate(self.bootstrap):
            if each.address is None or each.address not in self._neighbors:
                self._resolve_one(index, each)

    def _resolve_one(self, index: int, neighbor: BootstrapNeighbor) -> None:
        def resolved(address: SocketAddress | None) -> None:
            neighbor.address = address
            self._listener.on_bootstrap(index, neighbor)

        self._resolve_bootstrap(neighbor.name, resolved)
