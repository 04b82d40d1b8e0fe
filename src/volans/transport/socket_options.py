"""What can be chosen when an engine made of sockets is created."""

from __future__ import annotations

from dataclasses import dataclass, fields

_LIMITS = {
    "tx_queue_count": (1, 1024),  # the system refuses longer message vectors
    "rx_burst_count": (1, 1024),
    "rx_buffer_length_bytes": (1, 65536),
    "epoll_above_count": (0, 1 << 20),
}


@dataclass(frozen=True)
class SocketEngineOptions:
    """Sizes of a socket engine.

    ``tx_queue_count``: datagrams queued for one flush; ``rx_burst_count``: datagrams that may be
    received and not yet released; ``rx_buffer_length_bytes``: room for one of them;
    ``epoll_above_count``: with more endpoints than this, epoll finds the readable ones.

    Raises ValueError naming the option, its value and its limits.
    """

    tx_queue_count: int = 256
    rx_burst_count: int = 16
    rx_buffer_length_bytes: int = 65536
    epoll_above_count: int = 5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _LIMITS[field.name]
            if not low <= value <= high:
                raise ValueError(f"{field.name} is {value}: choose from {low} to {high}")
