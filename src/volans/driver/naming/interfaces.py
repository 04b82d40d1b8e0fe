"""The machine's network interfaces, and the one a channel's ``interface`` means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from volans.driver.naming.address import SocketAddress

IFF_UP: Final = 0x1
IFF_LOOPBACK: Final = 0x8
IFF_MULTICAST: Final = 0x1000


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """One address of one interface."""

    name: str
    index: int
    address: SocketAddress
    prefix_length: int
    is_up: bool = True
    is_loopback: bool = False
    is_multicast: bool = True


InterfaceLister = Callable[[], Sequence[InterfaceAddress]]


def find_by_network(
    interfaces: Sequence[InterfaceAddress], network: SocketAddress, prefix_length: int
) -> InterfaceAddress | None:
    """The interface inside ``network/prefix``: the closest that can multicast, else loopback.

    Loopback counts only where nothing was found before it, as in the official driver.
    """
    shift = (128 if network.is_ipv6 else 32) - prefix_length
    wanted = _number(network) >> shift
    found: InterfaceAddress | None = None
    closest_prefix = 0
    for candidate in interfaces:
        address = candidate.address
        if not candidate.is_up or address.family != network.family:
            continue
        if _number(address) >> shift != wanted:
            continue
        if candidate.is_loopback and found is None:
            found = candidate
        elif candidate.is_multicast and candidate.prefix_length > closest_prefix:
            found, closest_prefix = candidate, candidate.prefix_length
    return found


def find_by_name(
    interfaces: Sequence[InterfaceAddress], family: int, name: str
) -> InterfaceAddress | None:
    """The first address of a family on the interface of this name."""
    for candidate in interfaces:
        if candidate.is_up and candidate.name == name and candidate.address.family == family:
            return candidate
    return None


def system_interfaces() -> Sequence[InterfaceAddress]:
    """The IPv4 and IPv6 addresses of this machine. Raises OSError."""
    # Late: few channels name an interface, and ctypes costs at import.
    from volans.driver.naming.getifaddrs import list_interfaces

    return list_interfaces()


def _number(address: SocketAddress) -> int:
    return int.from_bytes(address.packed_host(), "big")
