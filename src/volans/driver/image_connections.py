# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""One image over several transports: who is answered where, and when the stream has ended.

PROTOCOL.md section 10.11. Receiver only.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import realloc
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.layout import (
    IMAGE_CONNECTION_TIMEOUT_S,
    ImageConnection,
    PublicationImage,
    ReceiveDestination,
)
from cython.cimports.volans.memory.atomic import store_release_i32
from cython.cimports.volans.transport.contract import Address


@cfunc
@nogil
@exceptval(check=False)
def find(
    image: pointer[PublicationImage], destination: pointer[ReceiveDestination]
) -> pointer[ImageConnection]:
    i: int32_t
    for i in range(image.connection_count):
        if image.connections[i].destination == destination:
            return address(image.connections[i])
    return cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def image_connection_add(
    image: pointer[PublicationImage], destination: pointer[ReceiveDestination], now_ns: int64_t
) -> pointer[ImageConnection]:
    connection: pointer[ImageConnection] = find(image, destination)
    grown: pointer[ImageConnection]
    capacity: int32_t = image.connection_capacity
    if connection != cython.NULL:
        return connection
    if image.connection_count == capacity:
        capacity = capacity * 2 if capacity > 0 else 2
        grown = cast(
            pointer[ImageConnection],
            realloc(image.connections, capacity * sizeof(ImageConnection)),
        )
        if grown == cython.NULL:
            return cython.NULL
        image.connections = grown
        image.connection_capacity = capacity
    connection = address(image.connections[image.connection_count])
    image.connection_count += 1
    memset(connection, 0, sizeof(ImageConnection))
    connection.destination = destination
    connection.time_of_last_activity_ns = now_ns
    # No frame yet: not an active transport.
    connection.time_of_last_frame_ns = now_ns - image.liveness_timeout_ns
    return connection


@cfunc
@nogil
@exceptval(check=False)
def image_connection_remove(
    image: pointer[PublicationImage], destination: pointer[ReceiveDestination]
) -> cython.void:
    connection: pointer[ImageConnection] = find(image, destination)
    if connection != cython.NULL:
        image.connection_count -= 1
        connection[0] = image.connections[image.connection_count]


@cfunc
@nogil
@exceptval(check=False)
def image_connection_heard(
    image: pointer[PublicationImage],
    destination: pointer[ReceiveDestination],
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> pointer[ImageConnection]:
    connection: pointer[ImageConnection] = image_connection_add(image, destination, now_ns)
    if connection == cython.NULL:
        return cython.NULL
    # Without a control address of the channel whoever sends first is answered.
    if image_connection_control(connection) == cython.NULL:
        connection.control = source[0]
    connection.time_of_last_activity_ns = now_ns
    connection.time_of_last_frame_ns = now_ns
    return connection


@cfunc
@nogil
@exceptval(check=False)
def image_connection_control(
    connection: pointer[cython.const[ImageConnection]],
) -> pointer[cython.const[Address]]:
    # Looked up each time: a control address changes when its name moves.
    if connection.destination.control.length > 0:
        return address(connection.destination.control)
    if connection.control.length > 0:
        return address(connection.control)
    return cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def image_connection_is_alive(
    connection: pointer[cython.const[ImageConnection]], now_ns: int64_t
) -> bint:
    timeout_ns: int64_t = cast(int64_t, IMAGE_CONNECTION_TIMEOUT_S) * 1_000_000_000
    return (
        image_connection_control(connection) != cython.NULL
        and now_ns - connection.time_of_last_activity_ns < timeout_ns
    )


@cfunc
@nogil
@exceptval(check=False)
def image_connections_have_ended(
    image: pointer[PublicationImage], eos_position: pointer[int64_t]
) -> bint:
    i: int32_t
    for i in range(image.connection_count):
        if not image.connections[i].is_eos:
            return False
        if image.connections[i].eos_position > eos_position[0]:
            eos_position[0] = image.connections[i].eos_position
    return True


@cfunc
@nogil
@exceptval(check=False)
def image_connections_publish_count(
    image: pointer[PublicationImage], now_ns: int64_t
) -> cython.void:
    i: int32_t
    count: int32_t = 0
    for i in range(image.connection_count):
        if now_ns - image.connections[i].time_of_last_frame_ns < image.liveness_timeout_ns:
            count += 1
    # Clients read it with acquire.
    if count != image.log.metadata.active_transport_count:
        store_release_i32(address(image.log.metadata.active_transport_count), count)
