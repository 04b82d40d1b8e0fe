# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The receivers of a group and the limit that the slowest of them sets. Sender only.

Min flow control counts every receiver, tagged only those that show its tag. A receiver is in the
group from its first status message until it says that it ends, rejects the stream or falls silent.
"""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.volans.driver.event_sink import (
    SINK_RECEIVER_ADDED,
    SINK_RECEIVER_REMOVED,
    tell_receiver,
)
from cython.cimports.volans.driver.flow_control.layout import (
    GROUP_RECEIVERS_MAX,
    GROUP_RETRANSMIT_WINDOWS,
    NO_SETUP_LIMIT,
    GroupReceiver,
    ReceiverGroup,
)
from cython.cimports.volans.driver.flow_control.window import (
    capped_retransmit_length,
    window_edge,
)
from cython.cimports.volans.driver.layout import NetworkPublication
from cython.cimports.volans.memory.atomic import store_release_i32, store_release_i64
from cython.cimports.volans.protocol.layout import SM_FLAG_EOS, StatusMessageFrame


@cfunc
@nogil
@exceptval(check=False)
def group_of(publication: pointer[NetworkPublication]) -> pointer[ReceiverGroup]:
    return cast(pointer[ReceiverGroup], publication.flow_control.state)


@cfunc
@nogil
@exceptval(check=False)
def publish_count(publication: pointer[NetworkPublication]) -> cython.void:
    """The conductor reads (acquire) whether a connection may be told."""
    count: int32_t = group_of(publication).count
    store_release_i32(
        address(publication.flow_control.has_required_receivers),
        count >= publication.flow_control.group_min_size,
    )
    if publication.flow_control.receiver_count != cython.NULL:
        store_release_i64(publication.flow_control.receiver_count, count)


@cfunc
@nogil
@exceptval(check=False)
def group_open(publication: pointer[NetworkPublication]) -> int32_t:
    group: pointer[ReceiverGroup] = cast(pointer[ReceiverGroup], calloc(1, sizeof(ReceiverGroup)))
    if group == cython.NULL:
        return -1
    group.setup_limit = NO_SETUP_LIMIT
    publication.flow_control.state = group
    publish_count(publication)
    return 0


@cfunc
@nogil
@exceptval(check=False)
def group_close(publication: pointer[NetworkPublication]) -> cython.void:
    group: pointer[ReceiverGroup] = group_of(publication)
    if group != cython.NULL:
        free(group.array)
        free(group)
    publication.flow_control.state = cython.NULL
    publication.flow_control.ops = cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def add(
    group: pointer[ReceiverGroup], receiver_id: int64_t, edge: int64_t, now_ns: int64_t
) -> bint:
    """False without memory: the receiver's next status message tries again."""
    capacity: int32_t
    grown: pointer[GroupReceiver]
    if group.count == group.capacity:
        if group.capacity >= GROUP_RECEIVERS_MAX:
            return False
        capacity = group.capacity * 2 if group.capacity > 0 else 4
        grown = cast(pointer[GroupReceiver], realloc(group.array, capacity * sizeof(GroupReceiver)))
        if grown == cython.NULL:
            return False
        group.array = grown
        group.capacity = capacity
    group.array[group.count].receiver_id = receiver_id
    group.array[group.count].window_edge = edge
    group.array[group.count].time_of_last_status_message_ns = now_ns
    group.count += 1
    return True


@cfunc
@nogil
@exceptval(check=False)
def remove_at(publication: pointer[NetworkPublication], index: int32_t) -> cython.void:
    group: pointer[ReceiverGroup] = group_of(publication)
    receiver_id: int64_t = group.array[index].receiver_id
    group.count -= 1
    group.array[index] = group.array[group.count]
    if publication.shared.event_sink != cython.NULL:
        tell_receiver(publication, SINK_RECEIVER_REMOVED, receiver_id, group.count)


@cfunc
@nogil
@exceptval(check=False)
def group_remove(publication: pointer[NetworkPublication], receiver_id: int64_t) -> cython.void:
    group: pointer[ReceiverGroup] = group_of(publication)
    i: int32_t
    for i in range(group.count):
        if group.array[i].receiver_id == receiver_id:
            remove_at(publication, i)
            publish_count(publication)
            return


@cfunc
@nogil
@exceptval(check=False)
def lowest_edge(publication: pointer[NetworkPublication], now_ns: int64_t) -> int64_t:
    """Of the receivers and of the SETUP somebody waits for; INT64_MAX of none."""
    group: pointer[ReceiverGroup] = group_of(publication)
    lowest: int64_t = INT64_MAX
    i: int32_t
    if group.setup_limit != NO_SETUP_LIMIT:
        if now_ns > group.time_of_last_setup_ns + publication.flow_control.receiver_timeout_ns:
            group.setup_limit = NO_SETUP_LIMIT
        else:
            lowest = group.setup_limit
    for i in range(group.count):
        if group.array[i].window_edge < lowest:
            lowest = group.array[i].window_edge
    return lowest


@cfunc
@nogil
@exceptval(check=False)
def group_limit(
    publication: pointer[NetworkPublication], lowest: int64_t, sender_limit: int64_t
) -> int64_t:
    """What the members allow; while too few are there the stream stays where it is."""
    group: pointer[ReceiverGroup] = group_of(publication)
    if group.count == 0 or group.count < publication.flow_control.group_min_size:
        return sender_limit
    return lowest


@cfunc
@nogil
@exceptval(check=False)
def hear(
    publication: pointer[NetworkPublication],
    receiver_id: int64_t,
    edge: int64_t,
    window_length: int32_t,
    now_ns: int64_t,
) -> cython.void:
    """Note where a member is; one that is new joins unless it is behind everybody's window."""
    group: pointer[ReceiverGroup] = group_of(publication)
    i: int32_t
    for i in range(group.count):
        if group.array[i].receiver_id == receiver_id:
            group.array[i].window_edge = edge
            group.array[i].time_of_last_status_message_ns = now_ns
            return
    if (group.count == 0 or edge >= lowest_edge(publication, now_ns) - window_length) and add(
        group, receiver_id, edge, now_ns
    ):
        # Whoever was waited for has come.
        group.setup_limit = NO_SETUP_LIMIT
        publish_count(publication)
        if publication.shared.event_sink != cython.NULL:
            tell_receiver(publication, SINK_RECEIVER_ADDED, receiver_id, group.count)


@cfunc
@nogil
@exceptval(check=False)
def group_on_status_message(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    sender_limit: int64_t,
    now_ns: int64_t,
    is_member: bint,
) -> int64_t:
    message: pointer[cython.const[StatusMessageFrame]] = cast(
        pointer[cython.const[StatusMessageFrame]], frame
    )
    edge: int64_t = window_edge(publication, frame)
    limit: int64_t
    is_leaving: bint = message.flags & SM_FLAG_EOS != 0
    if is_member:
        if is_leaving:
            group_remove(publication, message.receiver_id)
        else:
            hear(publication, message.receiver_id, edge, message.receiver_window_length, now_ns)
    elif (
        not is_leaving
        and group_of(publication).count == 0
        and publication.flow_control.group_min_size == 0
    ):
        # Nobody who counts is there nor needed: whoever listens moves the stream.
        return edge if edge > sender_limit else sender_limit
    limit = group_limit(publication, lowest_edge(publication, now_ns), sender_limit)
    return limit if limit > sender_limit else sender_limit


@cfunc
@nogil
@exceptval(check=False)
def group_on_idle(
    publication: pointer[NetworkPublication],
    now_ns: int64_t,
    sender_limit: int64_t,
    sender_position: int64_t,
    is_end_of_stream: bint,
) -> int64_t:
    group: pointer[ReceiverGroup] = group_of(publication)
    count: int32_t = group.count
    i: int32_t = group.count - 1
    while i >= 0:
        if (
            now_ns
            > group.array[i].time_of_last_status_message_ns
            + publication.flow_control.receiver_timeout_ns
        ):
            remove_at(publication, i)
        i -= 1
    if group.count != count:
        publish_count(publication)
    return group_limit(publication, lowest_edge(publication, now_ns), sender_limit)


@cfunc
@nogil
@exceptval(check=False)
def group_request_setup(publication: pointer[NetworkPublication], is_member: bint) -> cython.void:
    if is_member:
        group_of(publication).is_setup_requested = True


@cfunc
@nogil
@exceptval(check=False)
def group_on_setup(
    publication: pointer[NetworkPublication], now_ns: int64_t, sender_limit: int64_t
) -> cython.void:
    group: pointer[ReceiverGroup] = group_of(publication)
    if group.is_setup_requested and group.count > 0:
        # The others would run away from the one that is about to join.
        group.time_of_last_setup_ns = now_ns
        group.setup_limit = sender_limit
    group.is_setup_requested = False


@cfunc
@nogil
@exceptval(check=False)
def group_max_retransmit_length(
    publication: pointer[NetworkPublication], term_offset: int32_t, length: int32_t
) -> int32_t:
    return capped_retransmit_length(publication, term_offset, length, GROUP_RETRANSMIT_WINDOWS)
