# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Commands to the receiver. They are done in the order in which they were written.

An image or endpoint that was removed is released (`receiver_released`) and never looked at again:
after that its owner may free it.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, uint8_t
from cython.cimports.libc.stdlib import realloc
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.dispatcher import (
    dispatcher_add_image,
    dispatcher_add_subscription,
    dispatcher_add_subscription_by_session,
    dispatcher_clear,
    dispatcher_remove_cool_down,
    dispatcher_remove_image,
    dispatcher_remove_init_in_progress,
    dispatcher_remove_subscription,
    dispatcher_remove_subscription_by_session,
)
from cython.cimports.volans.driver.image import image_connect
from cython.cimports.volans.driver.layout import (
    RECEIVER_COMMAND_LIMIT,
    STREAM_ACTIVE,
    SYSTEM_RECEIVER_PROXY_FAILS,
    TO_RECEIVER_ADD_DESTINATION,
    TO_RECEIVER_ADD_IMAGE,
    TO_RECEIVER_ADD_SUBSCRIPTION,
    TO_RECEIVER_ADD_SUBSCRIPTION_BY_SESSION,
    TO_RECEIVER_REMOVE_COOL_DOWN,
    TO_RECEIVER_REMOVE_DESTINATION,
    TO_RECEIVER_REMOVE_ENDPOINT,
    TO_RECEIVER_REMOVE_IMAGE,
    TO_RECEIVER_REMOVE_INIT_IN_PROGRESS,
    TO_RECEIVER_REMOVE_SUBSCRIPTION,
    TO_RECEIVER_REMOVE_SUBSCRIPTION_BY_SESSION,
    AgentCommand,
    DriverShared,
    PublicationImage,
    ReceiveChannelEndpoint,
    ReceiveDestination,
    ReceiverState,
)
from cython.cimports.volans.driver.receive_destinations import (
    destination_add,
    destination_remove,
    destinations_elicit_setup,
    destinations_remove_all,
)
from cython.cimports.volans.driver.resolution import receiver_on_resolution_command
from cython.cimports.volans.driver.shared import record_error
from cython.cimports.volans.memory.atomic import (
    fetch_add_i64,
    load_acquire_i32,
    store_release_i32,
)
from cython.cimports.volans.memory.layout import RING_OK
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_read, mpsc_ring_write


@cfunc
@nogil
@exceptval(check=False)
def write(
    shared: pointer[DriverShared], msg_type_id: int32_t, command: pointer[AgentCommand]
) -> bint:
    if (
        mpsc_ring_write(address(shared.to_receiver), msg_type_id, command, sizeof(AgentCommand))
        == RING_OK
    ):
        return True
    fetch_add_i64(shared.system[SYSTEM_RECEIVER_PROXY_FAILS], 1)
    return False


@cfunc
@nogil
@exceptval(check=False)
def command_receiver(
    shared: pointer[DriverShared],
    msg_type_id: int32_t,
    endpoint: pointer[ReceiveChannelEndpoint],
    image: pointer[PublicationImage],
    stream_id: int32_t,
    session_id: int32_t,
) -> bint:
    command: AgentCommand
    memset(address(command), 0, sizeof(AgentCommand))
    command.item = endpoint
    command.image = image
    command.stream_id = stream_id
    command.session_id = session_id
    return write(shared, msg_type_id, address(command))


@cfunc
@nogil
@exceptval(check=False)
def command_receiver_destination(
    shared: pointer[DriverShared],
    msg_type_id: int32_t,
    endpoint: pointer[ReceiveChannelEndpoint],
    destination: pointer[ReceiveDestination],
) -> bint:
    command: AgentCommand
    memset(address(command), 0, sizeof(AgentCommand))
    command.item = endpoint
    command.image = destination
    return write(shared, msg_type_id, address(command))


@cfunc
@nogil
@exceptval(check=False)
def remove_image_at(receiver: pointer[ReceiverState], index: int32_t) -> cython.void:
    image: pointer[PublicationImage] = receiver.images[index]
    receiver.image_count -= 1
    receiver.images[index] = receiver.images[receiver.image_count]
    receiver.images[index].receiver_index = index
    dispatcher_remove_image(image.endpoint, image)
    image.receiver_index = -1
    # Last: the control plane reads it with acquire and frees the image.
    store_release_i32(address(image.receiver_released), 1)


@cfunc
@nogil
@exceptval(check=False)
def remove_endpoint(
    receiver: pointer[ReceiverState], endpoint: pointer[ReceiveChannelEndpoint]
) -> cython.void:
    i: int32_t = receiver.image_count - 1
    destinations_remove_all(receiver, endpoint)
    while i >= 0:
        if receiver.images[i].endpoint == endpoint:
            remove_image_at(receiver, i)
        i -= 1
    dispatcher_clear(endpoint)
    store_release_i32(address(endpoint.receiver_released), 1)


@cfunc
@nogil
@exceptval(check=False)
def add_image(receiver: pointer[ReceiverState], image: pointer[PublicationImage]) -> int32_t:
    i: int32_t
    capacity: int32_t = receiver.image_capacity
    grown: pointer[pointer[PublicationImage]]
    other: pointer[PublicationImage]
    if receiver.image_count == capacity:
        capacity = capacity * 2 if capacity > 0 else 8
        grown = cast(
            pointer[pointer[PublicationImage]],
            realloc(receiver.images, capacity * sizeof(p_void)),
        )
        if grown == cython.NULL:
            return -1
        receiver.images = grown
        receiver.image_capacity = capacity
    if dispatcher_add_image(image.endpoint, image) < 0:
        return -1
    # An older image of the session may still drain: its end-of-stream messages would hurt.
    for i in range(receiver.image_count):
        other = receiver.images[i]
        if (
            other.endpoint == image.endpoint
            and other.stream_id == image.stream_id
            and other.session_id == image.session_id
            and load_acquire_i32(address(other.state)) != STREAM_ACTIVE
        ):
            other.is_sm_enabled = 0
    image_connect(image, receiver.now_ns)
    image.receiver_index = receiver.image_count
    receiver.images[receiver.image_count] = image
    receiver.image_count += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def remove_image(receiver: pointer[ReceiverState], image: pointer[PublicationImage]) -> cython.void:
    # Compared, not looked into: the image may have gone with its endpoint.
    i: int32_t
    for i in range(receiver.image_count):
        if receiver.images[i] == image:
            remove_image_at(receiver, i)
            return


@cfunc
@nogil
@exceptval(check=False)
def add_subscription_by_session(
    endpoint: pointer[ReceiveChannelEndpoint],
    stream_id: int32_t,
    session_id: int32_t,
) -> int32_t:
    if dispatcher_add_subscription_by_session(endpoint, stream_id, session_id) < 0:
        return -1
    destinations_elicit_setup(endpoint, stream_id, session_id)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def on_command(
    msg_type_id: int32_t, payload: pointer[uint8_t], length: int32_t, clientd: p_void
) -> cython.void:
    receiver: pointer[ReceiverState] = cast(pointer[ReceiverState], clientd)
    command: pointer[AgentCommand] = cast(pointer[AgentCommand], payload)
    endpoint: pointer[ReceiveChannelEndpoint] = cast(pointer[ReceiveChannelEndpoint], command.item)
    image: pointer[PublicationImage] = cast(pointer[PublicationImage], command.image)
    stream_id: int32_t = command.stream_id
    session_id: int32_t = command.session_id
    result: int32_t = 0
    if msg_type_id == TO_RECEIVER_REMOVE_ENDPOINT:
        remove_endpoint(receiver, endpoint)
    elif msg_type_id == TO_RECEIVER_ADD_SUBSCRIPTION:
        result = dispatcher_add_subscription(endpoint, stream_id)
    elif msg_type_id == TO_RECEIVER_REMOVE_SUBSCRIPTION:
        dispatcher_remove_subscription(endpoint, stream_id)
    elif msg_type_id == TO_RECEIVER_ADD_SUBSCRIPTION_BY_SESSION:
        result = add_subscription_by_session(endpoint, stream_id, session_id)
    elif msg_type_id == TO_RECEIVER_REMOVE_SUBSCRIPTION_BY_SESSION:
        dispatcher_remove_subscription_by_session(endpoint, stream_id, session_id)
    elif msg_type_id == TO_RECEIVER_ADD_IMAGE:
        result = add_image(receiver, image)
        if result < 0:
            # Never taken on: its owner need not wait.
            store_release_i32(address(image.receiver_released), 1)
    elif msg_type_id == TO_RECEIVER_REMOVE_IMAGE:
        remove_image(receiver, image)
    elif msg_type_id == TO_RECEIVER_REMOVE_INIT_IN_PROGRESS:
        dispatcher_remove_init_in_progress(endpoint, stream_id, session_id)
    elif msg_type_id == TO_RECEIVER_REMOVE_COOL_DOWN:
        dispatcher_remove_cool_down(endpoint, stream_id, session_id)
    elif msg_type_id == TO_RECEIVER_ADD_DESTINATION:
        destination_add(receiver, endpoint, cast(pointer[ReceiveDestination], command.image))
    elif msg_type_id == TO_RECEIVER_REMOVE_DESTINATION:
        destination_remove(receiver, endpoint, cast(pointer[ReceiveDestination], command.image))
    else:
        receiver_on_resolution_command(receiver, msg_type_id, command)
    if result < 0:
        record_error(receiver.shared, receiver.now_ms, 0, b"receiver: no memory")


@cfunc
@nogil
@exceptval(check=False)
def receiver_drain_commands(receiver: pointer[ReceiverState]) -> int32_t:
    return mpsc_ring_read(
        address(receiver.shared.to_receiver), on_command, receiver, RECEIVER_COMMAND_LIMIT
    )
