# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The receiver's duty cycle: commands, datagrams, what images have to say, one flush."""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.errno import EAGAIN, ECONNREFUSED, EINTR
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.dispatcher import (
    dispatcher_on_data,
    dispatcher_on_rttm,
    dispatcher_on_setup,
)
from cython.cimports.volans.driver.frame_validation import is_frame_valid, is_setup_valid
from cython.cimports.volans.driver.image import image_send_pending
from cython.cimports.volans.driver.layout import (
    SYSTEM_BYTES_RECEIVED,
    SYSTEM_INVALID_PACKETS,
    SYSTEM_SHORT_SENDS,
    ReceiveDestination,
    ReceiverState,
)
from cython.cimports.volans.driver.pending_setups import pending_setups_poll
from cython.cimports.volans.driver.receiver_commands import receiver_drain_commands
from cython.cimports.volans.driver.shared import record_error
from cython.cimports.volans.memory.atomic import counter_add, fetch_add_i64
from cython.cimports.volans.protocol.layout import (
    FRAME_TYPE_DATA,
    FRAME_TYPE_PAD,
    FRAME_TYPE_RTTM,
    FRAME_TYPE_SETUP,
    FrameHeader,
    RttmFrame,
    SetupFrame,
)
from cython.cimports.volans.transport.contract import (
    ENGINE_MAX_BURST,
    RX_FLAG_TRUNCATED,
    Address,
    RxDatagram,
)


@cfunc
@nogil
@exceptval(check=False)
def count_invalid(receiver: pointer[ReceiverState]) -> cython.void:
    fetch_add_i64(receiver.shared.system[SYSTEM_INVALID_PACKETS], 1)


@cfunc
@nogil
@exceptval(check=False)
def on_setup(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    setup: pointer[cython.const[SetupFrame]],
    source: pointer[cython.const[Address]],
) -> cython.void:
    if is_setup_valid(setup):
        dispatcher_on_setup(receiver, destination, setup, source)
    else:
        count_invalid(receiver)


@cfunc
@nogil
@exceptval(check=False)
def on_rttm(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    rttm: pointer[cython.const[RttmFrame]],
    source: pointer[cython.const[Address]],
) -> cython.void:
    # Zero speaks to every receiver of a group.
    if rttm.receiver_id == destination.channel.receiver_id or rttm.receiver_id == 0:
        dispatcher_on_rttm(receiver, destination, rttm, source)


@cfunc
@nogil
@exceptval(check=False)
def receiver_on_datagram(
    receiver: pointer[ReceiverState],
    destination: pointer[ReceiveDestination],
    packet: pointer[cython.const[uint8_t]],
    length: int32_t,
    received: pointer[cython.const[RxDatagram]],
) -> cython.void:
    frame_type: int32_t
    if not is_frame_valid(packet, length):
        count_invalid(receiver)
        return
    destination.time_of_last_activity_ns = receiver.now_ns
    frame_type = cast(pointer[FrameHeader], packet).type
    if frame_type in (FRAME_TYPE_DATA, FRAME_TYPE_PAD):
        dispatcher_on_data(receiver, destination, packet, length, received)
    elif frame_type == FRAME_TYPE_SETUP:
        on_setup(receiver, destination, cast(pointer[SetupFrame], packet), address(received.source))
    elif frame_type == FRAME_TYPE_RTTM:
        on_rttm(receiver, destination, cast(pointer[RttmFrame], packet), address(received.source))


@cfunc
@nogil
@exceptval(check=False)
def receiver_on_received(
    receiver: pointer[ReceiverState], datagram: pointer[RxDatagram]
) -> cython.void:
    destination: pointer[ReceiveDestination] = cast(
        pointer[ReceiveDestination], datagram.endpoint.owner
    )
    offset: int32_t = 0
    length: int32_t
    if datagram.flags & RX_FLAG_TRUNCATED:
        count_invalid(receiver)
        return
    if datagram.segment_length <= 0:
        receiver_on_datagram(receiver, destination, datagram.data, datagram.length, datagram)
        return
    while offset < datagram.length:
        length = datagram.length - offset
        if length > datagram.segment_length:
            length = datagram.segment_length
        receiver_on_datagram(receiver, destination, datagram.data + offset, length, datagram)
        offset += length


@cfunc
@nogil
@exceptval(check=False)
def poll_datagrams(receiver: pointer[ReceiverState]) -> int32_t:
    i: int32_t
    limit: int32_t = receiver.shared.receiver_burst
    bytes_received: int64_t = 0
    if limit <= 0 or limit > ENGINE_MAX_BURST:
        limit = ENGINE_MAX_BURST
    count: int32_t = receiver.engine.ops.rx_poll(receiver.engine, receiver.received, limit)
    if count <= 0:
        # A peer's port that is gone, told by ICMP, is no error of ours.
        if count < 0 and count != -ECONNREFUSED and count != -EAGAIN and count != -EINTR:
            record_error(receiver.shared, receiver.now_ms, -count, b"receiver: cannot receive")
        return 0
    for i in range(count):
        bytes_received += receiver.received[i].length
        receiver_on_received(receiver, address(receiver.received[i]))
    receiver.engine.ops.rx_release(receiver.engine, receiver.received, count)
    counter_add(receiver.shared.system[SYSTEM_BYTES_RECEIVED], bytes_received)
    return count


@cfunc
@nogil
@exceptval(check=False)
def flush(receiver: pointer[ReceiverState]) -> cython.void:
    failed: int64_t
    error_number: int32_t
    receiver.engine.ops.tx_flush(receiver.engine)
    failed = receiver.engine.stats.short_sends - receiver.counted_short_sends
    if failed != 0:
        # The sender counts here too.
        fetch_add_i64(receiver.shared.system[SYSTEM_SHORT_SENDS], failed)
        receiver.counted_short_sends = receiver.engine.stats.short_sends
    if receiver.engine.stats.tx_errors != receiver.counted_tx_errors:
        receiver.counted_tx_errors = receiver.engine.stats.tx_errors
        error_number = receiver.engine.stats.last_errno
        if error_number != ECONNREFUSED:
            record_error(receiver.shared, receiver.now_ms, error_number, b"receiver: cannot send")


@cfunc
@nogil
@exceptval(check=False)
def receiver_cycle(receiver: pointer[ReceiverState], now_ns: int64_t, now_ms: int64_t) -> int32_t:
    i: int32_t
    work: int32_t
    receiver.now_ns = now_ns
    receiver.now_ms = now_ms
    receiver.engine.now_ns = now_ns
    work = receiver_drain_commands(receiver)
    work += poll_datagrams(receiver)
    for i in range(receiver.image_count):
        work += image_send_pending(receiver.images[i], now_ns)
    work += pending_setups_poll(receiver)
    flush(receiver)
    return work
