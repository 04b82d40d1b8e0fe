# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Open, bind and describe a UDP socket: what every engine made of BSD sockets does alike.

The options are those the official driver sets, so that ports conflict and groups are shared
in the same cases. A path-MTU option is not among them: the system's default stays.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import EAFNOSUPPORT, EBADF, EINVAL, ENOMEM, ENOPROTOOPT, errno
from cython.cimports.libc.stdint import int32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.volans.transport.address import (
    address_family,
    address_is_multicast,
    address_port,
    address_set_port,
    address_wildcard_of,
)
from cython.cimports.volans.transport.contract import (
    RX_TIMESTAMP_MEDIA,
    Address,
    Endpoint,
    EndpointOptions,
)
from cython.cimports.volans.transport.layout import UdpSocket
from cython.cimports.volans.transport.net import (
    AF_INET,
    AF_INET6,
    IP_ADD_MEMBERSHIP,
    IP_MULTICAST_ALL,
    IP_MULTICAST_IF,
    IP_MULTICAST_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_JOIN_GROUP,
    IPV6_MULTICAST_ALL,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_SNDBUF,
    SO_TIMESTAMPNS,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOL_SOCKET,
    bind,
    close,
    connect,
    getsockname,
    getsockopt,
    ip_mreqn,
    ipv6_mreq,
    setsockopt,
    sockaddr_in,
    sockaddr_in6,
    socket,
    socklen_t,
)


@cfunc
@nogil
@exceptval(check=False)
def set_option(descriptor: int32_t, level: int32_t, option: int32_t, value: cython.int) -> int32_t:
    if setsockopt(descriptor, level, option, address(value), sizeof(value)) < 0:
        return -errno
    return 0


@cfunc
@nogil
@exceptval(check=False)
def get_option(descriptor: int32_t, option: int32_t) -> int32_t:
    value: cython.int = 0
    length: socklen_t = sizeof(value)
    if getsockopt(descriptor, SOL_SOCKET, option, address(value), address(length)) < 0:
        return 0
    return value


@cfunc
@nogil
@exceptval(check=False)
def new_descriptor(family: int32_t) -> int32_t:
    descriptor: int32_t = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    return descriptor if descriptor >= 0 else -errno


@cfunc
@nogil
@exceptval(check=False)
def join_ipv4(
    receiver: int32_t,
    sender: int32_t,
    group: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    membership: ip_mreqn
    memset(address(membership), 0, sizeof(membership))
    membership.imr_multiaddr = cast(pointer[sockaddr_in], group).sin_addr
    if options.multicast_interface.length > 0:
        if address_family(address(options.multicast_interface)) != AF_INET:
            return -EAFNOSUPPORT
        membership.imr_address = cast(
            pointer[sockaddr_in], address(options.multicast_interface)
        ).sin_addr
    if options.multicast_interface_index > 0:
        membership.imr_ifindex = options.multicast_interface_index
    if (
        setsockopt(receiver, IPPROTO_IP, IP_ADD_MEMBERSHIP, address(membership), sizeof(membership))
        < 0
    ):
        return -errno
    if setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, address(membership), sizeof(membership)) < 0:
        return -errno
    if options.multicast_ttl > 0:
        return set_option(sender, IPPROTO_IP, IP_MULTICAST_TTL, options.multicast_ttl)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def join_ipv6(
    receiver: int32_t,
    sender: int32_t,
    group: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    membership: ipv6_mreq
    result: int32_t
    index: int32_t = options.multicast_interface_index
    if index < 0:
        index = 0
    memset(address(membership), 0, sizeof(membership))
    membership.ipv6mr_multiaddr = cast(pointer[sockaddr_in6], group).sin6_addr
    membership.ipv6mr_interface = index
    if (
        setsockopt(receiver, IPPROTO_IPV6, IPV6_JOIN_GROUP, address(membership), sizeof(membership))
        < 0
    ):
        return -errno
    result = set_option(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, index)
    if result == 0 and options.multicast_ttl > 0:
        result = set_option(sender, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, options.multicast_ttl)
    return result


@cfunc
@nogil
@exceptval(check=False)
def bind_group(
    udp: pointer[UdpSocket],
    group: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    """Share the group's port with others, and hear this group only."""
    wildcard: Address
    result: int32_t
    receiver: int32_t = udp.receive_descriptor
    is_ipv4: cython.bint = address_family(group) == AF_INET
    result = set_option(receiver, SOL_SOCKET, SO_REUSEADDR, 1)
    if result == 0:
        result = set_option(receiver, SOL_SOCKET, SO_REUSEPORT, 1)
    if result < 0:
        return result
    if is_ipv4:
        result = set_option(receiver, IPPROTO_IP, IP_MULTICAST_ALL, 0)
    else:
        result = set_option(receiver, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
    if result < 0 and result != -ENOPROTOOPT:
        return result
    address_wildcard_of(address(wildcard), address_family(group), address_port(group))
    if bind(receiver, wildcard.bytes, wildcard.length) < 0:
        return -errno
    if is_ipv4:
        return join_ipv4(receiver, udp.send_descriptor, group, options)
    return join_ipv6(receiver, udp.send_descriptor, group, options)


@cfunc
@nogil
@exceptval(check=False)
def set_up(
    udp: pointer[UdpSocket],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    group: Address
    result: int32_t
    family: int32_t = address_family(bind_to)
    if family != AF_INET and family != AF_INET6:
        return -EAFNOSUPPORT
    group.length = 0
    if options.multicast_group.length > 0:
        group = options.multicast_group
        if not address_is_multicast(address(group)):
            return -EINVAL
        if address_port(address(group)) == 0:
            address_set_port(address(group), address_port(bind_to))
    elif address_is_multicast(bind_to):
        group = bind_to[0]
    if group.length > 0:
        family = address_family(address(group))

    udp.receive_descriptor = new_descriptor(family)
    if udp.receive_descriptor < 0:
        return udp.receive_descriptor
    udp.send_descriptor = udp.receive_descriptor
    if group.length > 0:
        if options.connect_to.length > 0:
            # A connected socket would hear its peer only, and nobody sends from a group's address.
            udp.send_descriptor = new_descriptor(family)
            if udp.send_descriptor < 0:
                return udp.send_descriptor
        result = bind_group(udp, address(group), options)
        if result < 0:
            return result
    elif bind(udp.receive_descriptor, bind_to.bytes, bind_to.length) < 0:
        return -errno

    if options.connect_to.length > 0:
        if connect(udp.send_descriptor, options.connect_to.bytes, options.connect_to.length) < 0:
            return -errno
        udp.is_connected = 1
    udp.timestamps = options.timestamps
    if options.timestamps & RX_TIMESTAMP_MEDIA:
        result = set_option(udp.receive_descriptor, SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if result < 0:
            return result
    if options.socket_rcvbuf_length > 0:
        result = set_option(
            udp.receive_descriptor, SOL_SOCKET, SO_RCVBUF, options.socket_rcvbuf_length
        )
        if result < 0:
            return result
    if options.socket_sndbuf_length > 0:
        return set_option(udp.send_descriptor, SOL_SOCKET, SO_SNDBUF, options.socket_sndbuf_length)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def udp_socket_open(
    endpoint: pointer[Endpoint],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    """Make the endpoint's descriptors and fill in what the system granted: 0 or -errno."""
    result: int32_t
    length: socklen_t = sizeof(endpoint.local.bytes)
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], calloc(1, sizeof(UdpSocket)))
    endpoint.descriptor = -1
    endpoint.index = -1
    endpoint.private_state = udp
    if udp is cython.NULL:
        return -ENOMEM
    udp.receive_descriptor = -1
    udp.send_descriptor = -1
    result = set_up(udp, bind_to, options)
    if result == 0:
        memset(address(endpoint.local), 0, sizeof(Address))
        if getsockname(udp.receive_descriptor, endpoint.local.bytes, address(length)) < 0:
            result = -errno
    if result < 0:
        udp_socket_close(endpoint)
        return result
    endpoint.local.length = length
    endpoint.descriptor = udp.receive_descriptor
    endpoint.socket_rcvbuf_length = get_option(udp.receive_descriptor, SO_RCVBUF)
    endpoint.socket_sndbuf_length = get_option(udp.send_descriptor, SO_SNDBUF)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def udp_socket_connect(
    endpoint: pointer[Endpoint], peer: pointer[cython.const[Address]]
) -> int32_t:
    """The endpoint sends to this peer from now on, and hears nobody else: 0 or -errno."""
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], endpoint.private_state)
    if udp is cython.NULL:
        return -EBADF
    if connect(udp.send_descriptor, peer.bytes, peer.length) < 0:
        return -errno
    udp.is_connected = 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def udp_socket_close(endpoint: pointer[Endpoint]) -> cython.void:
    """Close the endpoint's descriptors; may be called again."""
    udp: pointer[UdpSocket] = cast(pointer[UdpSocket], endpoint.private_state)
    if udp is cython.NULL:
        return
    endpoint.private_state = cython.NULL
    endpoint.descriptor = -1
    if udp.send_descriptor >= 0 and udp.send_descriptor != udp.receive_descriptor:
        close(udp.send_descriptor)
    if udp.receive_descriptor >= 0:
        close(udp.receive_descriptor)
    free(udp)
