# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What the agents of a driver share: system counters, error log, loss report, rings, settings."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uint64_t
from cython.cimports.libc.stdio import snprintf
from cython.cimports.libc.string import memset, strerror
from cython.cimports.volans.agents.native import NativeAgentRunner
from cython.cimports.volans.driver.layout import (
    SYSTEM_CONDUCTOR_MAX_CYCLE_TIME,
    SYSTEM_CONDUCTOR_PROXY_FAILS,
    SYSTEM_COUNTER_COUNT,
    SYSTEM_ERRORS,
    SYSTEM_RECEIVER_MAX_CYCLE_TIME,
    SYSTEM_SENDER_MAX_CYCLE_TIME,
    DriverShared,
    StreamEvent,
)
from cython.cimports.volans.memory.atomic import fetch_add_i64
from cython.cimports.volans.memory.counters import CountersManager, counter_value_address
from cython.cimports.volans.memory.error_log import error_log_record, error_log_wrap
from cython.cimports.volans.memory.layout import RING_OK, RING_TRAILER_LENGTH
from cython.cimports.volans.memory.loss_report import loss_report_wrap
from cython.cimports.volans.memory.mapped import MappedFile
from cython.cimports.volans.memory.ring_buffer import (
    mpsc_ring_read,
    mpsc_ring_write,
    ring_buffer_wrap,
)

COMMAND_RING_CAPACITY = 128 * 1024

SETTINGS = (
    "timer_interval_ns",
    "status_message_timeout_ns",
    "image_liveness_timeout_ns",
    "publication_unblock_timeout_ns",
    "publication_connection_timeout_ns",
    "publication_linger_timeout_ns",
    "retransmit_delay_ns",
    "retransmit_linger_ns",
    "nak_unicast_delay_ns",
    "nak_unicast_retry_delay_ratio",
    "nak_multicast_max_backoff_ns",
    "nak_multicast_group_size",
    "max_messages_per_send",
    "send_to_status_poll_ratio",
    "receiver_burst",
    "initial_window_length",
    "stream_session_limit",
    "flow_control_receiver_timeout_ns",
)


@cfunc
@nogil
@exceptval(check=False)
def record_error(
    shared: pointer[DriverShared], now_ms: int64_t, error_number: int32_t, what: cython.p_const_char
) -> cython.void:
    text: cython.char[512]
    length: int32_t
    if error_number != 0:
        length = snprintf(text, 512, b"(%d) %s: %s", error_number, strerror(error_number), what)
    else:
        length = snprintf(text, 512, b"%s", what)
    if length > 511:
        length = 511
    fetch_add_i64(shared.system[SYSTEM_ERRORS], 1)
    error_log_record(address(shared.error_log), text, length, now_ms)


@cfunc
@nogil
@exceptval(check=False)
def to_control(
    shared: pointer[DriverShared],
    msg_type_id: int32_t,
    message: cython.pointer[cython.const[cython.void]],
    length: int32_t,
) -> cython.bint:
    if mpsc_ring_write(address(shared.to_control), msg_type_id, message, length) == RING_OK:
        return True
    fetch_add_i64(shared.system[SYSTEM_CONDUCTOR_PROXY_FAILS], 1)
    return False


@cfunc
@nogil
@exceptval(check=False)
def stream_event(
    shared: pointer[DriverShared], msg_type_id: int32_t, registration_id: int64_t
) -> cython.bint:
    event: StreamEvent
    event.registration_id = registration_id
    return to_control(shared, msg_type_id, address(event), sizeof(StreamEvent))


@cfunc
@nogil
@exceptval(check=False)
def random_i64(shared: pointer[DriverShared]) -> int64_t:
    # splitmix64: one word of state, seeded by the shell, so that a simulation repeats.
    shared.random_state += (cast(uint64_t, 0x9E3779B9) << 32) | cast(uint64_t, 0x7F4A7C15)
    z: uint64_t = shared.random_state
    z = (z ^ (z >> 30)) * ((cast(uint64_t, 0xBF58476D) << 32) | cast(uint64_t, 0x1CE4E5B9))
    z = (z ^ (z >> 27)) * ((cast(uint64_t, 0x94D049BB) << 32) | cast(uint64_t, 0x133111EB))
    return cast(int64_t, z ^ (z >> 31))


@cfunc
@nogil
@exceptval(check=False)
def collect_message(
    msg_type_id: int32_t, payload: pointer[uint8_t], length: int32_t, clientd: p_void
) -> cython.void:
    with cython.gil:
        cast(list, clientd).append((msg_type_id, payload[:length]))


@cclass
class SharedState:
    """Owner of a `DriverShared`.

    Args:
        counters: the driver's CountersManager; system counters must be allocated at ids 0 to 45.
        error_log: mapped memory of the CnC error log section.
        loss_report: MappedFile of the loss report.
        settings: value of each name in `SETTINGS` (nanoseconds, bytes, counts).
        random_seed: seed of the driver's only random source.
    """

    def __init__(
        self,
        counters: CountersManager,
        error_log,
        loss_report: MappedFile,
        settings: dict,
        random_seed: int,
    ):
        i: int32_t
        error_view: cython.uchar[::1] = error_log
        memset(address(self.state), 0, sizeof(DriverShared))
        for i in range(SYSTEM_COUNTER_COUNT):
            self.state.system[i] = counter_value_address(address(counters.view), i)
        error_log_wrap(
            address(self.state.error_log),
            cast(pointer[uint8_t], address(error_view[0])),
            error_view.shape[0],
        )
        loss_report_wrap(address(self.state.loss_report), loss_report.memory, loss_report.length)
        self.owner = (counters, error_log, loss_report)
        length: int64_t = COMMAND_RING_CAPACITY + RING_TRAILER_LENGTH
        self.rings = bytearray(3 * length)
        base: pointer[uint8_t] = self.rings
        ring_buffer_wrap(address(self.state.to_control), base, length)
        ring_buffer_wrap(address(self.state.to_sender), base + length, length)
        ring_buffer_wrap(address(self.state.to_receiver), base + 2 * length, length)
        self.state.random_state = cast(uint64_t, random_seed & 0x7FFFFFFFFFFFFFFF)
        self.apply(settings)

    def apply(self, settings: dict) -> None:
        """Set the values agents read; call before they start."""
        missing = [name for name in SETTINGS if name not in settings]
        if missing:
            raise ValueError(f"driver settings missing: {', '.join(missing)}")
        state: pointer[DriverShared] = address(self.state)
        state.timer_interval_ns = settings["timer_interval_ns"]
        state.status_message_timeout_ns = settings["status_message_timeout_ns"]
        state.image_liveness_timeout_ns = settings["image_liveness_timeout_ns"]
        state.publication_unblock_timeout_ns = settings["publication_unblock_timeout_ns"]
        state.publication_connection_timeout_ns = settings["publication_connection_timeout_ns"]
        state.publication_linger_timeout_ns = settings["publication_linger_timeout_ns"]
        state.retransmit_delay_ns = settings["retransmit_delay_ns"]
        state.retransmit_linger_ns = settings["retransmit_linger_ns"]
        state.nak_unicast_delay_ns = settings["nak_unicast_delay_ns"]
        state.nak_unicast_retry_delay_ratio = settings["nak_unicast_retry_delay_ratio"]
        state.nak_multicast_max_backoff_ns = settings["nak_multicast_max_backoff_ns"]
        state.nak_multicast_group_size = settings["nak_multicast_group_size"]
        state.max_messages_per_send = settings["max_messages_per_send"]
        state.send_to_status_poll_ratio = settings["send_to_status_poll_ratio"]
        state.receiver_burst = settings["receiver_burst"]
        state.initial_window_length = settings["initial_window_length"]
        state.stream_session_limit = settings["stream_session_limit"]
        state.flow_control_receiver_timeout_ns = settings["flow_control_receiver_timeout_ns"]
        state.cubic_initial_rtt_ns = settings.get("cubic_initial_rtt_ns", 100_000)
        state.cubic_measure_rtt = settings.get("cubic_measure_rtt", False)
        state.cubic_tcp_mode = settings.get("cubic_tcp_mode", False)

    def drain_to_control(self, limit: int32_t = 256) -> list:
        """Agents' messages as (msg_type_id, bytes). Control plane only."""
        messages: list = []
        mpsc_ring_read(
            address(self.state.to_control), collect_message, cast(p_void, messages), limit
        )
        return messages

    def log_error(self, text: str, now_ms: int64_t) -> None:
        """Count and log an error of the control plane."""
        # Texts of clients may hold any bytes (as surrogates); readers expect UTF-8.
        encoded: bytes = text.encode("utf-8", "backslashreplace")
        fetch_add_i64(self.state.system[SYSTEM_ERRORS], 1)
        error_log_record(address(self.state.error_log), encoded, len(encoded), now_ms)

    def measure_cycles(self, runner: NativeAgentRunner, agent: str, threshold_ns: int64_t) -> None:
        """Let a runner keep the cycle counters of "conductor", "sender" or "receiver"."""
        first: int32_t = {
            "conductor": SYSTEM_CONDUCTOR_MAX_CYCLE_TIME,
            "sender": SYSTEM_SENDER_MAX_CYCLE_TIME,
            "receiver": SYSTEM_RECEIVER_MAX_CYCLE_TIME,
        }[agent]
        runner.measure(self.state.system[first], self.state.system[first + 1], threshold_ns, self)

    def random(self) -> int:
        """Next 64 random bits, signed."""
        return random_i64(address(self.state))

    def add_to_system_counter(self, counter_id: int32_t, delta: int64_t = 1) -> None:
        """Add to a system counter."""
        if counter_id < 0 or counter_id >= SYSTEM_COUNTER_COUNT:
            raise ValueError(f"system counter {counter_id}: 0 to {SYSTEM_COUNTER_COUNT - 1}")
        fetch_add_i64(self.state.system[counter_id], delta)
