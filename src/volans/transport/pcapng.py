# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Writes datagrams into a pcapng file as IP packets with headers made from their addresses."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import EINTR, ENOMEM, errno
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint16_t, uint32_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.posix.unistd import close, write
from cython.cimports.volans.transport.address import address_family, address_port
from cython.cimports.volans.transport.contract import Address
from cython.cimports.volans.transport.net import AF_INET
from cython.cimports.volans.transport.pcapng import PCAPNG_BUFFER_LENGTH, PcapngFile


@cfunc
@nogil
@exceptval(check=False)
def pcapng_init(file: pointer[PcapngFile], descriptor: int32_t, snap_length: int32_t) -> int32_t:
    memset(file, 0, sizeof(PcapngFile))
    file.descriptor = descriptor
    file.snap_length = snap_length
    file.buffer = cast(pointer[uint8_t], malloc(PCAPNG_BUFFER_LENGTH))
    return 0 if file.buffer is not cython.NULL else -ENOMEM


@cfunc
@nogil
@exceptval(check=False)
def pcapng_flush(file: pointer[PcapngFile]) -> cython.void:
    at: int32_t = 0
    written: cython.Py_ssize_t
    while at < file.used and file.error == 0:
        written = write(file.descriptor, file.buffer + at, file.used - at)
        if written >= 0:
            at += cast(int32_t, written)
        elif errno != EINTR:
            file.error = errno
    file.used = 0


@cfunc
@nogil
@exceptval(check=False)
def pcapng_close(file: pointer[PcapngFile]) -> cython.void:
    pcapng_flush(file)
    if file.descriptor >= 0:
        close(file.descriptor)
    file.descriptor = -1
    free(file.buffer)
    file.buffer = cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def put(file: pointer[PcapngFile], data: cython.p_void, length: int32_t) -> cython.void:
    """Append, filled up with zeros to a multiple of four."""
    padding: int32_t = (4 - (length & 3)) & 3
    memcpy(file.buffer + file.used, data, length)
    file.used += length
    memset(file.buffer + file.used, 0, padding)
    file.used += padding


@cfunc
@nogil
@exceptval(check=False)
def put_u32(file: pointer[PcapngFile], value: uint32_t) -> cython.void:
    memcpy(file.buffer + file.used, address(value), 4)
    file.used += 4


@cfunc
@nogil
@exceptval(check=False)
def put_option(
    file: pointer[PcapngFile], code: uint32_t, data: cython.p_void, length: int32_t
) -> cython.void:
    put_u32(file, code | (cast(uint32_t, length) << 16))
    put(file, data, length)


@cfunc
@nogil
@exceptval(check=False)
def begin_block(file: pointer[PcapngFile], block_type: uint32_t) -> int32_t:
    start: int32_t = file.used
    put_u32(file, block_type)
    put_u32(file, 0)
    return start


@cfunc
@nogil
@exceptval(check=False)
def end_block(file: pointer[PcapngFile], start: int32_t) -> cython.void:
    length: uint32_t = file.used + 4 - start
    put_u32(file, length)
    memcpy(file.buffer + start + 4, address(length), 4)


@cfunc
@nogil
@exceptval(check=False)
def pcapng_header(
    file: pointer[PcapngFile], interface_name: pointer[cython.const[uint8_t]], name_length: int32_t
) -> cython.void:
    """Section header and one interface that carries bare IP packets, times in nanoseconds."""
    resolution: uint8_t = 9
    start: int32_t = begin_block(file, 0x0A0D0D0A)
    put_u32(file, 0x1A2B3C4D)
    put_u32(file, 1)
    put_u32(file, 0xFFFFFFFF)
    put_u32(file, 0xFFFFFFFF)
    end_block(file, start)
    start = begin_block(file, 1)
    put_u32(file, 101)
    put_u32(file, 0)
    put_option(file, 2, cast(cython.p_void, interface_name), name_length)
    put_option(file, 9, address(resolution), 1)
    put_u32(file, 0)
    end_block(file, start)


@cfunc
@nogil
@exceptval(check=False)
def big_u16(at: pointer[uint8_t], value: int32_t) -> cython.void:
    at[0] = cast(uint8_t, value >> 8)
    at[1] = cast(uint8_t, value)


@cfunc
@nogil
@exceptval(check=False)
def sum_words(total: uint32_t, data: pointer[cython.const[uint8_t]], length: int32_t) -> uint32_t:
    i: int32_t = 0
    while i + 1 < length:
        total += (cast(uint32_t, data[i]) << 8) | data[i + 1]
        i += 2
    if i < length:
        total += cast(uint32_t, data[i]) << 8
    return total


@cfunc
@nogil
@exceptval(check=False)
def fold(total: uint32_t) -> int32_t:
    while total > 65535:
        total = (total >> 16) + (total & cast(uint32_t, 65535))
    return cast(int32_t, cast(uint16_t, ~total))


@cfunc
@nogil
@exceptval(check=False)
def ipv4_header(
    header: pointer[uint8_t],
    source: pointer[cython.const[Address]],
    destination: pointer[cython.const[Address]],
    udp_length: int32_t,
) -> int32_t:
    memset(header, 0, 20)
    header[0] = 0x45
    big_u16(header + 2, 20 + udp_length)
    header[6] = 0x40
    header[8] = 64
    header[9] = 17
    memcpy(header + 12, source.bytes + 4, 4)
    memcpy(header + 16, destination.bytes + 4, 4)
    big_u16(header + 10, fold(sum_words(0, header, 20)))
    return 20


@cfunc
@nogil
@exceptval(check=False)
def ipv6_header(
    header: pointer[uint8_t],
    source: pointer[cython.const[Address]],
    destination: pointer[cython.const[Address]],
    udp_length: int32_t,
) -> int32_t:
    memset(header, 0, 40)
    header[0] = 0x60
    big_u16(header + 4, udp_length)
    header[6] = 17
    header[7] = 64
    memcpy(header + 8, source.bytes + 8, 16)
    memcpy(header + 24, destination.bytes + 8, 16)
    return 40


@cfunc
@nogil
@exceptval(check=False)
def pcapng_datagram(
    file: pointer[PcapngFile],
    timestamp_ns: int64_t,
    is_outbound: cython.bint,
    source: pointer[cython.const[Address]],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> cython.void:
    headers: uint8_t[48]
    udp: pointer[uint8_t]
    udp_length: int32_t = length + 8
    captured: int32_t = length if length < file.snap_length else file.snap_length
    header_length: int32_t
    checksum: int32_t
    flags: uint32_t = 2 if is_outbound else 1
    start: int32_t
    if file.error != 0 or udp_length > 65535:
        return
    if file.used + captured + 128 > PCAPNG_BUFFER_LENGTH:
        pcapng_flush(file)
    if address_family(source) == AF_INET:
        header_length = ipv4_header(headers, source, destination, udp_length)
    else:
        header_length = ipv6_header(headers, source, destination, udp_length)
    udp = cast(pointer[uint8_t], headers) + header_length
    big_u16(udp, address_port(source))
    big_u16(udp + 2, address_port(destination))
    big_u16(udp + 4, udp_length)
    big_u16(udp + 6, 0)
    if header_length == 40:
        # IPv6 has no "not computed": the sum covers addresses, length, protocol, header and data.
        checksum = fold(
            sum_words(
                sum_words(sum_words(17 + cast(uint32_t, udp_length), headers + 8, 32), udp, 8),
                data,
                length,
            )
        )
        big_u16(udp + 6, 65535 if checksum == 0 else checksum)
    header_length += 8
    start = begin_block(file, 6)
    put_u32(file, 0)
    put_u32(file, cast(uint32_t, timestamp_ns >> 32))
    put_u32(file, cast(uint32_t, timestamp_ns))
    put_u32(file, header_length + captured)
    put_u32(file, header_length + length)
    memcpy(file.buffer + file.used, headers, header_length)
    file.used += header_length
    # Header lengths are multiples of four, so padding behind the payload is the packet's own.
    put(file, cast(cython.p_void, data), captured)
    put_option(file, 2, address(flags), 4)
    put_u32(file, 0)
    end_block(file, start)
    file.packet_count += 1
