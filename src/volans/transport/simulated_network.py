# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""How datagrams travel in the simulated network: routes, faults, queues.

Every datagram on a link draws the same number of random numbers whatever the settings, so
that changing one fault leaves the pattern of the others as it was.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EINVAL,
    ENOMEM,
    ENOSPC,
)
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, malloc, realloc
from cython.cimports.libc.string import memcpy, memmove
from cython.cimports.volans.memory.atomic import cas_i32, cpu_pause, store_release_i32
from cython.cimports.volans.transport.address import (
    address_equal,
    address_family,
    address_is_loopback,
    address_is_multicast,
    address_is_wildcard,
    address_port,
    address_same_host,
    address_set_port,
    address_wildcard_of,
)
from cython.cimports.volans.transport.contract import Address, Endpoint, EndpointOptions
from cython.cimports.volans.transport.net import AF_INET, AF_INET6
from cython.cimports.volans.transport.random_source import random_next, random_seed, random_unit
from cython.cimports.volans.transport.simulated_layout import (
    SIMULATED_HOSTS_MAX,
    SIMULATED_RCVBUF_LENGTH,
    SimLink,
    SimNetwork,
    SimPacket,
    SimPort,
)


@cfunc
@nogil
@exceptval(check=False)
def sim_network_new(seed: uint64_t, queue_capacity: int32_t) -> pointer[SimNetwork]:
    network: pointer[SimNetwork] = cast(pointer[SimNetwork], calloc(1, sizeof(SimNetwork)))
    if network is cython.NULL:
        return cython.NULL
    network.links = cast(
        pointer[SimLink], calloc(SIMULATED_HOSTS_MAX * SIMULATED_HOSTS_MAX, sizeof(SimLink))
    )
    if network.links is cython.NULL:
        free(network)
        return cython.NULL
    network.queue_capacity = queue_capacity
    network.trace_hash = cast(uint64_t, 0xCBF29CE484222325)
    random_seed(address(network.random), seed)
    return network


@cfunc
@nogil
@exceptval(check=False)
def sim_network_free(network: pointer[SimNetwork]) -> cython.void:
    while network.port_count > 0:
        sim_port_close(network, network.ports[network.port_count - 1])
    free(network.ports)
    free(network.links)
    free(network)


@cfunc
@nogil
@exceptval(check=False)
def sim_lock(network: pointer[SimNetwork]) -> cython.void:
    while not cas_i32(address(network.lock), 0, 1):
        cpu_pause()


@cfunc
@nogil
@exceptval(check=False)
def sim_unlock(network: pointer[SimNetwork]) -> cython.void:
    store_release_i32(address(network.lock), 0)


@cfunc
@nogil
@exceptval(check=False)
def find_host(network: pointer[SimNetwork], at: pointer[cython.const[Address]]) -> int32_t:
    i: int32_t
    for i in range(network.host_count):
        if address_same_host(address(network.hosts[i].address), at):
            return i
    return -1


@cfunc
@nogil
@exceptval(check=False)
def sim_host(network: pointer[SimNetwork], at: pointer[cython.const[Address]]) -> int32_t:
    host: int32_t = find_host(network, at)
    if host >= 0:
        return host
    if network.host_count == SIMULATED_HOSTS_MAX:
        return -ENOSPC
    host = network.host_count
    network.host_count += 1
    network.hosts[host].address = at[0]
    network.hosts[host].next_ephemeral_port = 49152
    return host


@cfunc
@nogil
@exceptval(check=False)
def sim_link(
    network: pointer[SimNetwork], source: int32_t, destination: int32_t
) -> pointer[SimLink]:
    return address(network.links[source * SIMULATED_HOSTS_MAX + destination])


@cfunc
@nogil
@exceptval(check=False)
def conflicts(
    network: pointer[SimNetwork],
    host: int32_t,
    local: pointer[cython.const[Address]],
    is_shared: int32_t,
) -> cython.bint:
    other: pointer[SimPort]
    i: int32_t
    for i in range(network.port_count):
        other = network.ports[i]
        if other.host != host or (other.is_shared and is_shared):
            continue
        if address_port(address(other.local)) != address_port(local):
            continue
        if address_family(address(other.local)) != address_family(local):
            continue
        if (
            address_is_wildcard(local)
            or address_is_wildcard(address(other.local))
            or address_same_host(address(other.local), local)
        ):
            return True
    return False


@cfunc
@nogil
@exceptval(check=False)
def assign_port(network: pointer[SimNetwork], host: int32_t, local: pointer[Address]) -> int32_t:
    """An ephemeral port nobody has: 0 or -errno."""
    chosen: pointer[int32_t] = address(network.hosts[host].next_ephemeral_port)
    _attempt: int32_t
    for _attempt in range(65536 - 49152):
        address_set_port(local, cast(uint16_t, chosen[0]))
        chosen[0] += 1
        if chosen[0] > 65535:
            chosen[0] = 49152
        if not conflicts(network, host, local, 0):
            return 0
    return -EADDRINUSE


@cfunc
@nogil
@exceptval(check=False)
def describe_port(
    network: pointer[SimNetwork],
    port: pointer[SimPort],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    source: Address
    family: int32_t = address_family(bind_to)
    result: int32_t = 0
    if family != AF_INET and family != AF_INET6:
        return -EAFNOSUPPORT
    port.local = bind_to[0]
    port.peer = options.connect_to
    if options.multicast_group.length > 0:
        if not address_is_multicast(address(options.multicast_group)):
            return -EINVAL
        port.group = options.multicast_group
        if address_port(address(port.group)) == 0:
            address_set_port(address(port.group), address_port(bind_to))
    elif address_is_multicast(bind_to):
        port.group = bind_to[0]
    if port.group.length > 0:
        port.is_shared = 1
        address_wildcard_of(
            address(port.local),
            address_family(address(port.group)),
            address_port(address(port.group)),
        )
    elif not (
        address_is_wildcard(bind_to)
        or address_is_loopback(bind_to)
        or find_host(network, bind_to) == port.host
    ):
        return -EADDRNOTAVAIL
    if address_port(address(port.local)) == 0:
        result = assign_port(network, port.host, address(port.local))
        if result < 0:
            return result
    elif conflicts(network, port.host, address(port.local), port.is_shared):
        return -EADDRINUSE
    port.source_port = address_port(address(port.local))
    if port.group.length > 0 and port.peer.length > 0:
        source = port.local
        result = assign_port(network, port.host, address(source))
        port.source_port = address_port(address(source))
    return result


@cfunc
@nogil
@exceptval(check=False)
def sim_port_open(
    network: pointer[SimNetwork],
    host: int32_t,
    endpoint: pointer[Endpoint],
    bind_to: pointer[cython.const[Address]],
    options: pointer[cython.const[EndpointOptions]],
) -> int32_t:
    result: int32_t
    grown: cython.p_void
    port: pointer[SimPort]
    endpoint.descriptor = -1
    endpoint.index = -1
    endpoint.private_state = cython.NULL
    if network.port_count == network.port_capacity:
        grown = realloc(network.ports, (network.port_capacity * 2 + 8) * sizeof(cython.p_void))
        if grown is cython.NULL:
            return -ENOMEM
        network.ports = cast(pointer[pointer[SimPort]], grown)
        network.port_capacity = network.port_capacity * 2 + 8
    port = cast(pointer[SimPort], calloc(1, sizeof(SimPort)))
    if port is cython.NULL:
        return -ENOMEM
    port.host = host
    result = describe_port(network, port, bind_to, options)
    if result < 0:
        free(port)
        return result
    port.endpoint = endpoint
    endpoint.private_state = port
    endpoint.local = port.local
    endpoint.socket_rcvbuf_length = (
        options.socket_rcvbuf_length
        if options.socket_rcvbuf_length > 0
        else SIMULATED_RCVBUF_LENGTH
    )
    endpoint.socket_sndbuf_length = (
        options.socket_sndbuf_length
        if options.socket_sndbuf_length > 0
        else SIMULATED_RCVBUF_LENGTH
    )
    network.ports[network.port_count] = port
    network.port_count += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def sim_port_close(network: pointer[SimNetwork], port: pointer[SimPort]) -> cython.void:
    i: int32_t
    for i in range(network.port_count):
        if network.ports[i] == port:
            network.port_count -= 1
            # Order stays: it decides who draws first when a group is sent to.
            memmove(
                address(network.ports[i]),
                address(network.ports[i + 1]),
                (network.port_count - i) * sizeof(cython.p_void),
            )
            break
    for i in range(port.heap_count):
        free(port.heap[i])
    free(port.heap)
    free(port)


@cfunc
@nogil
@exceptval(check=False)
def sim_packet_before(
    one: pointer[cython.const[SimPacket]], other: pointer[cython.const[SimPacket]]
) -> cython.bint:
    if one.deliver_at_ns != other.deliver_at_ns:
        return one.deliver_at_ns < other.deliver_at_ns
    return one.order < other.order


@cfunc
@nogil
@exceptval(check=False)
def heap_push(port: pointer[SimPort], packet: pointer[SimPacket]) -> int32_t:
    at: int32_t = port.heap_count
    parent: int32_t
    grown: cython.p_void
    if at == port.heap_capacity:
        grown = realloc(port.heap, (at * 2 + 16) * sizeof(cython.p_void))
        if grown is cython.NULL:
            return -ENOMEM
        port.heap = cast(pointer[pointer[SimPacket]], grown)
        port.heap_capacity = at * 2 + 16
    while at > 0:
        parent = (at - 1) >> 1
        if not sim_packet_before(packet, port.heap[parent]):
            break
        port.heap[at] = port.heap[parent]
        at = parent
    port.heap[at] = packet
    port.heap_count += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def heap_pop(port: pointer[SimPort]) -> pointer[SimPacket]:
    first: pointer[SimPacket] = port.heap[0]
    last: pointer[SimPacket]
    at: int32_t = 0
    child: int32_t
    port.heap_count -= 1
    last = port.heap[port.heap_count]
    while True:
        child = 2 * at + 1
        if child >= port.heap_count:
            break
        if child + 1 < port.heap_count and sim_packet_before(
            port.heap[child + 1], port.heap[child]
        ):
            child += 1
        if not sim_packet_before(port.heap[child], last):
            break
        port.heap[at] = port.heap[child]
        at = child
    port.heap[at] = last
    return first


@cfunc
@nogil
@exceptval(check=False)
def enqueue(
    network: pointer[SimNetwork],
    port: pointer[SimPort],
    source: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
    deliver_at_ns: int64_t,
    order: uint64_t,
    corrupt_bit: int64_t,
) -> cython.void:
    packet: pointer[SimPacket]
    copy: pointer[uint8_t]
    if port.heap_count >= network.queue_capacity:
        network.stats.overflowed += 1
        return
    packet = cast(pointer[SimPacket], malloc(sizeof(SimPacket) + length))
    if packet is cython.NULL:
        network.stats.overflowed += 1
        return
    packet.deliver_at_ns = deliver_at_ns
    packet.order = order
    packet.length = length
    packet.source = source[0]
    copy = cast(pointer[uint8_t], packet + 1)
    memcpy(copy, data, length)
    if corrupt_bit >= 0:
        copy[corrupt_bit >> 3] ^= cast(uint8_t, 1 << (corrupt_bit & 7))
        network.stats.corrupted += 1
    if heap_push(port, packet) < 0:
        network.stats.overflowed += 1
        free(packet)


@cfunc
@nogil
@exceptval(check=False)
def travel(
    network: pointer[SimNetwork],
    source_host: int32_t,
    port: pointer[SimPort],
    source: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
    now_ns: int64_t,
) -> cython.void:
    """One datagram over one link, with whatever happens to it there."""
    own: pointer[SimLink] = sim_link(network, source_host, port.host)
    link: pointer[SimLink] = own if own.is_set else address(network.default_link)
    lose: cython.double = random_unit(address(network.random))
    duplicate: cython.double = random_unit(address(network.random))
    reorder: cython.double = random_unit(address(network.random))
    corrupt: cython.double = random_unit(address(network.random))
    spread: uint64_t = cast(uint64_t, link.delay_max_ns - link.delay_min_ns) + 1
    delay_ns: int64_t = link.delay_min_ns + cast(
        int64_t, random_next(address(network.random)) % spread
    )
    second_delay_ns: int64_t = link.delay_min_ns + cast(
        int64_t, random_next(address(network.random)) % spread
    )
    chance: uint64_t = random_next(address(network.random))
    corrupt_bit: int64_t = -1
    deliver_at_ns: int64_t = now_ns + delay_ns
    order: uint64_t
    if (
        port.peer.length > 0
        and port.group.length == 0
        and not address_equal(address(port.peer), source)
    ):
        network.stats.unroutable += 1
        return
    if link.is_partitioned:
        network.stats.partitioned += 1
        return
    if lose < link.loss:
        network.stats.lost += 1
        return
    if corrupt < link.corrupt and length > 0:
        corrupt_bit = cast(int64_t, chance % (cast(uint64_t, length) * 8))
    # Even orders keep the sequence; an odd one is that of a datagram up to 8 places late.
    network.next_order += 2
    order = network.next_order
    if deliver_at_ns < own.last_delivery_ns:
        deliver_at_ns = own.last_delivery_ns
    if reorder < link.reorder:
        network.stats.reordered += 1
        order += 1 + 2 * (1 + (chance >> 32) % 8)
        deliver_at_ns += second_delay_ns - link.delay_min_ns
    else:
        own.last_delivery_ns = deliver_at_ns
    enqueue(network, port, source, data, length, deliver_at_ns, order, corrupt_bit)
    if duplicate < link.duplicate:
        network.stats.duplicated += 1
        enqueue(network, port, source, data, length, deliver_at_ns + second_delay_ns, order + 1, -1)


@cfunc
@nogil
@exceptval(check=False)
def source_address(
    network: pointer[SimNetwork],
    port: pointer[SimPort],
    destination: pointer[cython.const[Address]],
    source: pointer[Address],
) -> cython.void:
    host: pointer[Address] = address(network.hosts[port.host].address)
    source[0] = port.local
    if address_is_wildcard(source):
        if (
            address_family(host) == address_family(source)
            and not address_is_loopback(destination)
            and not address_is_wildcard(destination)
        ):
            source[0] = host[0]
        elif address_family(source) == AF_INET:
            source.bytes[4] = 127
            source.bytes[7] = 1
        else:
            source.bytes[23] = 1
    address_set_port(source, port.source_port)


@cfunc
@nogil
@exceptval(check=False)
def sim_send(
    network: pointer[SimNetwork],
    port: pointer[SimPort],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
    now_ns: int64_t,
) -> cython.void:
    source: Address
    candidate: pointer[SimPort]
    found: pointer[SimPort] = cython.NULL
    host: int32_t
    i: int32_t
    network.stats.offered += 1
    source_address(network, port, destination, address(source))
    if address_is_multicast(destination):
        for i in range(network.port_count):
            candidate = network.ports[i]
            if candidate.group.length > 0 and address_equal(address(candidate.group), destination):
                travel(network, port.host, candidate, address(source), data, length, now_ns)
        return
    if address_is_loopback(destination) or address_is_wildcard(destination):
        host = port.host
    else:
        host = find_host(network, destination)
        if host != port.host and address_is_loopback(address(source)):
            host = -1
    for i in range(network.port_count):
        candidate = network.ports[i]
        if (
            candidate.host != host
            or candidate.group.length > 0
            or address_port(address(candidate.local)) != address_port(destination)
            or address_family(address(candidate.local)) != address_family(destination)
        ):
            continue
        if address_same_host(address(candidate.local), destination):
            found = candidate
            break
        if address_is_wildcard(address(candidate.local)):
            found = candidate
    if found is cython.NULL:
        network.stats.unroutable += 1
        return
    travel(network, port.host, found, address(source), data, length, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def mix(hash_so_far: uint64_t, word: uint64_t) -> uint64_t:
    hash_so_far = (hash_so_far ^ word) * cast(uint64_t, 0x9E3779B97F4A7C15)
    return hash_so_far ^ (hash_so_far >> 32)


@cfunc
@nogil
@exceptval(check=False)
def mix_bytes(
    hash_so_far: uint64_t, data: pointer[cython.const[uint8_t]], length: int32_t
) -> uint64_t:
    word: uint64_t
    while length > 0:
        word = 0
        memcpy(address(word), data, 8 if length > 8 else length)
        hash_so_far = mix(hash_so_far, word)
        data += 8
        length -= 8
    return hash_so_far


@cfunc
@nogil
@exceptval(check=False)
def sim_port_take(network: pointer[SimNetwork], port: pointer[SimPort]) -> pointer[SimPacket]:
    """The port's earliest packet, noted in the trace; it belongs to the caller."""
    packet: pointer[SimPacket] = heap_pop(port)
    trace: uint64_t = network.trace_hash
    trace = mix(trace, cast(uint64_t, packet.deliver_at_ns))
    trace = mix(trace, (cast(uint64_t, port.host) << 32) | address_port(address(port.local)))
    trace = mix(trace, cast(uint64_t, packet.length))
    trace = mix_bytes(trace, packet.source.bytes, packet.source.length)
    trace = mix_bytes(trace, cast(pointer[uint8_t], packet + 1), packet.length)
    network.trace_hash = trace
    network.stats.delivered += 1
    return packet


@cfunc
@nogil
@exceptval(check=False)
def sim_next_delivery_ns(network: pointer[SimNetwork]) -> int64_t:
    """When the next datagram arrives anywhere; INT64_MAX when none is on its way."""
    earliest: int64_t = INT64_MAX
    i: int32_t
    for i in range(network.port_count):
        if network.ports[i].heap_count > 0 and network.ports[i].heap[0].deliver_at_ns < earliest:
            earliest = network.ports[i].heap[0].deliver_at_ns
    return earliest
