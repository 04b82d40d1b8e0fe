"""The settings of a media driver, from the environment or from keywords, checked once.

As in the official driver, numbers from the environment are clamped to their limits and unknown
variables are ignored; texts that cannot be read, and values that do not fit together, raise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from volans.driver.config_file import read_config_file
from volans.driver.config_setting import INT32_MAX
from volans.driver.config_table import BY_NAME, SETTINGS
from volans.driver.config_table_process import BROADCAST_TRAILER, RING_TRAILER
from volans.driver.config_values import (
    format_value,
    unknown_name,
    value_from_object,
    value_from_text,
)
from volans.errors import ConfigError
from volans.protocol.cnc import CncLayout
from volans.protocol.units import format_duration_ns

__all__ = ["ConfigError", "DriverConfig"]

_MIN_TERM_LENGTH: Final = 64 * 1024
_MAX_TERM_LENGTH: Final = 1 << 30
_FRAME_ALIGNMENT: Final = 32
_INT64_MAX: Final = (1 << 63) - 1
_REMEDY: Final = "DriverConfig.names() or `volans config list`"
_TRAILERS: Final = {
    "to_driver_buffer_length": RING_TRAILER,
    "to_clients_buffer_length": BROADCAST_TRAILER,
}


class DriverConfig:
    """All settings of one driver; immutable. Names ending in ``_ns`` are nanoseconds, in
    ``_length`` bytes. See ``volans.driver.config_table`` for variables, limits and meanings.

    Keywords override defaults and may be texts as in the environment (``mtu_length="8k"``).
    Raises ConfigError naming the setting, its value and what is allowed.
    """

    directory: str
    dir_delete_on_start: bool
    dir_delete_on_shutdown: bool
    dir_warn_if_exists: bool
    term_buffer_sparse_file: bool
    perform_storage_checks: bool
    low_file_store_warning_threshold: int
    file_page_size: int
    print_configuration_on_start: bool
    threading_mode: str
    thread_naming: str
    conductor_idle_strategy: str
    conductor_idle_strategy_init_args: str | None
    sender_idle_strategy: str
    sender_idle_strategy_init_args: str | None
    receiver_idle_strategy: str
    receiver_idle_strategy_init_args: str | None
    shared_idle_strategy: str
    shared_idle_strategy_init_args: str | None
    shared_network_idle_strategy: str
    shared_network_idle_strategy_init_args: str | None
    native_resource_agent_idle_strategy: str
    native_resource_agent_idle_strategy_init_args: str
    conductor_cpu_affinity_no: int
    sender_cpu_affinity_no: int
    receiver_cpu_affinity_no: int
    native_resource_agent_cpu_affinity_no: int
    cpuset_affinity: bool
    cpuset_warnings_as_errors: bool
    conductor_cycle_threshold_ns: int
    sender_cycle_threshold_ns: int
    receiver_cycle_threshold_ns: int
    name_resolver_threshold_ns: int
    timer_interval_ns: int
    resource_free_limit: int
    agent_on_start_function: str | None
    dynamic_libraries: str | None
    termination_validator: str
    enable_experimental_features: bool
    to_driver_buffer_length: int
    to_clients_buffer_length: int
    counters_values_buffer_length: int
    error_buffer_length: int
    loss_report_length: int
    counter_free_to_reuse_ns: int
    driver_timeout_ms: int
    client_liveness_timeout_ns: int
    image_liveness_timeout_ns: int
    publication_linger_timeout_ns: int
    publication_unblock_timeout_ns: int
    publication_connection_timeout_ns: int
    untethered_window_limit_timeout_ns: int
    untethered_linger_timeout_ns: int | None
    untethered_resting_timeout_ns: int
    term_buffer_length: int
    ipc_term_buffer_length: int
    mtu_length: int
    ipc_mtu_length: int
    publication_window_length: int
    ipc_publication_window_length: int
    initial_window_length: int
    spies_simulate_connection: bool
    reliable_stream: bool
    tether_subscriptions: bool
    rejoin_stream: bool
    receiver_group_consideration: str
    receiver_group_tag: int | None
    publication_reserved_session_id_low: int
    publication_reserved_session_id_high: int
    stream_session_limit: int
    status_message_timeout_ns: int
    send_to_sm_poll_ratio: int
    max_resend: int
    retransmit_unicast_delay_ns: int
    retransmit_unicast_linger_ns: int
    nak_unicast_delay_ns: int
    nak_unicast_retry_delay_ratio: int
    nak_multicast_group_size: int
    nak_multicast_max_backoff_ns: int
    unicast_flow_control: str
    multicast_flow_control: str
    flow_control_group_tag: int
    flow_control_group_min_size: int
    flow_control_receiver_timeout_ns: int
    congestion_control: str
    cubic_measure_rtt: bool
    cubic_initial_rtt_ns: int
    cubic_tcp_mode: bool
    socket_rcvbuf: int
    socket_sndbuf: int
    multicast_ttl: int
    connect_enabled: bool
    receiver_io_vector_capacity: int
    sender_io_vector_capacity: int
    network_publication_max_messages_per_send: int
    sender_wildcard_port_range: tuple[int, int]
    receiver_wildcard_port_range: tuple[int, int]
    transport_bindings_media: str
    conductor_transport_bindings_media: str
    outgoing_interceptors: str | None
    incoming_interceptors: str | None
    loss_args: str | None
    fixed_loss_args: str | None
    multi_gap_loss_args: str | None
    debug_send_data_loss_rate: float
    debug_send_data_loss_seed: int
    debug_send_control_loss_rate: float
    debug_send_control_loss_seed: int
    debug_receive_data_loss_rate: float
    debug_receive_data_loss_seed: int
    debug_receive_control_loss_rate: float
    debug_receive_control_loss_seed: int
    name_resolver: str
    name_resolver_init_args: str | None
    name_resolver_csv_lookup_table_args: str | None
    resolver_name: str | None
    resolver_interface: str | None
    resolver_bootstrap_neighbor: str | None
    resolver_neighbor_timeout_ns: int
    resolver_self_resolution_interval_ns: int
    resolver_neighbor_resolution_interval_ns: int
    resolver_bootstrap_neighbor_resolution_interval_ns: int
    re_resolution_check_interval_ns: int
    event_log: str | None
    event_log_disable: str | None
    event_log_filename: str | None
    event_log_file_max_length: int
    transport: str
    loss_rate: float
    loss_seed: int
    capture: str | None
    capture_max_length: int
    pre_touch_mapped_memory: bool
    slow_subscriber_threshold_ns: int
    random_seed: int | None

    def __init__(self, **overrides: Any) -> None:
        values = {setting.name: setting.default for setting in SETTINGS}
        for name, value in overrides.items():
            values[name] = _from_keyword(name, value)
        self._fill(values)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> DriverConfig:
        """The settings of ``AERON_*`` and ``VOLANS_*`` variables (``os.environ`` when None).

        An empty variable counts as not set. Keywords win over variables.
        """
        return cls.load(None, environment, **overrides)

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str] | None,
        environment: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> DriverConfig:
        """The settings of the environment, over them those of a file, over them keywords.

        ``file`` is TOML with the names of the settings in a table ``[driver]``, or None. It wins
        over the environment, as the official driver's property files do: it was chosen for this
        run. Raises ConfigError, for names that no setting has too, and OSError.
        """
        source = os.environ if environment is None else environment
        config = cls.__new__(cls)
        values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
        for setting in SETTINGS:
            text = source.get(setting.variable)
            if text:
                values[setting.name] = value_from_text(setting, text, setting.variable, clamp=True)
        if file is not None:
            values.update(read_config_file(file, "driver", BY_NAME))
        for name, value in overrides.items():
            values[name] = _from_keyword(name, value)
        if values["directory"] is None:
            values["directory"] = cls.default_directory(source)
        config._fill(values)
        return config

    @staticmethod
    def default_directory(environment: Mapping[str, str] | None = None) -> str:
        """``/dev/shm/aeron-<user>``; elsewhere than on Linux in the directory of temporary files.

        The user is ``$USER``, else the name of the real user id, else ``default``. The
        variable ``AERON_DIR`` is not looked at here.
        """
        source = os.environ if environment is None else environment
        user = source.get("USER")
        if user is None:
            user = _user_name()
        if sys.platform == "linux":
            return f"/dev/shm/aeron-{user}"
        import tempfile

        return os.path.join(tempfile.gettempdir(), f"aeron-{user}")  # noqa: PTH118

    @staticmethod
    def names() -> tuple[str, ...]:
        """The names of all settings."""
        return tuple(BY_NAME)

    def replace(self, **overrides: Any) -> DriverConfig:
        """A copy with some settings changed, checked again."""
        return DriverConfig(**{**dict(self.items()), **overrides})

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and values."""
        return ((name, getattr(self, name)) for name in BY_NAME)

    def environment(self) -> dict[str, str]:
        """The variables that make this configuration: those that differ from the default."""
        changed = {}
        for setting in SETTINGS:
            value = getattr(self, setting.name)
            if value is not None and value != setting.default:
                changed[setting.variable] = format_value(setting, value)
        return changed

    def describe(self) -> str:
        """One line a setting, for people."""
        lines = []
        for setting in SETTINGS:
            value = getattr(self, setting.name)
            shown = "not set" if value is None else format_value(setting, value)
            lines.append(f"{setting.variable}={shown}  # {setting.help}")
        return "\n".join(lines)

    @property
    def cnc_layout(self) -> CncLayout:
        """The layout of this driver's ``cnc.dat``."""
        return CncLayout.of_lengths(
            to_driver_buffer_length=self.to_driver_buffer_length,
            to_clients_buffer_length=self.to_clients_buffer_length,
            counters_values_buffer_length=self.counters_values_buffer_length,
            error_log_buffer_length=self.error_buffer_length,
            file_page_size=self.file_page_size,
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings do not change: use replace({name}=…)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DriverConfig) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        changed = ", ".join(
            f"{s.name}={getattr(self, s.name)!r}"
            for s in SETTINGS
            if getattr(self, s.name) != s.default
        )
        return f"DriverConfig({changed})"

    def _fill(self, values: dict[str, Any]) -> None:
        if values["directory"] is None:
            values["directory"] = self.default_directory()
        for name, trailer in _TRAILERS.items():
            # A plain power of two is taken for the capacity; the protocol counts the trailer in.
            if values[name] & (values[name] - 1) == 0:
                values[name] += trailer
        vars(self).update(values)
        self._check_lengths()
        self._check_timeouts()
        self._check_rest()

    def _fail(self, name: str, allowed: str) -> None:
        setting = BY_NAME[name]
        value = getattr(self, name)
        shown = value if value is None else format_value(setting, value)
        raise ConfigError(f"{setting.variable} ({name})", shown, allowed)

    def _check_lengths(self) -> None:
        for name in ("term_buffer_length", "ipc_term_buffer_length"):
            value = getattr(self, name)
            if not _MIN_TERM_LENGTH <= value <= _MAX_TERM_LENGTH or value & (value - 1):
                self._fail(name, "a power of two from 64k to 1g")
        for name in ("mtu_length", "ipc_mtu_length"):
            value = getattr(self, name)
            if value <= _FRAME_ALIGNMENT or value % _FRAME_ALIGNMENT:
                self._fail(name, "a multiple of 32 bytes from 64 to 65504")
        if self.file_page_size & (self.file_page_size - 1) or self.file_page_size > 1 << 30:
            self._fail("file_page_size", "a power of two from 4k to 1g")
        for name, trailer in _TRAILERS.items():
            capacity = getattr(self, name) - trailer
            if capacity & (capacity - 1):
                self._fail(
                    name, f"a power of two plus {trailer} bytes, such as {1 << 21}+{trailer}"
                )
        if self.counters_values_buffer_length % 128:
            self._fail("counters_values_buffer_length", "a multiple of 128 bytes")
        if self.cnc_length_bytes > INT32_MAX:
            self._fail(
                "error_buffer_length",
                f"all buffers of cnc.dat together at most {INT32_MAX} bytes, "
                f"not {self.cnc_length_bytes}",
            )

    @property
    def cnc_length_bytes(self) -> int:
        """Bytes of ``cnc.dat`` before rounding up to pages."""
        return (
            128
            + self.to_driver_buffer_length
            + self.to_clients_buffer_length
            + 5 * self.counters_values_buffer_length
            + self.error_buffer_length
        )

    def _check_timeouts(self) -> None:
        if self.publication_unblock_timeout_ns <= self.client_liveness_timeout_ns:
            liveness = format_duration_ns(self.client_liveness_timeout_ns)
            self._fail(
                "publication_unblock_timeout_ns",
                f"longer than AERON_CLIENT_LIVENESS_TIMEOUT, {liveness}",
            )
        timer = f"longer than AERON_TIMER_INTERVAL, {format_duration_ns(self.timer_interval_ns)}"
        for name in (
            "client_liveness_timeout_ns",
            "untethered_window_limit_timeout_ns",
            "untethered_linger_timeout_ns",
            "untethered_resting_timeout_ns",
        ):
            value = getattr(self, name)
            if value is not None and value <= self.timer_interval_ns:
                self._fail(name, timer)
        if self.nak_unicast_delay_ns * self.nak_unicast_retry_delay_ratio > _INT64_MAX:
            self._fail("nak_unicast_retry_delay_ratio", "times the delay at most 2**63 - 1 ns")

    def _check_rest(self) -> None:
        if self.publication_reserved_session_id_low > self.publication_reserved_session_id_high:
            self._fail(
                "publication_reserved_session_id_low",
                f"at most the high one, {self.publication_reserved_session_id_high}",
            )
        if self.resolver_interface and not self.resolver_name:
            self._fail("resolver_interface", "only together with AERON_DRIVER_RESOLVER_NAME")
        if self.termination_validator.rpartition("_")[2] not in ("allow", "deny"):
            self._fail("termination_validator", "allow or deny")


def _from_keyword(name: str, value: Any) -> Any:
    setting = BY_NAME.get(name)
    if setting is None:
        raise unknown_name(name, value, BY_NAME, _REMEDY)
    return value_from_object(setting, value)


def _user_name() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name or "default"
    except (ImportError, KeyError):
        return "default"
