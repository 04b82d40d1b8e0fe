"""Names without an address yet: a state that is tried again, not a failure."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from volans.driver.naming.address import wildcard
from volans.driver.naming.resolve import (
    UnknownHostError,
    numeric_address,
    parse_port,
    split_host_and_port,
)

if TYPE_CHECKING:
    from volans.driver.naming.address import SocketAddress
    from volans.driver.naming.resolve import Resolver


class PatientResolver:
    """Gives the wildcard address for names of one parameter that nobody knows yet.

    Args:
        resolver: asked first.
        parameter: the one that may wait: a peer's. A name to bind to cannot.
    """

    def __init__(self, resolver: Resolver, parameter: str) -> None:
        self._resolver = resolver
        self._parameter = parameter

    def resolve(
        self, name: str, parameter: str = "endpoint", is_re_resolution: bool = False
    ) -> SocketAddress:
        """As the resolver within; what `is_unresolved` knows when there is no address yet."""
        try:
            return self._resolver.resolve(name, parameter, is_re_resolution)
        except UnknownHostError:
            if parameter != self._parameter:
                raise
            _host, port_text, is_ipv6 = split_host_and_port(name, parameter)
            port = parse_port(port_text or "", name, parameter)
            return wildcard(socket.AF_INET6 if is_ipv6 else socket.AF_INET, port)

    def resolve_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """As the resolver within."""
        return self._resolver.resolve_interface(text, family)

    def find_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """As the resolver within."""
        return self._resolver.find_interface(text, family)


def is_host_name(text: str | None) -> bool:
    """Whether ``host:port`` has a name for a host: numbers do not move."""
    if text is None:
        return False
    host, _port, is_ipv6 = split_host_and_port(text, None)
    return numeric_address(host, socket.AF_INET6 if is_ipv6 else socket.AF_INET) is None


def is_unresolved(text: str | None, address: SocketAddress) -> bool:
    """Whether the address is what a `PatientResolver` gave for a name nobody knew."""
    return address.is_wildcard_host and is_host_name(text)
