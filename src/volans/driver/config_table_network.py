"""Settings of the network: sockets, loss on purpose and names."""

from __future__ import annotations

from typing import Final

from volans.driver.config_setting import INT32_MAX, INT64_MIN, KIB, MS, Kind, S, Setting

_SIZE, _DURATION, _INTEGER, _BOOL = Kind.SIZE, Kind.DURATION, Kind.INTEGER, Kind.BOOL
_TEXT = Kind.TEXT


def _loss(direction: str) -> tuple[Setting, ...]:
    variable = f"AERON_DEBUG_{direction.upper()}_LOSS"
    words = direction.replace("_", " ")
    return (
        Setting(
            f"debug_{direction}_loss_rate",
            f"{variable}_RATE",
            Kind.NUMBER,
            0.0,
            f"part of {words} frames to lose on purpose",
            0,
            1,
        ),
        Setting(
            f"debug_{direction}_loss_seed",
            f"{variable}_SEED",
            _INTEGER,
            -1,
            f"seed of the loss of {words} frames; -1: any",
            INT64_MIN,
        ),
    )


_NETWORK: Final = (
    Setting(
        "socket_rcvbuf",
        "AERON_SOCKET_SO_RCVBUF",
        _SIZE,
        128 * KIB,
        "socket receive buffer; 0: the system's",
        0,
        INT32_MAX,
    ),
    Setting(
        "socket_sndbuf",
        "AERON_SOCKET_SO_SNDBUF",
        _SIZE,
        0,
        "socket send buffer; 0: the system's",
        0,
        INT32_MAX,
    ),
    Setting(
        "multicast_ttl",
        "AERON_SOCKET_MULTICAST_TTL",
        _INTEGER,
        0,
        "multicast time to live; 0: the system's",
        0,
        255,
    ),
    Setting(
        "connect_enabled", "AERON_DRIVER_CONNECT", _BOOL, True, "connect sockets where possible"
    ),
    Setting(
        "receiver_io_vector_capacity",
        "AERON_RECEIVER_IO_VECTOR_CAPACITY",
        _INTEGER,
        4,
        "datagrams received in one call",
        1,
        16,
    ),
    Setting(
        "sender_io_vector_capacity",
        "AERON_SENDER_IO_VECTOR_CAPACITY",
        _INTEGER,
        4,
        "datagrams sent in one call",
        1,
        16,
    ),
    Setting(
        "network_publication_max_messages_per_send",
        "AERON_NETWORK_PUBLICATION_MAX_MESSAGES_PER_SEND",
        _INTEGER,
        4,
        "datagrams of one publication in a duty cycle",
        1,
        16,
    ),
    Setting(
        "sender_wildcard_port_range",
        "AERON_SENDER_WILDCARD_PORT_RANGE",
        Kind.PORT_RANGE,
        (0, 0),
        "ports senders take for port 0: low high",
        0,
        65535,
    ),
    Setting(
        "receiver_wildcard_port_range",
        "AERON_RECEIVER_WILDCARD_PORT_RANGE",
        Kind.PORT_RANGE,
        (0, 0),
        "ports receivers take for port 0: low high",
        0,
        65535,
    ),
    Setting(
        "transport_bindings_media",
        "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_MEDIA",
        _TEXT,
        "default",
        "official transport bindings; see VOLANS_TRANSPORT",
        listed=True,
    ),
    Setting(
        "conductor_transport_bindings_media",
        "AERON_CONDUCTOR_UDP_CHANNEL_TRANSPORT_BINDINGS_MEDIA",
        _TEXT,
        "default",
        "official transport bindings of the conductor",
        listed=True,
    ),
    Setting(
        "outgoing_interceptors",
        "AERON_UDP_CHANNEL_OUTGOING_INTERCEPTORS",
        _TEXT,
        None,
        "interceptors of outgoing datagrams: loss",
    ),
    Setting(
        "incoming_interceptors",
        "AERON_UDP_CHANNEL_INCOMING_INTERCEPTORS",
        _TEXT,
        None,
        "interceptors of incoming datagrams: loss, fixed-loss, multi-gap-loss",
    ),
    Setting(
        "loss_args",
        "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_LOSS_ARGS",
        _TEXT,
        None,
        "arguments of the loss interceptor: rate=0.2|seed=1|recv-msg-mask=0xf",
    ),
    Setting(
        "fixed_loss_args",
        "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_FIXED_LOSS_ARGS",
        _TEXT,
        None,
        "arguments of the fixed-loss interceptor: term-id=0|term-offset=0|length=4096",
    ),
    Setting(
        "multi_gap_loss_args",
        "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_MULTI_GAP_LOSS_ARGS",
        _TEXT,
        None,
        "arguments of multi-gap-loss: term-id=0|gap-radix=4096|gap-length=1024|total-gaps=8",
    ),
    *_loss("send_data"),
    *_loss("send_control"),
    *_loss("receive_data"),
    *_loss("receive_control"),
)

_NAMES: Final = (
    Setting(
        "name_resolver",
        "AERON_NAME_RESOLVER_SUPPLIER",
        _TEXT,
        "default",
        "how host names are resolved: default, csv_table or driver",
    ),
    Setting(
        "name_resolver_init_args",
        "AERON_NAME_RESOLVER_INIT_ARGS",
        _TEXT,
        None,
        "arguments of the name resolver",
    ),
    Setting(
        "name_resolver_csv_lookup_table_args",
        "AERON_NAME_RESOLVER_CSV_LOOKUP_TABLE_ARGS",
        _TEXT,
        None,
        "table of the csv_table resolver",
    ),
    Setting("resolver_name", "AERON_DRIVER_RESOLVER_NAME", _TEXT, None, "this driver's name"),
    Setting(
        "resolver_interface",
        "AERON_DRIVER_RESOLVER_INTERFACE",
        _TEXT,
        None,
        "where the driver's resolver listens; needs a name",
    ),
    Setting(
        "resolver_bootstrap_neighbor",
        "AERON_DRIVER_RESOLVER_BOOTSTRAP_NEIGHBOR",
        _TEXT,
        None,
        "drivers to ask first",
    ),
    Setting(
        "resolver_neighbor_timeout_ns",
        "AERON_DRIVER_RESOLVER_NEIGHBOR_TIMEOUT",
        _DURATION,
        10 * S,
        "a neighbour silent for this long is gone",
        MS,
    ),
    Setting(
        "resolver_self_resolution_interval_ns",
        "AERON_DRIVER_RESOLVER_SELF_RESOLUTION_INTERVAL",
        _DURATION,
        S,
        "how often the own name is told",
        MS,
    ),
    Setting(
        "resolver_neighbor_resolution_interval_ns",
        "AERON_DRIVER_RESOLVER_NEIGHBOR_RESOLUTION_INTERVAL",
        _DURATION,
        2 * S,
        "how often the neighbours are told",
        MS,
    ),
    Setting(
        "resolver_bootstrap_neighbor_resolution_interval_ns",
        "AERON_DRIVER_RESOLVER_BOOTSTRAP_NEIGHBOR_RESOLUTION_INTERVAL",
        _DURATION,
        10 * S,
        "how often the first drivers' names are resolved",
        MS,
    ),
    Setting(
        "re_resolution_check_interval_ns",
        "AERON_DRIVER_RERESOLUTION_CHECK_INTERVAL",
        _DURATION,
        S,
        "how often endpoints' names are looked at again",
    ),
)

NETWORK_SETTINGS: Final[tuple[Setting, ...]] = (*_NETWORK, *_NAMES)
