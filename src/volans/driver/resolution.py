# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Peers whose names may have moved: which of them are silent, and their new addresses.

The control plane asks at its own pace, so neither agent's duty cycle pays for it. A publication's
peer is silent without status messages, a subscription's control without frames of any image.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.driver.layout import (
    DESTINATIONS_MANUAL,
    DESTINATIONS_NONE,
    SYSTEM_RECEIVER_PROXY_FAILS,
    SYSTEM_RESOLUTION_CHANGES,
    AgentCommand,
    DriverShared,
    ReceiveChannelEndpoint,
    ReceiveDestination,
    ReceiverState,
    SendChannelEndpoint,
    SendDestination,
    SenderState,
)
from cython.cimports.volans.driver.receive_destinations import destination_by_id
from cython.cimports.volans.driver.receive_endpoint import send_setup_request
from cython.cimports.volans.driver.resolution_layout import (
    SILENT_AFTER_NS,
    TO_CONTROL_SILENT_PEER,
    TO_RECEIVER_CHANGE_CONTROL,
    TO_RECEIVER_CHECK_RESOLUTION,
    TO_SENDER_CHANGE_PEER,
    TO_SENDER_CHECK_RESOLUTION,
    SilentPeerReport,
)
from cython.cimports.volans.driver.shared import record_error, to_control
from cython.cimports.volans.memory.atomic import fetch_add_i64
from cython.cimports.volans.memory.layout import RING_OK
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_write


@cfunc
@nogil
@exceptval(check=False)
def report(
    shared: pointer[DriverShared], endpoint_id: int64_t, registration_id: int64_t, is_receiver: bint
) -> cython.void:
    # A report that finds no room is made again at the next check.
    message: SilentPeerReport
    message.endpoint_id = endpoint_id
    message.destination_registration_id = registration_id
    message.is_receiver = is_receiver
    to_control(shared, TO_CONTROL_SILENT_PEER, address(message), sizeof(SilentPeerReport))


@cfunc
@nogil
@exceptval(check=False)
def check_sender(
    sender: pointer[SenderState], endpoint: pointer[SendChannelEndpoint]
) -> cython.void:
    destination: pointer[SendDestination]
    i: int32_t
    if endpoint.destinations.mode == DESTINATIONS_MANUAL:
        for i in range(endpoint.destinations.count):
            destination = address(endpoint.destinations.array[i])
            if (
                destination.address.length > 0
                and sender.now_ns
                > destination.time_of_last_activity_ns + cast(int64_t, SILENT_AFTER_NS)
            ):
                destination.time_of_last_activity_ns = sender.now_ns
                report(sender.shared, endpoint.id, destination.registration_id, False)
    elif (
        endpoint.destinations.mode == DESTINATIONS_NONE
        and sender.now_ns > endpoint.time_of_last_status_message_ns + cast(int64_t, SILENT_AFTER_NS)
    ):
        report(sender.shared, endpoint.id, -1, False)


@cfunc
@nogil
@exceptval(check=False)
def change_peer(
    sender: pointer[SenderState],
    endpoint: pointer[SendChannelEndpoint],
    command: pointer[AgentCommand],
) -> cython.void:
    result: int32_t
    endpoint.destination = command.address
    fetch_add_i64(sender.shared.system[SYSTEM_RESOLUTION_CHANGES], 1)
    if command.id == 1 and sender.engine.ops.endpoint_connect != cython.NULL:
        result = sender.engine.ops.endpoint_connect(
            sender.engine, address(endpoint.endpoint), address(command.address)
        )
        if result < 0:
            record_error(sender.shared, sender.now_ms, -result, b"sender: cannot reconnect")


@cfunc
@nogil
@exceptval(check=False)
def sender_on_resolution_command(
    sender: pointer[SenderState], msg_type_id: int32_t, command: pointer[AgentCommand]
) -> cython.void:
    endpoint: pointer[SendChannelEndpoint] = cast(pointer[SendChannelEndpoint], command.item)
    if msg_type_id == TO_SENDER_CHECK_RESOLUTION:
        check_sender(sender, endpoint)
    elif msg_type_id == TO_SENDER_CHANGE_PEER:
        change_peer(sender, endpoint, command)


@cfunc
@nogil
@exceptval(check=False)
def check_receiver(
    receiver: pointer[ReceiverState], endpoint: pointer[ReceiveChannelEndpoint]
) -> cython.void:
    destination: pointer[ReceiveDestination]
    i: int32_t
    for i in range(endpoint.destination_count):
        destination = endpoint.destinations[i]
        if (
            destination.has_explicit_control
            and receiver.now_ns
            > destination.time_of_last_activity_ns + cast(int64_t, SILENT_AFTER_NS)
        ):
            destination.time_of_last_activity_ns = receiver.now_ns
            report(receiver.shared, endpoint.id, destination.id, True)


@cfunc
@nogil
@exceptval(check=False)
def change_control(
    receiver: pointer[ReceiverState],
    endpoint: pointer[ReceiveChannelEndpoint],
    command: pointer[AgentCommand],
) -> cython.void:
    """Images and the periodic SETUP request answer to the new address from now on."""
    destination: pointer[ReceiveDestination] = destination_by_id(endpoint, command.id)
    if destination == cython.NULL or not destination.has_explicit_control:
        return  # it was removed meanwhile
    destination.control = command.address
    fetch_add_i64(receiver.shared.system[SYSTEM_RESOLUTION_CHANGES], 1)
    send_setup_request(destination, address(destination.control), 0, 0)


@cfunc
@nogil
@exceptval(check=False)
def receiver_on_resolution_command(
    receiver: pointer[ReceiverState], msg_type_id: int32_t, command: pointer[AgentCommand]
) -> cython.void:
    endpoint: pointer[ReceiveChannelEndpoint] = cast(pointer[ReceiveChannelEndpoint], command.item)
    if msg_type_id == TO_RECEIVER_CHECK_RESOLUTION:
        check_receiver(receiver, endpoint)
    elif msg_type_id == TO_RECEIVER_CHANGE_CONTROL:
        change_control(receiver, endpoint, command)


@cfunc
def command_receiver_control(
    shared: pointer[DriverShared],
    endpoint: pointer[ReceiveChannelEndpoint],
    destination_id: int64_t,
    sockaddr: bytes,
) -> bint:
    command: AgentCommand
    if len(sockaddr) not in (16, 28):
        raise ValueError(f"socket address of {len(sockaddr)} bytes: 16 or 28 are possible")
    memset(address(command), 0, sizeof(AgentCommand))
    command.item = endpoint
    command.id = destination_id
    memcpy(command.address.bytes, cast(cython.p_char, sockaddr), len(sockaddr))
    command.address.length = cast(int32_t, len(sockaddr))
    if (
        mpsc_ring_write(
            address(shared.to_receiver),
            TO_RECEIVER_CHANGE_CONTROL,
            address(command),
            sizeof(AgentCommand),
        )
        == RING_OK
    ):
        return True
    fetch_add_i64(shared.system[SYSTEM_RECEIVER_PROXY_FAILS], 1)
    return False
