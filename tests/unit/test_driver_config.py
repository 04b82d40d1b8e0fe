"""Driver settings: official names, defaults, limits, and clear errors."""

from __future__ import annotations

import typing

import pytest

from volans.driver.config import ConfigError, DriverConfig
from volans.driver.config_setting import Kind
from volans.driver.config_table import BY_NAME, BY_VARIABLE, SETTINGS

OFFICIAL_VARIABLES = """
AERON_AGENT_ON_START_FUNCTION AERON_CLIENTS_BUFFER_LENGTH AERON_CLIENT_LIVENESS_TIMEOUT
AERON_CONDUCTOR_BUFFER_LENGTH AERON_CONDUCTOR_CPU_AFFINITY AERON_CONDUCTOR_IDLE_STRATEGY
AERON_CONDUCTOR_IDLE_STRATEGY_INIT_ARGS AERON_CONDUCTOR_UDP_CHANNEL_TRANSPORT_BINDINGS_MEDIA
AERON_CONGESTIONCONTROL_SUPPLIER AERON_COUNTERS_BUFFER_LENGTH
AERON_COUNTERS_FREE_TO_REUSE_TIMEOUT AERON_CUBICCONGESTIONCONTROL_INITIALRTT
AERON_CUBICCONGESTIONCONTROL_MEASURERTT AERON_CUBICCONGESTIONCONTROL_TCPMODE
AERON_DEBUG_RECEIVE_CONTROL_LOSS_RATE AERON_DEBUG_RECEIVE_CONTROL_LOSS_SEED
AERON_DEBUG_RECEIVE_DATA_LOSS_RATE AERON_DEBUG_RECEIVE_DATA_LOSS_SEED
AERON_DEBUG_SEND_CONTROL_LOSS_RATE AERON_DEBUG_SEND_CONTROL_LOSS_SEED
AERON_DEBUG_SEND_DATA_LOSS_RATE AERON_DEBUG_SEND_DATA_LOSS_SEED AERON_DIR
AERON_DIR_DELETE_ON_SHUTDOWN AERON_DIR_DELETE_ON_START AERON_DIR_WARN_IF_EXISTS
AERON_DRIVER_CONDUCTOR_CYCLE_THRESHOLD AERON_DRIVER_CONNECT AERON_DRIVER_CPUSET_AFFINITY
AERON_DRIVER_CPUSET_WARNINGS_AS_ERRORS AERON_DRIVER_DYNAMIC_LIBRARIES
AERON_DRIVER_NAME_RESOLVER_THRESHOLD AERON_DRIVER_NATIVE_RESOURCE_AGENT_CPU_AFFINITY
AERON_DRIVER_NATIVE_RESOURCE_AGENT_IDLE_STRATEGY
AERON_DRIVER_NATIVE_RESOURCE_AGENT_IDLE_STRATEGY_INIT_ARGS
AERON_DRIVER_RECEIVER_CYCLE_THRESHOLD AERON_DRIVER_RERESOLUTION_CHECK_INTERVAL
AERON_DRIVER_RESOLVER_BOOTSTRAP_NEIGHBOR
AERON_DRIVER_RESOLVER_BOOTSTRAP_NEIGHBOR_RESOLUTION_INTERVAL AERON_DRIVER_RESOLVER_INTERFACE
AERON_DRIVER_RESOLVER_NAME AERON_DRIVER_RESOLVER_NEIGHBOR_RESOLUTION_INTERVAL
AERON_DRIVER_RESOLVER_NEIGHBOR_TIMEOUT AERON_DRIVER_RESOLVER_SELF_RESOLUTION_INTERVAL
AERON_DRIVER_RESOURCE_FREE_LIMIT AERON_DRIVER_SENDER_CYCLE_THRESHOLD
AERON_DRIVER_STREAM_SESSION_LIMIT AERON_DRIVER_TERMINATION_VALIDATOR AERON_DRIVER_TIMEOUT
AERON_ENABLE_EXPERIMENTAL_FEATURES AERON_ERROR_BUFFER_LENGTH AERON_EVENT_LOG
AERON_EVENT_LOG_DISABLE AERON_EVENT_LOG_FILENAME AERON_EVENT_LOG_FILE_MAX_LENGTH
AERON_FILE_PAGE_SIZE AERON_FLOW_CONTROL_GROUP_MIN_SIZE AERON_FLOW_CONTROL_GROUP_TAG
AERON_FLOW_CONTROL_RECEIVER_TIMEOUT AERON_IMAGE_LIVENESS_TIMEOUT AERON_IPC_MTU_LENGTH
AERON_IPC_PUBLICATION_TERM_WINDOW_LENGTH AERON_IPC_TERM_BUFFER_LENGTH
AERON_LOSS_REPORT_BUFFER_LENGTH AERON_LOW_FILE_STORE_WARNING_THRESHOLD AERON_MAX_RESEND
AERON_MTU_LENGTH AERON_MULTICAST_FLOWCONTROL_SUPPLIER AERON_NAK_MULTICAST_GROUP_SIZE
AERON_NAK_MULTICAST_MAX_BACKOFF AERON_NAK_UNICAST_DELAY AERON_NAK_UNICAST_RETRY_DELAY_RATIO
AERON_NAME_RESOLVER_CSV_LOOKUP_TABLE_ARGS AERON_NAME_RESOLVER_INIT_ARGS
AERON_NAME_RESOLVER_SUPPLIER AERON_NETWORK_PUBLICATION_MAX_MESSAGES_PER_SEND
AERON_PERFORM_STORAGE_CHECKS AERON_PRINT_CONFIGURATION AERON_PUBLICATION_CONNECTION_TIMEOUT
AERON_PUBLICATION_LINGER_TIMEOUT AERON_PUBLICATION_RESERVED_SESSION_ID_HIGH
AERON_PUBLICATION_RESERVED_SESSION_ID_LOW AERON_PUBLICATION_TERM_WINDOW_LENGTH
AERON_PUBLICATION_UNBLOCK_TIMEOUT AERON_RCV_INITIAL_WINDOW_LENGTH
AERON_RCV_STATUS_MESSAGE_TIMEOUT AERON_RECEIVER_CPU_AFFINITY
AERON_RECEIVER_GROUP_CONSIDERATION AERON_RECEIVER_GROUP_TAG AERON_RECEIVER_IDLE_STRATEGY
AERON_RECEIVER_IDLE_STRATEGY_INIT_ARGS AERON_RECEIVER_IO_VECTOR_CAPACITY
AERON_RECEIVER_WILDCARD_PORT_RANGE AERON_REJOIN_STREAM AERON_RELIABLE_STREAM
AERON_RETRANSMIT_UNICAST_DELAY AERON_RETRANSMIT_UNICAST_LINGER AERON_SENDER_CPU_AFFINITY
AERON_SENDER_IDLE_STRATEGY AERON_SENDER_IDLE_STRATEGY_INIT_ARGS
AERON_SENDER_IO_VECTOR_CAPACITY AERON_SENDER_WILDCARD_PORT_RANGE
AERON_SEND_TO_STATUS_POLL_RATIO AERON_SHAREDNETWORK_IDLE_STRATEGY
AERON_SHAREDNETWORK_IDLE_STRATEGY_INIT_ARGS AERON_SHARED_IDLE_STRATEGY
AERON_SHARED_IDLE_STRATEGY_INIT_ARGS AERON_SOCKET_MULTICAST_TTL AERON_SOCKET_SO_RCVBUF
AERON_SOCKET_SO_SNDBUF AERON_SPIES_SIMULATE_CONNECTION AERON_TERM_BUFFER_LENGTH
AERON_TERM_BUFFER_SPARSE_FILE AERON_TETHER_SUBSCRIPTIONS AERON_THREADING_MODE
AERON_THREAD_NAMING AERON_TIMER_INTERVAL AERON_UDP_CHANNEL_INCOMING_INTERCEPTORS
AERON_UDP_CHANNEL_OUTGOING_INTERCEPTORS AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_FIXED_LOSS_ARGS
AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_LOSS_ARGS AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_MEDIA
AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_MULTI_GAP_LOSS_ARGS AERON_UNICAST_FLOWCONTROL_SUPPLIER
AERON_UNTETHERED_LINGER_TIMEOUT AERON_UNTETHERED_RESTING_TIMEOUT
AERON_UNTETHERED_WINDOW_LIMIT_TIMEOUT
""".split()  # noqa: SIM905

# As the official driver prints them with AERON_PRINT_CONFIGURATION and nothing else set.
OFFICIAL_DEFAULTS = {
    "dir_delete_on_start": False,
    "dir_delete_on_shutdown": False,
    "threading_mode": "DEDICATED",
    "driver_timeout_ms": 10_000,
    "term_buffer_sparse_file": True,
    "perform_storage_checks": True,
    "spies_simulate_connection": False,
    "reliable_stream": True,
    "tether_subscriptions": True,
    "rejoin_stream": True,
    "to_driver_buffer_length": 1_049_344,
    "to_clients_buffer_length": 1_048_704,
    "counters_values_buffer_length": 8_388_608,
    "error_buffer_length": 4_194_304,
    "timer_interval_ns": 1_000_000_000,
    "client_liveness_timeout_ns": 10_000_000_000,
    "image_liveness_timeout_ns": 10_000_000_000,
    "publication_unblock_timeout_ns": 15_000_000_000,
    "publication_connection_timeout_ns": 5_000_000_000,
    "publication_linger_timeout_ns": 5_000_000_000,
    "untethered_window_limit_timeout_ns": 5_000_000_000,
    "untethered_linger_timeout_ns": None,
    "untethered_resting_timeout_ns": 10_000_000_000,
    "max_resend": 16,
    "retransmit_unicast_delay_ns": 0,
    "retransmit_unicast_linger_ns": 10_000_000,
    "nak_unicast_delay_ns": 1_000,
    "nak_unicast_retry_delay_ratio": 100,
    "nak_multicast_max_backoff_ns": 10_000_000,
    "nak_multicast_group_size": 10,
    "status_message_timeout_ns": 200_000_000,
    "counter_free_to_reuse_ns": 1_000_000_000,
    "conductor_cycle_threshold_ns": 100_000_000,
    "name_resolver_threshold_ns": 5_000_000_000,
    "term_buffer_length": 16_777_216,
    "ipc_term_buffer_length": 67_108_864,
    "publication_window_length": 0,
    "mtu_length": 1408,
    "ipc_mtu_length": 1408,
    "file_page_size": 4096,
    "initial_window_length": 131_072,
    "socket_rcvbuf": 131_072,
    "socket_sndbuf": 0,
    "loss_report_length": 1_048_576,
    "send_to_sm_poll_ratio": 6,
    "sender_io_vector_capacity": 4,
    "receiver_io_vector_capacity": 4,
    "network_publication_max_messages_per_send": 4,
    "resource_free_limit": 1,
    "stream_session_limit": 2_147_483_647,
    "publication_reserved_session_id_low": -1,
    "publication_reserved_session_id_high": 1000,
    "native_resource_agent_idle_strategy": "sleep-ns",
    "native_resource_agent_idle_strategy_init_args": "1ms",
    "conductor_idle_strategy": "backoff",
    "termination_validator": "deny",
    "transport": "mmsg",
}


def test_every_official_variable_is_known() -> None:
    assert sorted(v for v in BY_VARIABLE if not v.startswith("VOLANS_")) == OFFICIAL_VARIABLES
    assert len(OFFICIAL_VARIABLES) == 127
    assert len(BY_NAME) == len(BY_VARIABLE) == len(SETTINGS)


def test_defaults() -> None:
    config = DriverConfig.from_environment({"USER": "me"})
    assert {name: getattr(config, name) for name in OFFICIAL_DEFAULTS} == OFFICIAL_DEFAULTS
    assert config.directory == "/dev/shm/aeron-me"
    assert config.cnc_layout.file_length == 48_238_592


def test_the_class_and_the_table_agree() -> None:
    types = {
        Kind.SIZE: int,
        Kind.DURATION: int,
        Kind.INTEGER: int,
        Kind.NUMBER: float,
        Kind.BOOL: bool,
        Kind.CHOICE: str,
        Kind.TEXT: str,
        Kind.PORT_RANGE: tuple[int, int],
    }
    hints = typing.get_type_hints(DriverConfig)
    for setting in SETTINGS:
        expected = types[setting.kind]
        if setting.default is None and setting.name != "directory":
            expected = expected | None
        assert hints.pop(setting.name) == expected, setting.name
    assert not hints


def test_the_environment_is_read() -> None:
    config = DriverConfig.from_environment(
        {
            "AERON_DIR": "/tmp/there",
            "AERON_TERM_BUFFER_LENGTH": "64k",
            "AERON_CLIENT_LIVENESS_TIMEOUT": "5s",
            "AERON_IMAGE_LIVENESS_TIMEOUT": "250000000",
            "AERON_SPIES_SIMULATE_CONNECTION": "on",
            "AERON_RELIABLE_STREAM": "0",
            "AERON_THREADING_MODE": "SHARED_NETWORK",
            "AERON_PUBLICATION_RESERVED_SESSION_ID_LOW": "-0x10",
            "AERON_SENDER_WILDCARD_PORT_RANGE": "20000 20100",
            "AERON_DEBUG_SEND_DATA_LOSS_RATE": "0.25",
            "AERON_RECEIVER_GROUP_TAG": "-3",
            "AERON_NOT_A_SETTING": "whatever",
            "AERON_MTU_LENGTH": "",
            "VOLANS_TRANSPORT": "sockets",
        }
    )
    assert config.directory == "/tmp/there"
    assert config.term_buffer_length == 65536
    assert config.client_liveness_timeout_ns == 5_000_000_000
    assert config.image_liveness_timeout_ns == 250_000_000
    assert config.spies_simulate_connection is True
    assert config.reliable_stream is False
    assert config.threading_mode == "SHARED_NETWORK"
    assert config.publication_reserved_session_id_low == -16
    assert config.sender_wildcard_port_range == (20000, 20100)
    assert config.debug_send_data_loss_rate == 0.25
    assert config.receiver_group_tag == -3
    assert config.mtu_length == 1408
    assert config.transport == "sockets"


def test_numbers_from_the_environment_are_clamped() -> None:
    config = DriverConfig.from_environment(
        {
            "AERON_ERROR_BUFFER_LENGTH": "1k",
            "AERON_MTU_LENGTH": "1m",
            "AERON_SOCKET_MULTICAST_TTL": "999",
            "AERON_SENDER_IO_VECTOR_CAPACITY": "0",
            "AERON_MAX_RESEND": "100000000000000000000",
        }
    )
    assert config.error_buffer_length == 4 << 20
    assert config.mtu_length == 65504
    assert config.multicast_ttl == 255
    assert config.sender_io_vector_capacity == 1
    assert config.max_resend == 256


def test_a_plain_power_of_two_is_taken_for_a_buffers_capacity() -> None:
    config = DriverConfig.from_environment(
        {"AERON_CONDUCTOR_BUFFER_LENGTH": "2m", "AERON_CLIENTS_BUFFER_LENGTH": "4m"}
    )
    assert config.to_driver_buffer_length == (2 << 20) + 768
    assert config.to_clients_buffer_length == (4 << 20) + 128


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AERON_TERM_BUFFER_LENGTH", "sixty-four"),
        ("AERON_TERM_BUFFER_LENGTH", "-64k"),
        ("AERON_TERM_BUFFER_LENGTH", "65537"),
        ("AERON_IPC_TERM_BUFFER_LENGTH", "1k"),
        ("AERON_MTU_LENGTH", "1000"),
        ("AERON_FILE_PAGE_SIZE", "5000"),
        ("AERON_CONDUCTOR_BUFFER_LENGTH", "3000000"),
        ("AERON_COUNTERS_BUFFER_LENGTH", "1048577"),
        ("AERON_CLIENT_LIVENESS_TIMEOUT", "5 minutes"),
        ("AERON_CLIENT_LIVENESS_TIMEOUT", "500ms"),
        ("AERON_PUBLICATION_UNBLOCK_TIMEOUT", "10s"),
        ("AERON_UNTETHERED_RESTING_TIMEOUT", "1s"),
        ("AERON_DIR_DELETE_ON_START", "perhaps"),
        ("AERON_THREADING_MODE", "shared"),
        ("AERON_SENDER_WILDCARD_PORT_RANGE", "2 1"),
        ("AERON_SENDER_WILDCARD_PORT_RANGE", "1"),
        ("AERON_SENDER_WILDCARD_PORT_RANGE", "1 65536"),
        ("AERON_DEBUG_SEND_DATA_LOSS_RATE", "nan"),
        ("AERON_NAK_UNICAST_RETRY_DELAY_RATIO", "9223372036854775807"),
        ("AERON_PUBLICATION_RESERVED_SESSION_ID_LOW", "2000"),
        ("AERON_DRIVER_RESOLVER_INTERFACE", "127.0.0.1:1"),
        ("AERON_DRIVER_TERMINATION_VALIDATOR", "sometimes"),
        ("AERON_COUNTERS_BUFFER_LENGTH", "500m"),
    ],
)
def test_bad_values_are_one_clear_line(variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DriverConfig.from_environment({variable: value})
    message = str(caught.value)
    assert "\n" not in message
    if value != "500m":  # there the sum is too much, and the last of it is named
        assert variable in message
        assert caught.value.name.startswith(variable)
    assert caught.value.allowed


def test_keywords_override_and_are_not_clamped() -> None:
    config = DriverConfig.from_environment(
        {"AERON_MTU_LENGTH": "8k"}, mtu_length=2048, term_buffer_length="128k", directory="/x"
    )
    assert (config.mtu_length, config.term_buffer_length) == (2048, 131072)
    assert config.directory == "/x"
    for bad in ({"mtu_length": 1 << 20}, {"mtu_length": True}, {"reliable_stream": 1}, {"mtu": 1}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            DriverConfig(**bad)


def test_configurations_do_not_change_and_can_be_copied() -> None:
    config = DriverConfig(directory="/x")
    with pytest.raises(AttributeError, match="replace"):
        config.mtu_length = 64
    copy = config.replace(mtu_length=2048)
    assert (config.mtu_length, copy.mtu_length) == (1408, 2048)
    assert config.replace() == config
    assert hash(config.replace()) == hash(config)


def test_a_configuration_survives_the_environment() -> None:
    config = DriverConfig(
        directory="/x", mtu_length=2048, reliable_stream=False, random_seed=5, cubic_tcp_mode=True
    )
    assert DriverConfig.from_environment(config.environment()) == config
    assert "AERON_MTU_LENGTH=2k" in config.describe()


@pytest.mark.parametrize(
    ("environment", "directory"),
    [({"USER": "me"}, "/dev/shm/aeron-me"), ({"USER": ""}, "/dev/shm/aeron-")],
)
def test_default_directory(environment: dict[str, str], directory: str) -> None:
    assert DriverConfig.default_directory(environment) == directory
    assert DriverConfig.default_directory({}).startswith("/dev/shm/aeron-")
