# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A publication image on the receiver's side: packets into the log, in whatever order they come.

PROTOCOL.md sections 3.7, 10.1 and 10.11.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.event_sink import SINK_IMAGE_REVOKE, tell_revoke
from cython.cimports.volans.driver.frame_validation import covered_length
from cython.cimports.volans.driver.image_connections import (
    image_connection_add,
    image_connection_heard,
    image_connections_have_ended,
)
from cython.cimports.volans.driver.image_feedback import (
    send_pending_loss,
    send_pending_rttm,
    send_pending_status_message,
)
from cython.cimports.volans.driver.layout import (
    SYSTEM_FLOW_CONTROL_OVER_RUNS,
    SYSTEM_FLOW_CONTROL_UNDER_RUNS,
    SYSTEM_HEARTBEATS_RECEIVED,
    SYSTEM_INVALID_PACKETS,
    SYSTEM_PUBLICATION_IMAGES_REVOKED,
    ImageConnection,
    PublicationImage,
    ReceiveDestination,
)
from cython.cimports.volans.driver.receive_destinations import destination_by_id
from cython.cimports.volans.driver.receive_timestamps import stamp_packet
from cython.cimports.volans.log.position import compute_position, index_by_position
from cython.cimports.volans.log.rebuild import term_insert
from cython.cimports.volans.memory.atomic import (
    counter_add,
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    propose_max_i64,
    store_release_i32,
    store_release_i64,
    store_release_u8,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAG_EOS,
    DATA_FLAG_REVOKED,
    DataHeader,
    RttmFrame,
)
from cython.cimports.volans.transport.contract import Address, RxDatagram


@cfunc
@nogil
@exceptval(check=False)
def image_init_receiver_state(
    image: pointer[PublicationImage],
    initial_position: int64_t,
    now_ns: int64_t,
) -> cython.void:
    image.connection_count = 0
    image.is_sm_enabled = 1
    image.last_loss_change_number = image.end_loss_change
    image.last_sm_change_number = image.end_sm_change
    image.last_sm_position = initial_position
    image.last_overrun_threshold = initial_position + image.log.term_length // 2
    image.next_sm_deadline_ns = now_ns - 1  # the first duty cycle says what may come
    image.receiver_index = -1
    store_release_i32(address(image.is_end_of_stream), 0)
    store_release_i64(address(image.time_of_last_packet_ns), now_ns)


@cfunc
@nogil
@exceptval(check=False)
def image_connect(image: pointer[PublicationImage], now_ns: int64_t) -> cython.void:
    destination: pointer[ReceiveDestination] = destination_by_id(
        image.endpoint, image.first_destination_id
    )
    connection: pointer[ImageConnection]
    if destination == cython.NULL:
        return  # it was removed meanwhile; another is found when a frame comes over it
    connection = image_connection_add(image, destination, now_ns)
    if connection != cython.NULL:
        connection.control = image.first_control


@cfunc
@nogil
@exceptval(check=False)
def on_end_of_stream(
    image: pointer[PublicationImage],
    connection: pointer[ImageConnection],
    packet_position: int64_t,
    is_revoked: bint,
    now_ns: int64_t,
) -> cython.void:
    eos_position: int64_t = 0
    connection.is_eos = True
    connection.eos_position = packet_position
    if not image_connections_have_ended(image, address(eos_position)):
        return
    if is_revoked:
        # Clients and the conductor read it with acquire.
        store_release_u8(address(image.log.metadata.is_publication_revoked), 1)
        counter_add(image.shared.system[SYSTEM_PUBLICATION_IMAGES_REVOKED], 1)
        if image.shared.event_sink != cython.NULL:
            tell_revoke(
                image.shared,
                SINK_IMAGE_REVOKE,
                image.correlation_id,
                image.session_id,
                image.stream_id,
                eos_position,
                now_ns,
            )
    store_release_i64(address(image.log.metadata.end_of_stream_position), eos_position)
    store_release_i32(address(image.is_end_of_stream), 1)


@cfunc
@nogil
@exceptval(check=False)
def on_heartbeat(
    image: pointer[PublicationImage],
    packet_position: int64_t,
    flags: uint8_t,
    destination: pointer[ReceiveDestination],
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    connection: pointer[ImageConnection]
    # A window's beginning lies at most a term behind what was last asked for.
    if packet_position < image.last_sm_position - image.log.term_length:
        counter_add(image.shared.system[SYSTEM_FLOW_CONTROL_UNDER_RUNS], 1)
        return
    connection = image_connection_heard(image, destination, source, now_ns)
    if connection == cython.NULL:
        return
    store_release_i64(address(image.time_of_last_packet_ns), now_ns)
    if flags & DATA_FLAG_EOS and load_acquire_i32(address(image.is_end_of_stream)) == 0:
        on_end_of_stream(image, connection, packet_position, flags & DATA_FLAG_REVOKED != 0, now_ns)
    propose_max_i64(image.receiver_hwm, packet_position)
    counter_add(image.shared.system[SYSTEM_HEARTBEATS_RECEIVED], 1)


@cfunc
@nogil
@exceptval(check=False)
def is_behind_padding(image: pointer[PublicationImage], packet_position: int64_t) -> bint:
    # Padding takes the place of a message that did not fit, at most an eighth of a term. A sender
    # further ahead was let go by other receivers and answers no more: this image has to end.
    return packet_position <= image.last_overrun_threshold + (image.log.term_length >> 3)


@cfunc
@nogil
@exceptval(check=False)
def on_heartbeat_beyond_window(
    image: pointer[PublicationImage],
    destination: pointer[ReceiveDestination],
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    # The padding of a term's end takes its sender beyond the window. When all before it was lost
    # too, only heartbeats tell that there is something to ask for: everything the window allowed.
    if image_connection_heard(image, destination, source, now_ns) == cython.NULL:
        return
    store_release_i64(address(image.time_of_last_packet_ns), now_ns)
    propose_max_i64(image.receiver_hwm, image.last_overrun_threshold)
    counter_add(image.shared.system[SYSTEM_HEARTBEATS_RECEIVED], 1)


@cfunc
@nogil
@exceptval(check=False)
def image_on_data(
    image: pointer[PublicationImage],
    destination: pointer[ReceiveDestination],
    packet: pointer[cython.const[uint8_t]],
    length: int32_t,
    datagram: pointer[cython.const[RxDatagram]],
    now_ns: int64_t,
) -> int32_t:
    """Bytes taken notice of; 0 when the packet was refused."""
    header: pointer[DataHeader] = cast(pointer[DataHeader], packet)
    source: pointer[cython.const[Address]] = address(datagram.source)
    covered: int32_t
    packet_position: int64_t
    # Term ids wrap: the sign of the difference counts.
    if cast(int32_t, header.term_id - image.log.initial_term_id) < 0:
        return 0
    if load_acquire_i64(cast(pointer[int64_t], address(image.rejection_reason))) != 0:
        return 0
    covered = covered_length(packet, length, image.log.term_length)
    if covered < 0:
        fetch_add_i64(image.shared.system[SYSTEM_INVALID_PACKETS], 1)
        return 0
    packet_position = compute_position(
        header.term_id,
        header.term_offset,
        image.log.position_bits_to_shift,
        image.log.initial_term_id,
    )
    if packet_position + covered > image.last_overrun_threshold:
        if covered == 0 and is_behind_padding(image, packet_position):
            on_heartbeat_beyond_window(image, destination, source, now_ns)
            return length
        counter_add(image.shared.system[SYSTEM_FLOW_CONTROL_OVER_RUNS], 1)
        return length
    if covered == 0:
        on_heartbeat(image, packet_position, header.flags, destination, source, now_ns)
        return length
    if packet_position < image.last_sm_position:
        counter_add(image.shared.system[SYSTEM_FLOW_CONTROL_UNDER_RUNS], 1)
        # Late, but within the window before: its sender lives.
        if packet_position + covered >= image.last_sm_position - image.max_receiver_window_length:
            image_connection_heard(image, destination, source, now_ns)
        return length
    image_connection_heard(image, destination, source, now_ns)
    store_release_i64(address(image.time_of_last_packet_ns), now_ns)
    stamp_packet(destination.channel, packet, length, datagram)
    term_insert(
        image.log.terms[index_by_position(packet_position, image.log.position_bits_to_shift)],
        header.term_offset,
        packet,
        length,
    )
    # After the bytes: the conductor scans up to it.
    propose_max_i64(image.receiver_hwm, packet_position + covered)
    return length


@cfunc
@nogil
@exceptval(check=False)
def image_on_setup(
    image: pointer[PublicationImage],
    destination: pointer[ReceiveDestination],
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    image_connection_heard(image, destination, source, now_ns)


@cfunc
@nogil
@exceptval(check=False)
def image_on_rttm(
    image: pointer[PublicationImage],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    now_ns: int64_t,
) -> cython.void:
    rttm: pointer[RttmFrame] = cast(pointer[RttmFrame], frame)
    image.congestion_control.ops.on_rttm(
        image, now_ns, now_ns - rttm.echo_timestamp_ns - rttm.reception_delta_ns, source
    )


@cfunc
@nogil
@exceptval(check=False)
def image_send_pending(image: pointer[PublicationImage], now_ns: int64_t) -> int32_t:
    return (
        send_pending_status_message(image, now_ns)
        + send_pending_loss(image, now_ns)
        + send_pending_rttm(image, now_ns)
    )
