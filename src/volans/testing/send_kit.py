# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The sending side of a driver in plain memory, step by step under the test's clock.

A `SenderKit` is a sender with one endpoint on an engine that records what it is offered; a
`PublicationKit` is a publication on it over a log of its own. The engine's answers (how much room,
which error) and what comes in are the test's to choose.
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.driver.flow_control.registry import flow_control_open
from cython.cimports.volans.driver.layout import (
    DESTINATIONS_DYNAMIC,
    DESTINATIONS_MANUAL,
    SYSTEM_COUNTER_COUNT,
    TO_SENDER_ADD_DESTINATION,
    TO_SENDER_ADD_ENDPOINT,
    TO_SENDER_ADD_PUBLICATION,
    TO_SENDER_CHANGE_DESTINATION,
    TO_SENDER_REMOVE_DESTINATION,
    TO_SENDER_REMOVE_ENDPOINT,
    TO_SENDER_REMOVE_PUBLICATION,
    AgentCommand,
)
from cython.cimports.volans.driver.publication import publication_send
from cython.cimports.volans.driver.publication_pacing import (
    publication_add_spy,
    publication_on_time_event,
    publication_on_unreferenced,
    publication_remove_spy,
    publication_update_limit,
)
from cython.cimports.volans.driver.retransmit import retransmit_close, retransmit_init
from cython.cimports.volans.driver.send_cycle import send_cycle, send_cycle_free
from cython.cimports.volans.driver.send_destinations import send_destinations_free
from cython.cimports.volans.driver.send_endpoint import (
    send_endpoint_add_publication,
    send_endpoint_on_datagram,
)
from cython.cimports.volans.driver.subscribable import subscribable_free
from cython.cimports.volans.log.buffers import log_producer_position
from cython.cimports.volans.memory.atomic import store_release_i64, store_release_u8
from cython.cimports.volans.memory.error_log import error_log_wrap
from cython.cimports.volans.memory.int64_map import int64_map_free, int64_map_init
from cython.cimports.volans.memory.layout import RING_OK, RING_TRAILER_LENGTH
from cython.cimports.volans.memory.ring_buffer import (
    mpsc_ring_read,
    mpsc_ring_write,
    ring_buffer_wrap,
)
from cython.cimports.volans.transport.address import address_from_text, address_port
from cython.cimports.volans.transport.contract import Address, Endpoint, Engine, RxDatagram

RING_LENGTH = 65536 + RING_TRAILER_LENGTH
PUBLICATION_COUNTERS = (
    "publisher_position",
    "publisher_limit",
    "sender_position",
    "sender_limit",
    "back_pressure_events",
    "naks_received",
    "receiver_count",
)
SPY_POSITIONS_MAX = 8
STATE_NAMES = ("ACTIVE", "DRAINING", "LINGER", "DONE")


# --- the recording engine ----------------------------------------------------------------------


@cfunc
@nogil
@exceptval(check=False)
def recording_of(engine: pointer[Engine]) -> pointer[Recording]:
    return cast(pointer[Recording], engine.private_state)


@cfunc
@nogil
@exceptval(check=False)
def record(
    recording: pointer[Recording],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> cython.void:
    record: pointer[RecordedDatagram] = address(recording.records[recording.count])
    record.source = data
    record.offset = recording.byte_count
    record.length = length
    record.run = recording.run_count
    record.destination = destination[0]
    memcpy(address(recording.bytes[recording.byte_count]), data, length)
    recording.byte_count += length
    recording.count += 1


@cfunc
@nogil
@exceptval(check=False)
def has_room(recording: pointer[Recording], length: int32_t) -> cython.bint:
    return (
        recording.room != 0
        and recording.count < RECORDS_MAX
        and recording.byte_count + length <= RECORDED_BYTES_MAX
    )


@cfunc
@nogil
@exceptval(check=False)
def tx_run(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    base: pointer[cython.const[uint8_t]],
    segment_length: int32_t,
    segment_count: int32_t,
    last_length: int32_t,
) -> int32_t:
    recording: pointer[Recording] = recording_of(engine)
    i: int32_t = 0
    length: int32_t
    if recording.error != 0 and (
        recording.error_port == 0 or recording.error_port == address_port(destination)
    ):
        return -recording.error
    while i < segment_count and has_room(recording, segment_length):
        length = segment_length if i < segment_count - 1 else last_length
        record(recording, destination, base + cast(int64_t, i) * segment_length, length)
        if recording.room > 0:
            recording.room -= 1
        i += 1
    recording.run_count += 1
    return i


@cfunc
@nogil
@exceptval(check=False)
def tx_copy(
    engine: pointer[Engine],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    return tx_run(engine, endpoint, destination, data, length, 1, length)


@cfunc
@nogil
@exceptval(check=False)
def tx_flush(engine: pointer[Engine]) -> int32_t:
    recording: pointer[Recording] = recording_of(engine)
    recording.flush_count += 1
    recording.room = recording.room_after_flush
    return 0


@cfunc
@nogil
@exceptval(check=False)
def tx_forget(
    engine: pointer[Engine], base: pointer[cython.const[uint8_t]], length: int64_t
) -> cython.void:
    recording_of(engine).forget_count += 1


@cfunc
@nogil
@exceptval(check=False)
def endpoint_add(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> int32_t:
    recording_of(engine).endpoint_count += 1
    return 0


@cfunc
@nogil
@exceptval(check=False)
def endpoint_remove(engine: pointer[Engine], endpoint: pointer[Endpoint]) -> cython.void:
    recording_of(engine).endpoint_count -= 1


@cfunc
@nogil
@exceptval(check=False)
def rx_poll(engine: pointer[Engine], out: pointer[RxDatagram], limit: int32_t) -> int32_t:
    recording: pointer[Recording] = recording_of(engine)
    count: int32_t = recording.inbox_count if recording.inbox_count < limit else limit
    i: int32_t
    for i in range(count):
        out[i] = recording.inbox[i]
    recording.inbox_count = 0
    return count


@cfunc
@nogil
@exceptval(check=False)
def rx_release(
    engine: pointer[Engine], datagrams: pointer[RxDatagram], count: int32_t
) -> cython.void:
    pass


@cfunc
@nogil
@exceptval(check=False)
def collect_message(
    msg_type_id: int32_t, payload: pointer[uint8_t], length: int32_t, clientd: p_void
) -> cython.void:
    with cython.gil:
        cast(list, clientd).append((msg_type_id, payload[:length]))


# --- the sender ----------------------------------------------------------------------------------


@cclass
class SenderKit:
    """A sender with one endpoint, `destination` "127.0.0.1:40123".

    Times are ns; keyword arguments are driver settings of the same name. One thread.
    """

    def __cinit__(self):
        self.recording = cast(pointer[Recording], calloc(1, sizeof(Recording)))
        if self.recording == cython.NULL or int64_map_init(address(self.endpoint.publications), 8):
            raise MemoryError

    def __init__(
        self,
        *,
        destination_port: int32_t = 40123,
        has_group_semantics: bool = False,
        multicast_ttl: int32_t = 0,
        retransmit_delay_ns: int64_t = 0,
        retransmit_linger_ns: int64_t = 10_000_000,
        publication_connection_timeout_ns: int64_t = 5_000_000_000,
        status_message_timeout_ns: int64_t = 200_000_000,
        send_to_status_poll_ratio: int32_t = 6,
        initial_window_length: int32_t = 128 * 1024,
        control_mode: str = "",
        send_timestamp_offset=None,
    ):
        i: int32_t
        self.counters = bytearray(8 * SYSTEM_COUNTER_COUNT + 16)
        self.rings = bytearray(2 * RING_LENGTH)
        self.errors = bytearray(65536)
        self.publications = []
        for i in range(SYSTEM_COUNTER_COUNT):
            self.shared.system[i] = self._counter(i)
        ring_length: int64_t = RING_LENGTH
        base: pointer[uint8_t] = self.rings
        ring_buffer_wrap(address(self.shared.to_sender), base, ring_length)
        ring_buffer_wrap(address(self.shared.to_control), base + ring_length, ring_length)
        error_log_wrap(
            address(self.shared.error_log),
            cast(pointer[uint8_t], cast(cython.p_char, self.errors)),
            65536,
        )
        self.shared.retransmit_delay_ns = retransmit_delay_ns
        self.shared.retransmit_linger_ns = retransmit_linger_ns
        self.shared.publication_connection_timeout_ns = publication_connection_timeout_ns
        self.shared.status_message_timeout_ns = status_message_timeout_ns
        self.shared.send_to_status_poll_ratio = send_to_status_poll_ratio
        self.shared.initial_window_length = initial_window_length
        self.recording.room = -1
        self.recording.room_after_flush = -1
        self.ops.name = b"recording"
        self.ops.tx_run = tx_run
        self.ops.tx_copy = tx_copy
        self.ops.tx_flush = tx_flush
        self.ops.tx_forget = tx_forget
        self.ops.endpoint_add = endpoint_add
        self.ops.endpoint_remove = endpoint_remove
        self.ops.rx_poll = rx_poll
        self.ops.rx_release = rx_release
        self.engine.ops = address(self.ops)
        self.engine.private_state = self.recording
        self.endpoint.engine = address(self.engine)
        self.endpoint.shared = address(self.shared)
        self.endpoint.endpoint.owner = address(self.endpoint)
        self.endpoint.is_unicast = not has_group_semantics
        self.endpoint.has_group_semantics = has_group_semantics
        self.endpoint.multicast_ttl = multicast_ttl
        if send_timestamp_offset is not None:
            self.endpoint.has_send_timestamp = True
            self.endpoint.send_timestamp_offset = send_timestamp_offset
        if control_mode:
            self.endpoint.is_unicast = False
            self.endpoint.destinations.mode = (
                DESTINATIONS_MANUAL if control_mode == "manual" else DESTINATIONS_DYNAMIC
            )
            self.endpoint.destinations.count_counter = self._counter(SYSTEM_COUNTER_COUNT)
        address_from_text(address(self.endpoint.destination), "127.0.0.1", destination_port)
        self.sender.shared = address(self.shared)
        self.sender.engine = address(self.engine)

    def __dealloc__(self):
        send_cycle_free(address(self.sender))
        int64_map_free(address(self.endpoint.publications))
        send_destinations_free(address(self.endpoint.destinations))
        free(self.recording)

    @cfunc
    def _counter(self, number: int32_t) -> pointer[int64_t]:
        if not 0 <= number <= SYSTEM_COUNTER_COUNT:
            raise IndexError(number)
        return cast(pointer[int64_t], cast(p_void, cast(cython.p_char, self.counters))) + number

    def system(self, number: int32_t) -> int:
        """A system counter's value."""
        return self._counter(number)[0]

    @property
    def destination_count(self) -> int:
        """The counter mdc-num-dest."""
        return self._counter(SYSTEM_COUNTER_COUNT)[0]

    @property
    def has_errors(self) -> bool:
        """Whether the error log holds a record."""
        return any(self.errors)

    # --- what goes out ---------------------------------------------------------------------------

    def take(self) -> list:
        """The datagrams offered and accepted since the last call."""
        return [datagram for run in self.take_runs() for datagram in run]

    def take_runs(self) -> list:
        """The same, a list for each call of the engine."""
        runs: list = []
        run: list = []
        last: int32_t = -1
        i: int32_t
        entry: pointer[RecordedDatagram]
        for i in range(self.recording.count):
            entry = address(self.recording.records[i])
            if entry.run != last:
                run = []
                runs.append(run)
                last = entry.run
            run.append(
                cast(cython.p_char, address(self.recording.bytes[entry.offset]))[: entry.length]
            )
        self.recording.count = 0
        self.recording.byte_count = 0
        return runs

    def take_destination_ports(self) -> list:
        """The ports of the datagrams since the last `take`; takes nothing."""
        ports: list = []
        i: int32_t
        entry: pointer[RecordedDatagram]
        for i in range(self.recording.count):
            entry = address(self.recording.records[i])
            ports.append(entry.destination.bytes[2] * 256 + entry.destination.bytes[3])
        return ports

    def set_room(self, now: int32_t, after_flush: int32_t) -> None:
        """Datagrams the engine takes until the next flush, and from then on; -1 = any number."""
        self.recording.room = now
        self.recording.room_after_flush = after_flush

    def fail_with(self, error_number: int32_t, port: int32_t = 0) -> None:
        """Every send (or those to a port) fails with this errno; 0 ends that."""
        self.recording.error = error_number
        self.recording.error_port = port

    def add_stats(self, short_sends: int64_t = 0, tx_errors: int64_t = 0, last_errno: int32_t = 0):
        """What the engine counts at its next flush is added to its statistics at once."""
        self.engine.stats.short_sends += short_sends
        self.engine.stats.tx_errors += tx_errors
        self.engine.stats.last_errno = last_errno

    @property
    def flush_count(self) -> int:
        """Calls of tx_flush."""
        return self.recording.flush_count

    @property
    def forget_count(self) -> int:
        """Calls of tx_forget."""
        return self.recording.forget_count

    @property
    def endpoint_count(self) -> int:
        """Endpoints added and not removed."""
        return self.recording.endpoint_count

    # --- what comes in ---------------------------------------------------------------------------

    def receive(
        self,
        datagram: bytes,
        now_ns: int64_t,
        segment_length: int32_t = 0,
        source_host: str = "127.0.0.1",
        source_port: int32_t = 40999,
    ) -> None:
        """Hand a datagram to the endpoint."""
        received: RxDatagram
        memset(address(received), 0, sizeof(RxDatagram))
        address_from_text(address(received.source), source_host, source_port)
        self.engine.now_ns = now_ns
        received.data = cast(pointer[uint8_t], cast(cython.p_char, datagram))
        received.length = len(datagram)
        received.segment_length = segment_length
        send_endpoint_on_datagram(address(self.endpoint), address(received), now_ns)

    def put_into_inbox(self, datagram: bytes) -> None:
        """Let the engine's next poll bring a datagram."""
        index: int32_t = self.recording.inbox_count
        if index >= INBOX_MAX or len(datagram) > INBOX_SLOT_LENGTH:
            raise ValueError(f"inbox takes {INBOX_MAX} datagrams of {INBOX_SLOT_LENGTH} bytes")
        received: pointer[RxDatagram] = address(self.recording.inbox[index])
        memset(received, 0, sizeof(RxDatagram))
        received.data = address(self.recording.inbox_bytes[index * INBOX_SLOT_LENGTH])
        memcpy(received.data, cast(cython.p_char, datagram), len(datagram))
        received.length = len(datagram)
        received.endpoint = address(self.endpoint.endpoint)
        address_from_text(address(received.source), "127.0.0.1", 40999)
        self.recording.inbox_count += 1

    @property
    def inbox_count(self) -> int:
        """Datagrams not yet polled."""
        return self.recording.inbox_count

    # --- the agent -------------------------------------------------------------------------------

    def cycle(self, now_ns: int64_t) -> int:
        """One duty cycle; work count."""
        return send_cycle(address(self.sender), now_ns, now_ns // 1_000_000)

    def add_destination(self, registration_id: int64_t, port: int32_t) -> None:
        """The command of the control plane; to 127.0.0.1, port 0: not resolved yet."""
        self._tell_destination(TO_SENDER_ADD_DESTINATION, registration_id, port)

    def change_destination(self, registration_id: int64_t, port: int32_t) -> None:
        """The command of the control plane."""
        self._tell_destination(TO_SENDER_CHANGE_DESTINATION, registration_id, port)

    def remove_destination(self, registration_id: int64_t) -> None:
        """The command of the control plane."""
        self._tell_destination(TO_SENDER_REMOVE_DESTINATION, registration_id, 0)

    @cfunc
    @exceptval(-1, check=False)
    def _tell_destination(
        self, msg_type_id: int32_t, registration_id: int64_t, port: int32_t
    ) -> cython.int:
        command: AgentCommand
        memset(address(command), 0, sizeof(AgentCommand))
        command.item = address(self.endpoint)
        command.id = registration_id
        if port > 0:
            address_from_text(address(command.address), "127.0.0.1", port)
        return self._write(msg_type_id, address(command))

    @cfunc
    @exceptval(-1, check=False)
    def _tell(self, msg_type_id: int32_t, item: p_void) -> cython.int:
        command: AgentCommand
        memset(address(command), 0, sizeof(AgentCommand))
        command.item = item
        return self._write(msg_type_id, address(command))

    @cfunc
    @exceptval(-1, check=False)
    def _write(self, msg_type_id: int32_t, command: pointer[AgentCommand]) -> cython.int:
        if (
            mpsc_ring_write(
                address(self.shared.to_sender),
                msg_type_id,
                command,
                sizeof(AgentCommand),
            )
            != RING_OK
        ):
            raise BufferError("the sender's ring is full")
        return 0

    def add_endpoint(self) -> None:
        """Command: poll the endpoint."""
        self._tell(TO_SENDER_ADD_ENDPOINT, address(self.endpoint))

    def remove_endpoint(self) -> None:
        """Command: let go of the endpoint."""
        self._tell(TO_SENDER_REMOVE_ENDPOINT, address(self.endpoint))

    def add_publication(self, kit: PublicationKit) -> None:
        """Command: send the publication."""
        self._tell(TO_SENDER_ADD_PUBLICATION, address(kit.publication))

    def remove_publication(self, kit: PublicationKit) -> None:
        """Command: let go of the publication."""
        self._tell(TO_SENDER_REMOVE_PUBLICATION, address(kit.publication))

    @property
    def endpoint_released(self) -> bool:
        """The sender let go of the endpoint."""
        return self.endpoint.sender_released != 0

    def fill_events(self) -> int:
        """Leave no room for another event; how many fillers there are."""
        count: int32_t = 0
        filler: int64_t = 0
        while mpsc_ring_write(address(self.shared.to_control), 99, address(filler), 8) == RING_OK:
            count += 1
        return count

    def events(self) -> list:
        """Messages to the control plane since the last call: (msg_type_id, bytes)."""
        messages: list = []
        mpsc_ring_read(
            address(self.shared.to_control), collect_message, cast(p_void, messages), 256
        )
        return messages


@cclass
class PublicationKit:
    """A publication of `sender_kit`, known to its endpoint; `log` is a LogKit over its log.

    Made at time 0 (`now_ns`). Keyword arguments are fields of the driver's publication.
    """

    def __cinit__(self):
        if int64_map_init(address(self.publication.receiver_liveness), 8) < 0:
            raise MemoryError

    def __init__(
        self,
        sender_kit: SenderKit,
        *,
        registration_id: int64_t = 77,
        session_id: int32_t = 1001,
        stream_id: int32_t = 10,
        initial_term_id: int32_t = 7,
        start_term_id=None,
        start_term_offset: int32_t = 0,
        term_length: int32_t = 65536,
        mtu_length: int32_t = 1408,
        max_messages_per_send: int32_t = 4,
        max_resend: int32_t = 16,
        flow_control: str = "unicast",
        is_exclusive: bool = False,
        signal_eos: bool = True,
        spies_simulate_connection: bool = False,
        is_response: bool = False,
        response_correlation_id: int64_t = -1,
        term_window_length=None,
        group_min_size: int32_t = 0,
        group_tag: int64_t = -1,
        receiver_timeout_ns: int64_t = 5_000_000_000,
        retransmit_window_multiple: int32_t = 0,
        untethered_timeout_ns: int64_t = 0,
        linger_timeout_ns: int64_t = 5_000_000_000,
        unblock_timeout_ns: int64_t = 15_000_000_000,
        reference_count: int32_t = 1,
        now_ns: int64_t = 0,
    ):
        publication: pointer[NetworkPublication] = address(self.publication)
        start: int32_t = initial_term_id if start_term_id is None else start_term_id
        self.sender_kit = sender_kit
        self.log = LogKit(
            term_length=term_length,
            mtu_length=mtu_length,
            session_id=session_id,
            stream_id=stream_id,
            initial_term_id=initial_term_id,
            start_term_id=start,
            start_term_offset=start_term_offset,
        )
        self.counters = bytearray(8 * (len(PUBLICATION_COUNTERS) + SPY_POSITIONS_MAX) + 8)
        publication.log = self.log.log
        publication.endpoint = address(sender_kit.endpoint)
        publication.shared = address(sender_kit.shared)
        publication.registration_id = registration_id
        publication.session_id = session_id
        publication.stream_id = stream_id
        publication.mtu_length = mtu_length
        publication.max_messages_per_send = max_messages_per_send
        publication.starting_term_id = start
        publication.starting_term_offset = start_term_offset
        publication.term_window_length = (
            term_length // 2 if term_window_length is None else term_window_length
        )
        publication.connection_timeout_ns = sender_kit.shared.publication_connection_timeout_ns
        publication.linger_timeout_ns = linger_timeout_ns
        publication.unblock_timeout_ns = unblock_timeout_ns
        publication.response_correlation_id = response_correlation_id
        publication.is_exclusive = is_exclusive
        publication.is_response = is_response
        publication.signal_eos = signal_eos
        publication.spies_simulate_connection = spies_simulate_connection
        publication.reference_count = reference_count
        publication.publisher_position = self._counter(0)
        publication.publisher_limit = self._counter(1)
        publication.sender_position = self._counter(2)
        publication.sender_limit = self._counter(3)
        publication.back_pressure_events = self._counter(4)
        publication.naks_received = self._counter(5)
        publication.flow_control.receiver_count = self._counter(6)
        publication.flow_control.group_min_size = group_min_size
        publication.flow_control.group_tag = group_tag
        publication.flow_control.receiver_timeout_ns = receiver_timeout_ns
        publication.flow_control.retransmit_window_multiple = retransmit_window_multiple
        publication.untethered_window_limit_timeout_ns = untethered_timeout_ns
        publication.untethered_linger_timeout_ns = untethered_timeout_ns
        publication.untethered_resting_timeout_ns = untethered_timeout_ns
        position: int64_t = log_producer_position(address(publication.log))
        for i in range(4):
            self._counter(i)[0] = position
        publication.clean_position = position
        publication.last_sender_position = position
        publication.max_spy_position = position
        publication.time_of_last_activity_ns = now_ns
        publication.time_of_last_setup_ns = now_ns - 10_000_000_000
        publication.time_of_last_data_or_heartbeat_ns = now_ns - 10_000_000_000
        publication.sender_index = -1
        if (
            retransmit_init(
                address(publication.retransmit),
                max_resend,
                sender_kit.endpoint.has_group_semantics,
            )
            < 0
            or send_endpoint_add_publication(publication.endpoint, publication) < 0
        ):
            raise MemoryError
        name: bytes = flow_control.encode()
        if flow_control_open(publication, name) < 0:
            raise ValueError(f"flow control {flow_control!r} is not known")
        sender_kit.publications.append(self)

    def __dealloc__(self):
        if self.publication.flow_control.ops != cython.NULL:
            self.publication.flow_control.ops.close(address(self.publication))
        retransmit_close(address(self.publication.retransmit))
        subscribable_free(address(self.publication.spies))
        int64_map_free(address(self.publication.receiver_liveness))

    @cfunc
    def _counter(self, number: int32_t) -> pointer[int64_t]:
        if not 0 <= number < len(PUBLICATION_COUNTERS) + SPY_POSITIONS_MAX:
            raise IndexError(number)
        return cast(pointer[int64_t], cast(p_void, cast(cython.p_char, self.counters))) + number

    def counter(self, name: str) -> int:
        """One of PUBLICATION_COUNTERS."""
        return self._counter(PUBLICATION_COUNTERS.index(name))[0]

    def set_counter(self, name: str, value: int64_t) -> None:
        """Set one of PUBLICATION_COUNTERS."""
        store_release_i64(self._counter(PUBLICATION_COUNTERS.index(name)), value)

    # --- sender ----------------------------------------------------------------------------------

    def send(self, now_ns: int64_t) -> int:
        """One turn of the publication in the sender's cycle: bytes, or -errno."""
        self.sender_kit.engine.now_ns = now_ns
        return publication_send(address(self.publication), now_ns)

    @property
    def has_receivers(self) -> bool:
        """The sender's word."""
        return self.publication.has_receivers != 0

    @property
    def has_required_receivers(self) -> bool:
        """The flow control's word."""
        return self.publication.flow_control.has_required_receivers != 0

    @property
    def is_connected(self) -> bool:
        """The word in the log."""
        return self.publication.log.metadata.is_connected != 0

    @property
    def is_setup_elicited(self) -> bool:
        """A receiver asked for a SETUP."""
        return self.publication.is_setup_elicited

    @property
    def active_retransmit_count(self) -> int:
        """Retransmit slots in use."""
        return self.publication.retransmit.active_count

    @property
    def released(self) -> bool:
        """The sender let go."""
        return self.publication.sender_released != 0

    @property
    def sender_index(self) -> int:
        """Place in the sender's array, -1 = none."""
        return self.publication.sender_index

    # --- conductor -------------------------------------------------------------------------------

    def update_limit(self) -> int:
        """The conductor's turn of every cycle; work count."""
        return publication_update_limit(address(self.publication))

    def time_event(self, now_ns: int64_t) -> None:
        """The conductor's turn of every timer interval."""
        publication_on_time_event(address(self.publication), now_ns, now_ns // 1_000_000)

    def close_last_client(self, now_ns: int64_t) -> None:
        """The last client let go."""
        self.publication.reference_count = 0
        publication_on_unreferenced(address(self.publication), now_ns)

    def revoke(self) -> None:
        """A client revoked the publication."""
        store_release_u8(address(self.publication.log.metadata.is_publication_revoked), 1)

    def add_spy(
        self, number: int32_t, now_ns: int64_t = 0, *, is_tether: cython.bint = True
    ) -> int:
        """Join a spy (0 to 7; its registration id is 500 + number, counter id 900 + number)."""
        position: pointer[int64_t] = self._counter(len(PUBLICATION_COUNTERS) + number)
        return publication_add_spy(
            address(self.publication), position, 900 + number, 500 + number, is_tether, True, now_ns
        )

    def remove_spy(self, number: int32_t) -> int:
        """Counter id, or -1."""
        return publication_remove_spy(address(self.publication), 500 + number)

    def move_spy(self, number: int32_t, position: int64_t) -> None:
        """The spy has consumed up to there."""
        store_release_i64(self._counter(len(PUBLICATION_COUNTERS) + number), position)

    @property
    def has_spies(self) -> bool:
        """The conductor's word."""
        return self.publication.has_spies != 0

    @property
    def is_end_of_stream(self) -> bool:
        """The conductor's word."""
        return self.publication.is_end_of_stream != 0

    @property
    def clean_position(self) -> int:
        """Everything before it is zeroed."""
        return self.publication.clean_position

    @property
    def state_name(self) -> str:
        """ACTIVE, DRAINING, LINGER or DONE."""
        return STATE_NAMES[self.publication.state]

    @property
    def end_of_stream_position(self) -> int:
        """The log's word."""
        return self.publication.log.metadata.end_of_stream_position
