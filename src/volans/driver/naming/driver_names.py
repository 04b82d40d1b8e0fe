"""The resolver that the settings ask for: system names, a table over them, gossip on top."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from volans.driver.event_log_names import NEIGHBOR_ADDED, NEIGHBOR_REMOVED
from volans.driver.naming.csv_table import CsvTable, parse_table
from volans.driver.naming.gossip import BootstrapNeighbor, Gossip, GossipListener, GossipSettings
from volans.errors import ConfigError
from volans.protocol.channel_uri import InvalidChannelError
from volans.protocol.counter_types import CounterType, SystemCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.conductor.resources import ResourceJobs
    from volans.driver.config import DriverConfig
    from volans.driver.naming.address import SocketAddress
    from volans.driver.naming.resolve import DefaultResolver
    from volans.driver.shared import SharedState
    from volans.memory import CountersManager
    from volans.transport.registry import EngineHandle

MAX_BOOTSTRAP_NEIGHBORS: Final = 20
SUPPLIERS: Final = ("default", "csv_table", "driver")
NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
_INDEX: Final = struct.Struct("=i")


def with_name_table(
    config: DriverConfig, counters: CountersManager, resolver: DefaultResolver
) -> DefaultResolver:
    """What AERON_NAME_RESOLVER_SUPPLIER puts over the system's names. Raises ConfigError.

    The driver name resolver comes on top whenever it has an interface to listen on, as in the
    official Java driver; the official C driver wants the supplier "driver" besides.
    """
    if config.name_resolver not in SUPPLIERS:
        raise ConfigError(
            "AERON_NAME_RESOLVER_SUPPLIER", config.name_resolver, f"one of {', '.join(SUPPLIERS)}"
        )
    if config.name_resolver == "driver" and not config.resolver_interface:
        raise ConfigError(
            "AERON_DRIVER_RESOLVER_INTERFACE",
            config.resolver_interface,
            "host:port to bind to, which AERON_NAME_RESOLVER_SUPPLIER=driver needs",
        )
    if config.name_resolver != "csv_table":
        return resolver
    table = config.name_resolver_init_args or config.name_resolver_csv_lookup_table_args
    entries = parse_table(table)
    return resolver.over(lambda lookup: CsvTable(entries, counters, lookup))


def bootstrap_names(config: DriverConfig) -> list[str]:
    """The first neighbours' names. Raises ConfigError for too many."""
    text = config.resolver_bootstrap_neighbor or ""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(names) > MAX_BOOTSTRAP_NEIGHBORS:
        raise ConfigError(
            "AERON_DRIVER_RESOLVER_BOOTSTRAP_NEIGHBOR",
            f"{len(names)} names",
            f"at most {MAX_BOOTSTRAP_NEIGHBORS} of host:port separated by commas",
        )
    return names


class DriverNames:
    """The driver name resolver with its socket and counters.

    Args:
        config: with `resolver_name` and `resolver_interface`.
        engine: the socket's; closed with this.
        resolver: knows all other names; bootstrap neighbours are found by it.
        now_ms, clock_ms: epoch time.

    Raises ConfigError when its address cannot be bound.
    """

    def __init__(
        self,
        config: DriverConfig,
        engine: EngineHandle,
        shared: SharedState,
        counters: CountersManager,
        resolver: DefaultResolver,
        resources: ResourceJobs,
        now_ms: int,
        clock_ms: Callable[[], int],
        on_event: Callable[[int, str], object] = lambda _event_id, _text: None,
    ) -> None:
        # Late: few drivers have a resolver of their own.
        from volans.driver.naming.address import SocketAddress
        from volans.transport.datagram_port import DatagramPort

        self._shared = shared
        self._counters = counters
        self._bootstrap_resolver = resolver
        self._resources = resources
        self._clock_ms = clock_ms
        self._on_event = on_event
        names = bootstrap_names(config)
        interface = config.resolver_interface or ""
        try:
            wanted = resolver.resolve(interface.partition("/")[0], "resolver_interface")
            self._port = DatagramPort(
                engine,
                wanted.sockaddr_bytes(),
                socket_sndbuf_length=config.socket_sndbuf,
                socket_rcvbuf_length=config.socket_rcvbuf,
            )
        except (InvalidChannelError, OSError) as error:
            raise ConfigError(
                "AERON_DRIVER_RESOLVER_INTERFACE", interface, f"host:port to bind to: {error}"
            ) from None
        local = SocketAddress.from_sockaddr(self._port.local_address)
        self._allocate_counters(config, local, names)
        self._gossip = Gossip(
            GossipSettings(
                name=config.resolver_name or "",
                local_address=local,
                mtu_length=config.mtu_length,
                neighbor_timeout_ms=_ms(config.resolver_neighbor_timeout_ns),
                self_interval_ms=_ms(config.resolver_self_resolution_interval_ns),
                neighbor_interval_ms=_ms(config.resolver_neighbor_resolution_interval_ns),
                bootstrap_interval_ms=_ms(
                    config.resolver_bootstrap_neighbor_resolution_interval_ns
                ),
            ),
            self._port,
            names,
            self._resolve_bootstrap,
            resolver.lookup,
            self._listener(),
            now_ms,
        )
        self.resolver = resolver.over(lambda _lookup: self._gossip)

    @property
    def gossip(self) -> Gossip:
        """What it knows; for the control plane."""
        return self._gossip

    def do_work(self, now_ns: int, now_ms: int) -> int:
        """One duty cycle; work count."""
        return self._gossip.do_work(now_ns, now_ms)

    def close(self) -> None:
        """Close the socket."""
        self._port.close()

    def _allocate_counters(
        self, config: DriverConfig, local: SocketAddress, bootstrap: list[str]
    ) -> None:
        counters = self._counters
        counters.require(2 + len(bootstrap))
        self._bootstrap_counters = [
            counters.allocate(
                CounterType.NAME_RESOLVER_BOOTSTRAP_NEIGHBOR,
                _INDEX.pack(index),
                _bootstrap_label(BootstrapNeighbor(name)),
            )
            for index, name in enumerate(bootstrap)
        ]
        self._neighbors_counter = counters.allocate(
            CounterType.NAME_RESOLVER_NEIGHBORS, b"", f"Resolver neighbors: bound {local}"
        )
        self._names_counter = counters.allocate(
            CounterType.NAME_RESOLVER_CACHE_ENTRIES,
            b"",
            f"Resolver cache entries: name={config.resolver_name}",
        )

    def _listener(self) -> GossipListener:
        counters, shared = self._counters, self._shared
        return GossipListener(
            on_names=lambda count: counters.set_value(self._names_counter, count),
            on_neighbors=lambda count: counters.set_value(self._neighbors_counter, count),
            on_bootstrap=self._on_bootstrap,
            on_neighbor_added=lambda address: self._on_event(NEIGHBOR_ADDED, str(address)),
            on_neighbor_removed=lambda address: self._on_event(NEIGHBOR_REMOVED, str(address)),
            on_invalid=lambda: shared.add_to_system_counter(SystemCounter.INVALID_PACKETS),
            on_short_send=lambda: shared.add_to_system_counter(SystemCounter.SHORT_SENDS),
            on_error=self._log_error,
        )

    def _on_bootstrap(self, index: int, neighbor: BootstrapNeighbor) -> None:
        counter_id = self._bootstrap_counters[index]
        self._counters.set_label(counter_id, _bootstrap_label(neighbor))
        self._counters.set_value(counter_id, 1 if neighbor.is_connected else 0)

    def _resolve_bootstrap(
        self, name: str, on_resolved: Callable[[SocketAddress | None], None]
    ) -> None:
        def failed(error: BaseException) -> None:
            self._log_error(error)
            on_resolved(None)

        self._resources.submit(
            lambda: self._bootstrap_resolver.resolve(name, "bootstrap_neighbor"),
            on_resolved,
            failed,
        )

    def _log_error(self, error: BaseException) -> None:
        self._shared.log_error(f"{type(error).__name__}: {error}", self._clock_ms())


def _bootstrap_label(neighbor: BootstrapNeighbor) -> str:
    address = "" if neighbor.address is None else str(neighbor.address)
    return f"Bootstrap neighbor: name={neighbor.name} resolved={address}"


def _ms(duration_ns: int) -> int:
    return duration_ns // NANOSECONDS_PER_MILLISECOND
