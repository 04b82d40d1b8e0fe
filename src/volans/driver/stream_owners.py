# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Python owners of the driver's streams: publications and images.

The control plane makes them, lends the struct to the agents by pointer and drops the owner only
when every agent has let go (`released`). Nothing here runs on a data path.
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint32_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.driver.congestion.registry import congestion_control_open
from cython.cimports.volans.driver.flow_control.registry import flow_control_open
from cython.cimports.volans.driver.image import image_init_receiver_state
from cython.cimports.volans.driver.image_pacing import (
    image_accepts_subscribers,
    image_init_conductor_state,
)
from cython.cimports.volans.driver.layout import (
    STREAM_ACTIVE,
    IpcPublication,
    NetworkPublication,
    PublicationImage,
)
from cython.cimports.volans.driver.receive_owners import ReceiveEndpointOwner
from cython.cimports.volans.driver.response_layout import RESPONSE_SESSION_KNOWN
from cython.cimports.volans.driver.retransmit import retransmit_close, retransmit_init
from cython.cimports.volans.driver.send_owners import SendEndpointOwner
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.driver.sockaddrs import set_address
from cython.cimports.volans.driver.subscribable import subscribable_free
from cython.cimports.volans.log.buffers import log_buffers_wrap, log_producer_position
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
    store_release_i64,
    store_release_u8,
)
from cython.cimports.volans.memory.counters import CountersManager, counter_value_address
from cython.cimports.volans.memory.int64_map import int64_map_free, int64_map_init
from cython.cimports.volans.memory.mapped import MappedFile

STATE_NAMES = ("ACTIVE", "DRAINING", "LINGER", "DONE")


@cython.cfunc
def counter(counters: CountersManager, counter_id: int32_t) -> cython.pointer[int64_t]:
    return counter_value_address(address(counters.view), counter_id)


@cclass
class IpcPublicationOwner:
    """An IPC publication of the driver."""

    def __cinit__(self):
        self.state = cast(pointer[IpcPublication], calloc(1, sizeof(IpcPublication)))
        if self.state == cython.NULL:
            raise MemoryError

    def __init__(
        self,
        shared: SharedState,
        counters: CountersManager,
        log_file: MappedFile,
        *,
        registration_id: int64_t,
        session_id: int32_t,
        stream_id: int32_t,
        is_exclusive: bool,
        term_window_length: int64_t,
        publisher_position_counter_id: int32_t,
        publisher_limit_counter_id: int32_t,
        unblock_timeout_ns: int64_t,
        untethered_window_limit_timeout_ns: int64_t,
        untethered_linger_timeout_ns: int64_t,
        untethered_resting_timeout_ns: int64_t,
        now_ns: int64_t,
    ):
        state: pointer[IpcPublication] = self.state
        if log_buffers_wrap(address(state.log), log_file.memory, log_file.length) < 0:
            raise ValueError(f"{log_file.path} is not a log buffer file")
        self.log_file = log_file
        self.shared_owner = shared
        state.shared = address(shared.state)
        state.publisher_position = counter(counters, publisher_position_counter_id)
        state.publisher_limit = counter(counters, publisher_limit_counter_id)
        state.registration_id = registration_id
        state.session_id = session_id
        state.stream_id = stream_id
        state.is_exclusive = is_exclusive
        state.term_window_length = term_window_length
        state.trip_gain = term_window_length // 8
        state.unblock_timeout_ns = unblock_timeout_ns
        state.untethered_window_limit_timeout_ns = untethered_window_limit_timeout_ns
        state.untethered_linger_timeout_ns = untethered_linger_timeout_ns
        state.untethered_resting_timeout_ns = untethered_resting_timeout_ns
        state.state = STREAM_ACTIVE
        position: int64_t = log_producer_position(address(state.log))
        state.consumer_position = position
        state.last_consumer_position = position
        state.clean_position = position
        state.trip_limit = position
        state.time_of_last_consumer_change_ns = now_ns
        state.time_of_last_state_change_ns = now_ns
        store_release_i64(state.publisher_position, position)
        store_release_i64(state.publisher_limit, position)

    def __dealloc__(self):
        if self.state != cython.NULL:
            subscribable_free(address(self.state.subscribers))
            free(self.state)

    @property
    def state_name(self) -> str:
        return STATE_NAMES[self.state.state]

    @property
    def producer_position(self) -> int:
        return log_producer_position(address(self.state.log))

    @property
    def consumer_position(self) -> int:
        return self.state.consumer_position

    @property
    def accepts_subscribers(self) -> bool:
        """Active, or draining with something left to read."""
        if self.state.state == 0:
            return True
        return self.state.state == 1 and self.state.subscribers.count > 0

    def revoke(self) -> None:
        """Mark the log revoked; the pacer ends the stream at its next time event."""
        store_release_u8(address(self.state.log.metadata.is_publication_revoked), 1)


@cclass
class NetworkPublicationOwner:
    """A publication that sends over an endpoint."""

    def __cinit__(self):
        self.state = cast(pointer[NetworkPublication], calloc(1, sizeof(NetworkPublication)))
        if (
            self.state == cython.NULL
            or int64_map_init(address(self.state.receiver_liveness), 8) < 0
        ):
            raise MemoryError

    def __init__(
        self,
        shared: SharedState,
        counters: CountersManager,
        log_file: MappedFile,
        endpoint: SendEndpointOwner,
        *,
        registration_id: int64_t,
        session_id: int32_t,
        stream_id: int32_t,
        mtu_length: int32_t,
        start_term_id: int32_t,
        start_term_offset: int32_t,
        term_window_length: int64_t,
        is_exclusive: bool,
        signal_eos: bool,
        spies_simulate_connection: bool,
        is_response: bool,
        response_correlation_id: int64_t,
        flow_control: str,
        max_resend: int32_t,
        linger_timeout_ns: int64_t,
        untethered_window_limit_timeout_ns: int64_t,
        untethered_linger_timeout_ns: int64_t,
        untethered_resting_timeout_ns: int64_t,
        publisher_position_counter_id: int32_t,
        publisher_limit_counter_id: int32_t,
        sender_position_counter_id: int32_t,
        sender_limit_counter_id: int32_t,
        back_pressure_events_counter_id: int32_t,
        naks_received_counter_id: int32_t,
        now_ns: int64_t,
        retransmit_window_multiple: int32_t = 0,
        group_min_size: int32_t = 0,
        group_tag: int64_t = -1,
        receiver_timeout_ns: int64_t = -1,
        flow_control_receivers_counter_id: int32_t = -1,
    ):
        state: pointer[NetworkPublication] = self.state
        if log_buffers_wrap(address(state.log), log_file.memory, log_file.length) < 0:
            raise ValueError(f"{log_file.path} is not a log buffer file")
        self.log_file = log_file
        self.endpoint = endpoint
        self.shared_owner = (shared, counters)
        state.shared = address(shared.state)
        state.endpoint = endpoint.state
        state.registration_id = registration_id
        state.session_id = session_id
        state.stream_id = stream_id
        state.mtu_length = mtu_length
        state.max_messages_per_send = shared.state.max_messages_per_send
        state.starting_term_id = start_term_id
        state.starting_term_offset = start_term_offset
        state.term_window_length = term_window_length
        state.connection_timeout_ns = shared.state.publication_connection_timeout_ns
        state.unblock_timeout_ns = shared.state.publication_unblock_timeout_ns
        state.linger_timeout_ns = linger_timeout_ns
        state.untethered_window_limit_timeout_ns = untethered_window_limit_timeout_ns
        state.untethered_linger_timeout_ns = untethered_linger_timeout_ns
        state.untethered_resting_timeout_ns = untethered_resting_timeout_ns
        state.response_correlation_id = response_correlation_id
        state.is_exclusive = is_exclusive
        state.is_response = is_response
        state.signal_eos = signal_eos
        state.spies_simulate_connection = spies_simulate_connection
        state.publisher_position = counter(counters, publisher_position_counter_id)
        state.publisher_limit = counter(counters, publisher_limit_counter_id)
        state.sender_position = counter(counters, sender_position_counter_id)
        state.sender_limit = counter(counters, sender_limit_counter_id)
        state.back_pressure_events = counter(counters, back_pressure_events_counter_id)
        state.naks_received = counter(counters, naks_received_counter_id)
        state.state = STREAM_ACTIVE
        position: int64_t = log_producer_position(address(state.log))
        state.clean_position = position
        state.last_sender_position = position
        state.time_of_last_activity_ns = now_ns
        state.max_spy_position = position
        # Long ago, so that the first duty cycle sends a SETUP.
        state.time_of_last_setup_ns = now_ns - 10_000_000_000
        state.time_of_last_data_or_heartbeat_ns = now_ns - 10_000_000_000
        state.sender_index = -1
        store_release_i64(state.publisher_position, position)
        store_release_i64(state.publisher_limit, position)
        store_release_i64(state.sender_position, position)
        store_release_i64(state.sender_limit, position)
        if (
            retransmit_init(
                address(state.retransmit), max_resend, endpoint.state.has_group_semantics
            )
            < 0
        ):
            raise MemoryError
        name: bytes = flow_control.encode()
        state.flow_control.retransmit_window_multiple = retransmit_window_multiple
        state.flow_control.group_min_size = group_min_size
        state.flow_control.group_tag = group_tag
        state.flow_control.receiver_timeout_ns = (
            receiver_timeout_ns
            if receiver_timeout_ns >= 0
            else shared.state.flow_control_receiver_timeout_ns
        )
        if flow_control_receivers_counter_id >= 0:
            state.flow_control.receiver_count = counter(counters, flow_control_receivers_counter_id)
        opened: int32_t = flow_control_open(state, name)
        if opened == -2:
            raise MemoryError
        if opened < 0:
            raise ValueError(f"flow control {flow_control!r} is not known")

    def __dealloc__(self):
        if self.state != cython.NULL:
            if self.state.flow_control.ops != cython.NULL:
                self.state.flow_control.ops.close(self.state)
            retransmit_close(address(self.state.retransmit))
            subscribable_free(address(self.state.spies))
            int64_map_free(address(self.state.receiver_liveness))
            free(self.state)

    @property
    def state_name(self) -> str:
        return STATE_NAMES[self.state.state]

    @property
    def producer_position(self) -> int:
        return log_producer_position(address(self.state.log))

    @property
    def sender_position(self) -> int:
        return load_acquire_i64(self.state.sender_position)

    @property
    def accepts_subscribers(self) -> bool:
        """Active, or draining with spies that still have something to read."""
        if self.state.state == 0:
            return True
        return (
            self.state.state == 1
            and self.state.spies.count > 0
            and log_producer_position(address(self.state.log))
            > load_acquire_i64(self.state.sender_position)
        )

    @property
    def released(self) -> bool:
        """The sender will not touch the publication again."""
        return load_acquire_i32(address(self.state.sender_released)) != 0

    def revoke(self) -> None:
        store_release_u8(address(self.state.log.metadata.is_publication_revoked), 1)


@cclass
class PublicationImageOwner:
    """The copy of a remote publication's stream."""

    def __cinit__(self):
        self.state = cast(pointer[PublicationImage], calloc(1, sizeof(PublicationImage)))
        if self.state == cython.NULL:
            raise MemoryError

    def __init__(
        self,
        shared: SharedState,
        counters: CountersManager,
        log_file: MappedFile,
        endpoint: ReceiveEndpointOwner,
        *,
        correlation_id: int64_t,
        session_id: int32_t,
        stream_id: int32_t,
        mtu_length: int32_t,
        setup_flags: int32_t,
        initial_position: int64_t,
        is_reliable: bool,
        congestion_control: str,
        receiver_window_length: int32_t,
        nak_delay_ns: int64_t,
        nak_retry_delay_ns: int64_t,
        is_multicast_backoff: bool,
        destination_id: int64_t,
        control: bytes,
        source: bytes,
        source_identity: str,
        channel: str,
        untethered_window_limit_timeout_ns: int64_t,
        untethered_linger_timeout_ns: int64_t,
        untethered_resting_timeout_ns: int64_t,
        hwm_counter_id: int32_t,
        position_counter_id: int32_t,
        naks_sent_counter_id: int32_t,
        now_ns: int64_t,
        rtt_counter_id: int32_t = -1,
        window_counter_id: int32_t = -1,
    ):
        state: pointer[PublicationImage] = self.state
        if log_buffers_wrap(address(state.log), log_file.memory, log_file.length) < 0:
            raise ValueError(f"{log_file.path} is not a log buffer file")
        self.log_file = log_file
        self.endpoint = endpoint
        self.shared_owner = (shared, counters)
        self.channel_text = channel.encode()
        self.source_identity = source_identity.encode()
        state.shared = address(shared.state)
        state.endpoint = endpoint.state
        state.correlation_id = correlation_id
        state.session_id = session_id
        state.stream_id = stream_id
        state.mtu_length = mtu_length
        state.setup_flags = setup_flags
        state.liveness_timeout_ns = shared.state.image_liveness_timeout_ns
        state.status_message_timeout_ns = shared.state.status_message_timeout_ns
        state.untethered_window_limit_timeout_ns = untethered_window_limit_timeout_ns
        state.untethered_linger_timeout_ns = untethered_linger_timeout_ns
        state.untethered_resting_timeout_ns = untethered_resting_timeout_ns
        state.is_reliable = is_reliable
        set_address(address(state.source), source)
        set_address(address(state.first_control), control)
        state.first_destination_id = destination_id
        state.max_receiver_window_length = receiver_window_length
        state.channel_text = self.channel_text
        state.channel_text_length = len(self.channel_text)
        state.source_identity = self.source_identity
        state.source_identity_length = len(self.source_identity)
        state.receiver_hwm = counter(counters, hwm_counter_id)
        state.receiver_position = counter(counters, position_counter_id)
        state.naks_sent = counter(counters, naks_sent_counter_id)
        state.loss_detector.delay_ns = nak_delay_ns
        state.loss_detector.retry_delay_ns = nak_retry_delay_ns
        state.loss_detector.is_multicast_backoff = is_multicast_backoff
        state.receiver_index = -1
        name: bytes = congestion_control.encode()
        if rtt_counter_id >= 0:
            state.congestion_control.rtt_counter = counter(counters, rtt_counter_id)
        if window_counter_id >= 0:
            state.congestion_control.window_counter = counter(counters, window_counter_id)
        opened: int32_t = congestion_control_open(state, name, receiver_window_length, now_ns)
        if opened == -2:
            raise MemoryError
        if opened < 0:
            raise ValueError(f"congestion control {congestion_control!r} is not known")
        store_release_i64(state.receiver_hwm, initial_position)
        store_release_i64(state.receiver_position, initial_position)
        image_init_conductor_state(state, initial_position, now_ns)
        image_init_receiver_state(state, initial_position, now_ns)

    def __dealloc__(self):
        if self.state != cython.NULL:
            if self.state.congestion_control.ops != cython.NULL:
                self.state.congestion_control.ops.close(self.state)
            subscribable_free(address(self.state.subscribers))
            free(self.state.connections)
            free(self.state)

    @property
    def state_name(self) -> str:
        return STATE_NAMES[self.state.state]

    def reject(self, reason: bytes) -> None:
        """Take no more of the stream and tell the sender why; the first reason stays."""
        text: cython.p_const_char = reason
        if self.rejection_text is not None:
            return
        self.rejection_text = reason
        # The receiver reads it with acquire.
        store_release_i64(
            cast(pointer[int64_t], address(self.state.rejection_reason)), cast(int64_t, text)
        )

    def announce_response(self, session_id: int32_t) -> None:
        """Tell the publisher, until `end_response`, by which session it is answered."""
        # The receiver reads both with acquire, the request last.
        store_release_i64(
            address(self.state.response_session),
            RESPONSE_SESSION_KNOWN | cast(int64_t, cast(uint32_t, session_id)),
        )
        store_release_i32(address(self.state.is_sm_deadline_reset_requested), 1)

    def end_response(self) -> None:
        """The publisher knows its response session."""
        store_release_i64(address(self.state.response_session), 0)

    @property
    def accepts_subscribers(self) -> bool:
        """Active, or draining with something left to read; read by somebody."""
        return image_accepts_subscribers(self.state)

    @property
    def released(self) -> bool:
        """The receiver will not touch the image again."""
        return load_acquire_i32(address(self.state.receiver_released)) != 0
