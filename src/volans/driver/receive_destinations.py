# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Destinations of a receive endpoint come and go; images follow them. Receiver only."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import realloc
from cython.cimports.volans.driver.image_connections import (
    image_connection_add,
    image_connection_remove,
)
from cython.cimports.volans.driver.layout import (
    PublicationImage,
    ReceiveChannelEndpoint,
    ReceiveDestination,
    ReceiverState,
)
from cython.cimports.volans.driver.pending_setups import pending_setup_add, pending_setups_drop
from cython.cimports.volans.driver.receive_endpoint import send_setup_request
from cython.cimports.volans.driver.shared import record_error
from cython.cimports.volans.memory.atomic import store_release_i32


@cfunc
@nogil
@exceptval(check=False)
def append(
    endpoint: pointer[ReceiveChannelEndpoint], destination: pointer[ReceiveDestination]
) -> int32_t:
    capacity: int32_t = endpoint.destination_capacity
    grown: pointer[pointer[ReceiveDestination]]
    if endpoint.destination_count == capacity:
        capacity = capacity * 2 if capacity > 0 else 2
        grown = cast(
            pointer[pointer[ReceiveDestination]],
            realloc(endpoint.destinations, capacity * sizeof(p_void)),
        )
        if grown == cython.NULL:
            return -1
        endpoint.destinations = grown
        endpoint.destination_capacity = capacity
    endpoint.destinations[endpoint.destination_count] = destination
    endpoint.destination_count += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def destination_add(
    receiver: pointer[ReceiverState],
    endpoint: pointer[ReceiveChannelEndpoint],
    destination: pointer[ReceiveDestination],
) -> cython.void:
    i: int32_t
    image: pointer[PublicationImage]
    result: int32_t = receiver.engine.ops.endpoint_add(
        receiver.engine, address(destination.endpoint)
    )
    if result < 0:
        record_error(receiver.shared, receiver.now_ms, -result, b"receiver: cannot poll a channel")
        return
    if append(endpoint, destination) < 0:
        receiver.engine.ops.endpoint_remove(receiver.engine, address(destination.endpoint))
        record_error(receiver.shared, receiver.now_ms, 0, b"receiver: no memory")
        return
    destination.time_of_last_activity_ns = receiver.now_ns
    if destination.has_explicit_control:
        # Session 0 of stream 0 asks for the SETUPs of all, for as long as the destination lives.
        if pending_setup_add(receiver, destination, 0, 0, True) < 0:
            record_error(receiver.shared, receiver.now_ms, 0, b"receiver: no memory")
        if destination.control.length > 0:
            send_setup_request(destination, address(destination.control), 0, 0)
    for i in range(receiver.image_count):
        image = receiver.images[i]
        if image.endpoint == endpoint:
            image_connection_add(image, destination, receiver.now_ns)


@cfunc
@nogil
@exceptval(check=False)
def let_go(
    receiver: pointer[ReceiverState], destination: pointer[ReceiveDestination]
) -> cython.void:
    i: int32_t
    receiver.engine.ops.endpoint_remove(receiver.engine, address(destination.endpoint))
    pending_setups_drop(receiver, destination)
    for i in range(receiver.image_count):
        if receiver.images[i].endpoint == destination.channel:
            image_connection_remove(receiver.images[i], destination)
    # Last: the control plane reads it with acquire and frees the destination.
    store_release_i32(address(destination.receiver_released), 1)


@cfunc
@nogil
@exceptval(check=False)
def destination_remove(
    receiver: pointer[ReceiverState],
    endpoint: pointer[ReceiveChannelEndpoint],
    destination: pointer[ReceiveDestination],
) -> cython.void:
    i: int32_t
    for i in range(endpoint.destination_count):
        if endpoint.destinations[i] == destination:
            endpoint.destination_count -= 1
            endpoint.destinations[i] = endpoint.destinations[endpoint.destination_count]
            let_go(receiver, destination)
            return
    # It was never taken on: its owner need not wait.
    store_release_i32(address(destination.receiver_released), 1)


@cfunc
@nogil
@exceptval(check=False)
def destinations_remove_all(
    receiver: pointer[ReceiverState], endpoint: pointer[ReceiveChannelEndpoint]
) -> cython.void:
    while endpoint.destination_count > 0:
        endpoint.destination_count -= 1
        let_go(receiver, endpoint.destinations[endpoint.destination_count])


@cfunc
@nogil
@exceptval(check=False)
def destinations_elicit_setup(
    endpoint: pointer[ReceiveChannelEndpoint], stream_id: int32_t, session_id: int32_t
) -> cython.void:
    i: int32_t
    destination: pointer[ReceiveDestination]
    for i in range(endpoint.destination_count):
        destination = endpoint.destinations[i]
        if destination.has_explicit_control and destination.control.length > 0:
            send_setup_request(destination, address(destination.control), stream_id, session_id)


@cfunc
@nogil
@exceptval(check=False)
def destination_by_id(
    endpoint: pointer[ReceiveChannelEndpoint], destination_id: int64_t
) -> pointer[ReceiveDestination]:
    i: int32_t
    for i in range(endpoint.destination_count):
        if endpoint.destinations[i].id == destination_id:
            return endpoint.destinations[i]
    return cython.NULL
