# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Agents tell the event log of streams: receivers of flow control, resends, revokes. Never waits.

What finds no room in the log's ring is counted and not told. A driver that logs none of these
events has no sink: its agents see a NULL pointer at the rare places where they would tell.
"""

from __future__ import annotations

import struct

import cython
from cython import address, bint, cast, cclass, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.event_sink import (
    SINK_IMAGE_REVOKE,
    SINK_PUBLICATION_REVOKE,
    SINK_RECEIVER_ADDED,
    SINK_RECEIVER_REMOVED,
    SINK_RESEND,
    EventSinkState,
    SinkRecord,
)
from cython.cimports.volans.driver.layout import DriverShared, NetworkPublication
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.memory.atomic import fetch_add_i64, load_acquire_i64
from cython.cimports.volans.memory.layout import RING_OK
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_write, ring_buffer_wrap

# time_ns, registration_id, value, session_id, stream_id, count, term_id, term_offset, length
RECORD = struct.Struct("=qqqiiiiii")


@cfunc
@nogil
@exceptval(check=False)
def put(
    state: pointer[EventSinkState], event_id: int32_t, record: pointer[SinkRecord]
) -> cython.void:
    if mpsc_ring_write(address(state.ring), event_id, record, sizeof(SinkRecord)) != RING_OK:
        fetch_add_i64(address(state.lost_count), 1)


@cfunc
@nogil
@exceptval(check=False)
def tell_receiver(
    publication: pointer[NetworkPublication],
    event_id: int32_t,
    receiver_id: int64_t,
    receiver_count: int32_t,
) -> cython.void:
    state: pointer[EventSinkState] = cast(pointer[EventSinkState], publication.shared.event_sink)
    record: SinkRecord
    is_told: bint = state.tells_receiver_removed
    if event_id == SINK_RECEIVER_ADDED:
        is_told = state.tells_receiver_added
    if not is_told:
        return
    memset(address(record), 0, sizeof(SinkRecord))
    record.time_ns = publication.endpoint.engine.now_ns
    record.registration_id = publication.registration_id
    record.value = receiver_id
    record.session_id = publication.session_id
    record.stream_id = publication.stream_id
    record.count = receiver_count
    put(state, event_id, address(record))


@cfunc
@nogil
@exceptval(check=False)
def tell_resend(
    publication: pointer[NetworkPublication],
    term_id: int32_t,
    term_offset: int32_t,
    length: int32_t,
    now_ns: int64_t,
) -> cython.void:
    state: pointer[EventSinkState] = cast(pointer[EventSinkState], publication.shared.event_sink)
    record: SinkRecord
    if not state.tells_resend:
        return
    memset(address(record), 0, sizeof(SinkRecord))
    record.time_ns = now_ns
    record.registration_id = publication.registration_id
    record.session_id = publication.session_id
    record.stream_id = publication.stream_id
    record.term_id = term_id
    record.term_offset = term_offset
    record.length = length
    put(state, SINK_RESEND, address(record))


@cfunc
@nogil
@exceptval(check=False)
def tell_revoke(
    shared: pointer[DriverShared],
    event_id: int32_t,
    registration_id: int64_t,
    session_id: int32_t,
    stream_id: int32_t,
    position: int64_t,
    now_ns: int64_t,
) -> cython.void:
    state: pointer[EventSinkState] = cast(pointer[EventSinkState], shared.event_sink)
    record: SinkRecord
    is_told: bint = state.tells_image_revoke
    if event_id == SINK_PUBLICATION_REVOKE:
        is_told = state.tells_publication_revoke
    if not is_told:
        return
    memset(address(record), 0, sizeof(SinkRecord))
    record.time_ns = now_ns
    record.registration_id = registration_id
    record.value = position
    record.session_id = session_id
    record.stream_id = stream_id
    put(state, event_id, address(record))


@cclass
class EventSink:
    """Lets the agents of one driver tell the event log of their streams.

    Args:
        shared: the driver's, before its agents start; it keeps this object.
        ring: memory of the event log's ring, trailer included.
        event_ids: which of FLOW_CONTROL_RECEIVER_ADDED (48), _REMOVED (49), RESEND (55),
            PUBLICATION_REVOKE (59) and PUBLICATION_IMAGE_REVOKE (60) are told, each as a `RECORD`.

    Raises ValueError when the memory is no ring. Threading: any thread.
    """

    def __init__(self, shared: SharedState, ring, event_ids):
        view: cython.uchar[::1] = ring
        if ring_buffer_wrap(
            address(self.state.ring), cast(pointer[uint8_t], address(view[0])), view.shape[0]
        ):
            raise ValueError(f"{view.shape[0]} bytes are no ring buffer with its trailer")
        self.owner = view
        self.state.tells_receiver_added = SINK_RECEIVER_ADDED in event_ids
        self.state.tells_receiver_removed = SINK_RECEIVER_REMOVED in event_ids
        self.state.tells_resend = SINK_RESEND in event_ids
        self.state.tells_publication_revoke = SINK_PUBLICATION_REVOKE in event_ids
        self.state.tells_image_revoke = SINK_IMAGE_REVOKE in event_ids
        shared.owner = (shared.owner, self)
        shared.state.event_sink = address(self.state)

    @property
    def lost_count(self) -> int:
        """Events the ring had no room for."""
        return load_acquire_i64(address(self.state.lost_count))
