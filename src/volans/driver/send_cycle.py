# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""One duty cycle of the sender: commands, all publications, one flush, then what came back."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.errno import ECONNREFUSED
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.driver.layout import (
    SYSTEM_BYTES_SENT,
    SYSTEM_SHORT_SENDS,
    TO_SENDER_ADD_DESTINATION,
    TO_SENDER_ADD_ENDPOINT,
    TO_SENDER_ADD_PUBLICATION,
    TO_SENDER_CHANGE_DESTINATION,
    TO_SENDER_REMOVE_DESTINATION,
    TO_SENDER_REMOVE_ENDPOINT,
    TO_SENDER_REMOVE_PUBLICATION,
    AgentCommand,
    NetworkPublication,
    SendChannelEndpoint,
    SendDestinations,
    SenderState,
)
from cython.cimports.volans.driver.publication import publication_send
from cython.cimports.volans.driver.resolution import sender_on_resolution_command
from cython.cimports.volans.driver.send_destinations import (
    send_destinations_add,
    send_destinations_change,
    send_destinations_remove,
)
from cython.cimports.volans.driver.send_endpoint import (
    send_endpoint_add_publication,
    send_endpoint_on_datagram,
    send_endpoint_remove_publication,
)
from cython.cimports.volans.driver.shared import record_error
from cython.cimports.volans.memory.atomic import counter_add, fetch_add_i64, store_release_i32
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_read
from cython.cimports.volans.transport.contract import ENGINE_MAX_BURST, Engine

cython.declare(COMMAND_LIMIT=int32_t)
COMMAND_LIMIT = 16


@cfunc
@nogil
@exceptval(check=False)
def add_endpoint(
    sender: pointer[SenderState], endpoint: pointer[SendChannelEndpoint]
) -> cython.void:
    result: int32_t = sender.engine.ops.endpoint_add(sender.engine, address(endpoint.endpoint))
    # Its peer has not been silent yet.
    endpoint.time_of_last_status_message_ns = sender.now_ns
    if result < 0:
        record_error(sender.shared, sender.now_ms, -result, b"sender: cannot poll a channel")


@cfunc
@nogil
@exceptval(check=False)
def remove_endpoint(
    sender: pointer[SenderState], endpoint: pointer[SendChannelEndpoint]
) -> cython.void:
    sender.engine.ops.endpoint_remove(sender.engine, address(endpoint.endpoint))
    store_release_i32(address(endpoint.sender_released), 1)


@cfunc
@nogil
@exceptval(check=False)
def reserve_place(sender: pointer[SenderState]) -> int32_t:
    grown: pointer[pointer[NetworkPublication]]
    capacity: int32_t
    if sender.publication_count < sender.publication_capacity:
        return 0
    capacity = sender.publication_capacity * 2 if sender.publication_capacity > 0 else 8
    grown = cast(
        pointer[pointer[NetworkPublication]],
        realloc(sender.publications, cast(cython.size_t, capacity) * sizeof(p_void)),
    )
    if grown == cython.NULL:
        return -1
    sender.publications = grown
    sender.publication_capacity = capacity
    return 0


@cfunc
@nogil
@exceptval(check=False)
def add_publication(
    sender: pointer[SenderState], publication: pointer[NetworkPublication]
) -> cython.void:
    publication.sender_index = -1
    if (
        reserve_place(sender) < 0
        or send_endpoint_add_publication(publication.endpoint, publication) < 0
    ):
        record_error(sender.shared, sender.now_ms, 0, b"sender: no memory for a publication")
        return
    publication.sender_index = sender.publication_count
    sender.publications[sender.publication_count] = publication
    sender.publication_count += 1


@cfunc
@nogil
@exceptval(check=False)
def remove_publication(
    sender: pointer[SenderState], publication: pointer[NetworkPublication]
) -> cython.void:
    index: int32_t = publication.sender_index
    i: int32_t
    if index >= 0:
        sender.publication_count -= 1
        sender.publications[index] = sender.publications[sender.publication_count]
        sender.publications[index].sender_index = index
        publication.sender_index = -1
        send_endpoint_remove_publication(publication.endpoint, publication)
    for i in range(3):
        sender.engine.ops.tx_forget(
            sender.engine, publication.log.terms[i], publication.log.term_length
        )
    # From here on the control plane may free it.
    store_release_i32(address(publication.sender_released), 1)


@cfunc
@nogil
@exceptval(check=False)
def on_destination_command(
    sender: pointer[SenderState], msg_type_id: int32_t, command: pointer[AgentCommand]
) -> cython.void:
    endpoint: pointer[SendChannelEndpoint] = cast(pointer[SendChannelEndpoint], command.item)
    destinations: pointer[SendDestinations] = address(endpoint.destinations)
    if msg_type_id == TO_SENDER_ADD_DESTINATION:
        send_destinations_add(destinations, command.id, address(command.address), sender.now_ns)
    elif msg_type_id == TO_SENDER_REMOVE_DESTINATION:
        send_destinations_remove(destinations, command.id)
    elif msg_type_id == TO_SENDER_CHANGE_DESTINATION:
        send_destinations_change(destinations, command.id, address(command.address))
    else:
        sender_on_resolution_command(sender, msg_type_id, command)


@cfunc
@nogil
@exceptval(check=False)
def on_command(
    msg_type_id: int32_t, payload: pointer[uint8_t], length: int32_t, clientd: p_void
) -> cython.void:
    sender: pointer[SenderState] = cast(pointer[SenderState], clientd)
    command: AgentCommand
    if length != sizeof(AgentCommand):
        return
    memcpy(address(command), payload, sizeof(AgentCommand))
    if msg_type_id == TO_SENDER_ADD_ENDPOINT:
        add_endpoint(sender, cast(pointer[SendChannelEndpoint], command.item))
    elif msg_type_id == TO_SENDER_REMOVE_ENDPOINT:
        remove_endpoint(sender, cast(pointer[SendChannelEndpoint], command.item))
    elif msg_type_id == TO_SENDER_ADD_PUBLICATION:
        add_publication(sender, cast(pointer[NetworkPublication], command.item))
    elif msg_type_id == TO_SENDER_REMOVE_PUBLICATION:
        remove_publication(sender, cast(pointer[NetworkPublication], command.item))
    else:
        on_destination_command(sender, msg_type_id, address(command))


@cfunc
@nogil
@exceptval(check=False)
def send_one(sender: pointer[SenderState], index: int32_t) -> int32_t:
    result: int32_t = publication_send(sender.publications[index], sender.now_ns)
    if result < 0:
        record_error(sender.shared, sender.now_ms, -result, b"sender: cannot send")
        return 0
    return result


@cfunc
@nogil
@exceptval(check=False)
def send_all(sender: pointer[SenderState]) -> int32_t:
    """Who was first goes last next time."""
    bytes_sent: int32_t = 0
    start: int32_t = sender.round_robin_index
    i: int32_t
    if start >= sender.publication_count:
        start = 0
    sender.round_robin_index = start + 1
    for i in range(start, sender.publication_count):
        bytes_sent += send_one(sender, i)
    for i in range(start):
        bytes_sent += send_one(sender, i)
    if bytes_sent > 0:
        counter_add(sender.shared.system[SYSTEM_BYTES_SENT], bytes_sent)
    return bytes_sent


@cfunc
@nogil
@exceptval(check=False)
def flush(sender: pointer[SenderState], tx_errors_before: int64_t) -> cython.void:
    engine: pointer[Engine] = sender.engine
    result: int32_t = engine.ops.tx_flush(engine)
    error: int32_t = engine.stats.last_errno
    if result < 0:
        record_error(sender.shared, sender.now_ms, -result, b"sender: cannot send")
    elif engine.stats.tx_errors != tx_errors_before and error != ECONNREFUSED:
        # Refused: nobody is there yet, or any more. That is no error of a publisher.
        record_error(sender.shared, sender.now_ms, error, b"sender: a datagram was refused")


@cfunc
@nogil
@exceptval(check=False)
def poll_control(sender: pointer[SenderState]) -> int32_t:
    """Bytes that came in."""
    engine: pointer[Engine] = sender.engine
    bytes_received: int32_t = 0
    i: int32_t
    count: int32_t = engine.ops.rx_poll(engine, sender.received, ENGINE_MAX_BURST)
    if count < 0:
        if count != -ECONNREFUSED:
            record_error(sender.shared, sender.now_ms, -count, b"sender: cannot receive")
        return 0
    for i in range(count):
        bytes_received += sender.received[i].length
        send_endpoint_on_datagram(
            cast(pointer[SendChannelEndpoint], sender.received[i].endpoint.owner),
            address(sender.received[i]),
            sender.now_ns,
        )
    if count > 0:
        engine.ops.rx_release(engine, sender.received, count)
        # Retransmits and answers go out now, not a cycle later.
        flush(sender, engine.stats.tx_errors)
    return bytes_received


@cfunc
@nogil
@exceptval(check=False)
def send_cycle(sender: pointer[SenderState], now_ns: int64_t, now_ms: int64_t) -> int32_t:
    engine: pointer[Engine] = sender.engine
    short_sends: int64_t = engine.stats.short_sends
    tx_errors: int64_t = engine.stats.tx_errors
    bytes_sent: int32_t
    work: int32_t
    sender.now_ns = now_ns
    sender.now_ms = now_ms
    engine.now_ns = now_ns
    work = mpsc_ring_read(address(sender.shared.to_sender), on_command, sender, COMMAND_LIMIT)
    bytes_sent = send_all(sender)
    flush(sender, tx_errors)
    sender.duty_cycle_counter += 1
    if (
        bytes_sent < 1
        or sender.duty_cycle_counter >= sender.shared.send_to_status_poll_ratio
        or now_ns > sender.control_poll_deadline_ns
        or engine.stats.short_sends > short_sends
    ):
        work += poll_control(sender)
        sender.duty_cycle_counter = 0
        sender.control_poll_deadline_ns = now_ns + sender.shared.status_message_timeout_ns // 2
    short_sends = engine.stats.short_sends - short_sends
    if short_sends > 0:
        fetch_add_i64(sender.shared.system[SYSTEM_SHORT_SENDS], short_sends)
    return work + bytes_sent


@cfunc
@nogil
@exceptval(check=False)
def send_cycle_free(sender: pointer[SenderState]) -> cython.void:
    free(sender.publications)
    sender.publications = cython.NULL
    sender.publication_count = 0
    sender.publication_capacity = 0
