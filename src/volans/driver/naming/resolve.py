"""Texts of a channel to addresses: ``host:port``, ``[v6]:port``, ``127.0.0.1/24``, ``{eth0}``.

Only the shell of a driver uses the resolver of the operating system; everything here takes the
look-up as an argument, so that simulated networks have names of their own.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Final, Protocol

from volans.driver.naming.address import SocketAddress, wildcard
from volans.driver.naming.interfaces import (
    InterfaceLister,
    find_by_name,
    find_by_network,
    system_interfaces,
)
from volans.protocol.channel_uri import InvalidChannelError
from volans.protocol.error_codes import ErrorCode
from volans.protocol.units import UnitError, parse_integer

MAX_HOST_LENGTH: Final = 253
_HOST_AND_PORT: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9A-Za-zx]*))?")
_INTERFACE: Final = re.compile(
    r"(?:\[([^\[\]/]*)\]|([^:\[\]/]*))(?::([0-9]+))?(?:/([0-9]+))?(?::([0-9]+))?"
)
_NAMED_INTERFACE: Final = re.compile(r"\{([^{}]{1,15})\}(?::([0-9]{1,5}))?")

HostLookup = Callable[[str, int], SocketAddress | None]


class UnknownHostError(InvalidChannelError):
    """A host name has no address here; ``error_code`` is UNKNOWN_HOST."""

    def __init__(self, parameter: str | None, value: str, reason: str) -> None:
        super().__init__(
            parameter, value, f"a host that can be resolved: {reason}", ErrorCode.UNKNOWN_HOST
        )


class Resolver(Protocol):
    """What a UDP channel asks of names."""

    def resolve(
        self, name: str, parameter: str = "endpoint", is_re_resolution: bool = False
    ) -> SocketAddress:
        """The address of ``host:port``."""

    def resolve_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """The local address and index of an interface; wildcard and 0 when None."""

    def find_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """As ``resolve_interface``, but always a real interface: for multicast."""


class DefaultResolver:
    """Names by the operating system; ``lookup`` and ``interfaces`` can be others for tests."""

    def __init__(
        self,
        lookup: HostLookup | None = None,
        interfaces: InterfaceLister = system_interfaces,
    ) -> None:
        self._lookup = lookup or system_lookup
        self._interfaces = interfaces

    def over(self, wrap: Callable[[HostLookup], HostLookup]) -> DefaultResolver:
        """The same resolver with another look-up in front of its own."""
        return DefaultResolver(wrap(self._lookup), self._interfaces)

    @property
    def lookup(self) -> HostLookup:
        """How it finds the addresses of names."""
        return self._lookup

    def resolve(
        self, name: str, parameter: str = "endpoint", is_re_resolution: bool = False
    ) -> SocketAddress:
        """The address of ``host:port``, IPv4 first unless in brackets; port 0: any free.

        Raises InvalidChannelError (the text) or UnknownHostError (the name).
        """
        host, port_text, is_ipv6 = split_host_and_port(name, parameter)
        if port_text is None:
            raise InvalidChannelError(parameter, name, "host:port, the port is missing")
        port = parse_port(port_text, name, parameter)
        numeric = numeric_address(host, socket.AF_INET6 if is_ipv6 else socket.AF_INET)
        if numeric is not None:
            return numeric.with_port(port)
        families = (socket.AF_INET, socket.AF_INET6)
        for family in families:
            found = self._lookup(host, family)
            if found is not None:
                return found.with_port(port)
        raise UnknownHostError(parameter, name, f"no address is known for {host!a}")

    def resolve_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """The local address to bind to for unicast, and the interface's index.

        Without a text, or for a wildcard address, all interfaces are meant and the index is 0.
        """
        if text is None:
            return wildcard(family), 0
        named = _NAMED_INTERFACE.fullmatch(text)
        if named is None:
            address, _prefix = self._parse_interface(text)
            if address.is_wildcard_host:
                return address, 0
        return self.find_interface(text, family)

    def find_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """The address and index of the interface a text means; any fit one when None.

        Raises InvalidChannelError when the machine has none such.
        """
        if text is None:
            text = "[::]/0" if family == socket.AF_INET6 else "0.0.0.0/0"
        interfaces = self._interfaces()
        if text.startswith("{"):
            named = _NAMED_INTERFACE.fullmatch(text)
            if named is None:
                raise InvalidChannelError("interface", text, "{name} or {name}:port")
            port = parse_port(named[2] or "0", text, "interface")
            found = find_by_name(interfaces, family, named[1])
        else:
            address, prefix_length = self._parse_interface(text)
            port = address.port
            found = find_by_network(interfaces, address, prefix_length)
        if found is None:
            known = ", ".join(sorted({f"{i.name} {i.address.host}" for i in interfaces}))
            raise InvalidChannelError("interface", text, f"an interface of this machine: {known}")
        return found.address.with_port(port), found.index

    def _parse_interface(self, text: str) -> tuple[SocketAddress, int]:
        match = _INTERFACE.fullmatch(text)
        if match is None:
            raise InvalidChannelError("interface", text, "address[:port][/prefix] or {name}[:port]")
        bracketed, plain, port_before, prefix, port_after = match.groups()
        family = socket.AF_INET if bracketed is None else socket.AF_INET6
        host = (plain if bracketed is None else bracketed).partition("%")[0]
        port = parse_port(port_before or port_after or "0", text, "interface")
        longest = 128 if family == socket.AF_INET6 else 32
        prefix_length = longest if prefix is None else int(prefix[:9])
        if prefix_length > longest:
            raise InvalidChannelError("interface", text, f"a prefix of at most {longest} bits")
        address = numeric_address(host, family)
        if address is None and host:
            address = self._lookup(host, family)
        if address is None:
            raise UnknownHostError("interface", text, f"no address is known for {host!a}")
        return address.with_port(port), prefix_length


def split_host_and_port(text: str, parameter: str | None) -> tuple[str, str | None, bool]:
    """Host, port text (None: no colon) and whether the host was in brackets (IPv6)."""
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        raise InvalidChannelError(parameter, text, "host:port or [IPv6 address]:port")
    bracketed, plain, port = match.groups()
    host = plain if bracketed is None else bracketed.partition("%")[0]
    if not host or len(host) > MAX_HOST_LENGTH:
        raise InvalidChannelError(parameter, text, f"a host of 1 to {MAX_HOST_LENGTH} characters")
    return host, port, bracketed is not None


def parse_port(text: str, whole: str, parameter: str | None) -> int:
    """A port from 0 to 65535. Raises InvalidChannelError naming the whole address."""
    try:
        return parse_integer(text, 0, 65535)
    except UnitError:
        raise InvalidChannelError(parameter, whole, "a port from 0 to 65535") from None


def system_lookup(host: str, family: int) -> SocketAddress | None:
    """The operating system's first address of a host in a family; None when it knows none."""
    try:
        found = socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)
    except (OSError, UnicodeError, ValueError):
        return None
    for _family, _type, _protocol, _name, address in found:
        return SocketAddress(family, str(address[0]).partition("%")[0], 0)
    return None


def numeric_address(host: str, family: int) -> SocketAddress | None:
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, ValueError):
        return None
    return SocketAddress(family, socket.inet_ntop(family, packed), 0)
