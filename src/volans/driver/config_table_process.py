"""Settings of the driver as a process: its files, agents, buffers and time-outs."""

from __future__ import annotations

from typing import Final

from volans.driver.config_setting import INT32_MAX, KIB, MIB, MS, US, Kind, S, Setting

RING_TRAILER: Final = 768
BROADCAST_TRAILER: Final = 128
THREADING_MODES: Final = ("DEDICATED", "SHARED_NETWORK", "SHARED", "INVOKER")
_SIZE, _DURATION, _INTEGER, _BOOL = Kind.SIZE, Kind.DURATION, Kind.INTEGER, Kind.BOOL
_TEXT, _CHOICE = Kind.TEXT, Kind.CHOICE


def _idle(agent: str, variable: str, default: str, arguments: str | None) -> tuple[Setting, ...]:
    name = f"{agent}_idle_strategy"
    return (
        Setting(name, variable, _TEXT, default, f"idle strategy of the {agent} agent"),
        Setting(
            f"{name}_init_args",
            f"{variable}_INIT_ARGS",
            _TEXT,
            arguments,
            f"arguments of the {agent} agent's idle strategy",
        ),
    )


def _cpu(agent: str, variable: str) -> Setting:
    return Setting(
        f"{agent}_cpu_affinity_no", variable, _INTEGER, -1, f"core of the {agent}; -1: any", -1, 255
    )


def _cycle(agent: str, variable: str, default: int) -> Setting:
    return Setting(
        f"{agent}_threshold_ns",
        variable,
        _DURATION,
        default,
        f"a {agent} longer than this is counted as a stall",
    )


_DIRECTORY: Final = (
    Setting("directory", "AERON_DIR", _TEXT, None, "directory of the shared files"),
    Setting(
        "dir_delete_on_start",
        "AERON_DIR_DELETE_ON_START",
        _BOOL,
        False,
        "delete the directory at start without looking for an active driver",
    ),
    Setting(
        "dir_delete_on_shutdown",
        "AERON_DIR_DELETE_ON_SHUTDOWN",
        _BOOL,
        False,
        "delete the directory at the end",
    ),
    Setting(
        "dir_warn_if_exists",
        "AERON_DIR_WARN_IF_EXISTS",
        _BOOL,
        False,
        "warn when the directory is there at start",
    ),
    Setting("term_buffer_sparse_file", "AERON_TERM_BUFFER_SPARSE_FILE", _BOOL, True, "sparse logs"),
    Setting(
        "perform_storage_checks",
        "AERON_PERFORM_STORAGE_CHECKS",
        _BOOL,
        True,
        "look for room on the file system before a log is made",
    ),
    Setting(
        "low_file_store_warning_threshold",
        "AERON_LOW_FILE_STORE_WARNING_THRESHOLD",
        _SIZE,
        160 * MIB,
        "warn when the file system has less room than this",
    ),
    Setting(
        "file_page_size",
        "AERON_FILE_PAGE_SIZE",
        _SIZE,
        4 * KIB,
        "page size of the files' alignment",
        4 * KIB,
        INT32_MAX,
    ),
    Setting(
        "print_configuration_on_start",
        "AERON_PRINT_CONFIGURATION",
        _BOOL,
        False,
        "print the settings at start",
    ),
)

_AGENTS: Final = (
    Setting(
        "threading_mode",
        "AERON_THREADING_MODE",
        _CHOICE,
        "DEDICATED",
        "which agents share a thread",
        choices=THREADING_MODES,
    ),
    Setting(
        "thread_naming",
        "AERON_THREAD_NAMING",
        _CHOICE,
        "classic",
        "how threads are named",
        choices=("classic", "new"),
    ),
    *_idle("conductor", "AERON_CONDUCTOR_IDLE_STRATEGY", "backoff", None),
    *_idle("sender", "AERON_SENDER_IDLE_STRATEGY", "backoff", None),
    *_idle("receiver", "AERON_RECEIVER_IDLE_STRATEGY", "backoff", None),
    *_idle("shared", "AERON_SHARED_IDLE_STRATEGY", "backoff", None),
    *_idle("shared_network", "AERON_SHAREDNETWORK_IDLE_STRATEGY", "backoff", None),
    *_idle(
        "native_resource_agent",
        "AERON_DRIVER_NATIVE_RESOURCE_AGENT_IDLE_STRATEGY",
        "sleep-ns",
        "1ms",
    ),
    _cpu("conductor", "AERON_CONDUCTOR_CPU_AFFINITY"),
    _cpu("sender", "AERON_SENDER_CPU_AFFINITY"),
    _cpu("receiver", "AERON_RECEIVER_CPU_AFFINITY"),
    _cpu("native_resource_agent", "AERON_DRIVER_NATIVE_RESOURCE_AGENT_CPU_AFFINITY"),
    Setting(
        "cpuset_affinity",
        "AERON_DRIVER_CPUSET_AFFINITY",
        _BOOL,
        False,
        "count cores within the process's cpuset: 0 is the first of it",
    ),
    Setting(
        "cpuset_warnings_as_errors",
        "AERON_DRIVER_CPUSET_WARNINGS_AS_ERRORS",
        _BOOL,
        False,
        "refuse to run in a cpuset of half cores, or one that spans dies or L3 caches",
    ),
    _cycle("conductor_cycle", "AERON_DRIVER_CONDUCTOR_CYCLE_THRESHOLD", 100 * MS),
    _cycle("sender_cycle", "AERON_DRIVER_SENDER_CYCLE_THRESHOLD", 100 * MS),
    _cycle("receiver_cycle", "AERON_DRIVER_RECEIVER_CYCLE_THRESHOLD", 100 * MS),
    _cycle("name_resolver", "AERON_DRIVER_NAME_RESOLVER_THRESHOLD", 5 * S),
    Setting("timer_interval_ns", "AERON_TIMER_INTERVAL", _DURATION, S, "slow duties' period", US),
    Setting(
        "resource_free_limit",
        "AERON_DRIVER_RESOURCE_FREE_LIMIT",
        _INTEGER,
        1,
        "resources freed in one duty cycle",
        1,
        INT32_MAX,
    ),
    Setting(
        "agent_on_start_function",
        "AERON_AGENT_ON_START_FUNCTION",
        _TEXT,
        None,
        "function called when an agent starts",
        listed=True,
    ),
    Setting(
        "dynamic_libraries",
        "AERON_DRIVER_DYNAMIC_LIBRARIES",
        _TEXT,
        None,
        "libraries to load",
        listed=True,
    ),
    Setting(
        "termination_validator",
        "AERON_DRIVER_TERMINATION_VALIDATOR",
        _TEXT,
        "deny",
        "allow or deny: who may end the driver",
    ),
    Setting(
        "enable_experimental_features",
        "AERON_ENABLE_EXPERIMENTAL_FEATURES",
        _BOOL,
        False,
        "switch experiments on",
        listed=True,
    ),
)

_BUFFERS: Final = (
    Setting(
        "to_driver_buffer_length",
        "AERON_CONDUCTOR_BUFFER_LENGTH",
        _SIZE,
        MIB + RING_TRAILER,
        "commands' ring: a power of two plus its trailer of 768",
        MIB + RING_TRAILER,
        INT32_MAX,
    ),
    Setting(
        "to_clients_buffer_length",
        "AERON_CLIENTS_BUFFER_LENGTH",
        _SIZE,
        MIB + BROADCAST_TRAILER,
        "events' broadcast: a power of two plus its trailer of 128",
        MIB + BROADCAST_TRAILER,
        INT32_MAX,
    ),
    Setting(
        "counters_values_buffer_length",
        "AERON_COUNTERS_BUFFER_LENGTH",
        _SIZE,
        8 * MIB,
        "counters' values, 128 bytes each",
        MIB,
        500 * MIB,
    ),
    Setting(
        "error_buffer_length",
        "AERON_ERROR_BUFFER_LENGTH",
        _SIZE,
        4 * MIB,
        "distinct error log",
        4 * MIB,
        INT32_MAX,
    ),
    Setting(
        "loss_report_length",
        "AERON_LOSS_REPORT_BUFFER_LENGTH",
        _SIZE,
        MIB,
        "loss report",
        1024,
        INT32_MAX,
    ),
    Setting(
        "counter_free_to_reuse_ns",
        "AERON_COUNTERS_FREE_TO_REUSE_TIMEOUT",
        _DURATION,
        S,
        "how long a freed counter rests",
    ),
)

_LIVENESS: Final = (
    Setting(
        "driver_timeout_ms",
        "AERON_DRIVER_TIMEOUT",
        _INTEGER,
        10_000,
        "heartbeats older than this are a dead driver's",
        unit_name="ms",
    ),
    Setting(
        "client_liveness_timeout_ns",
        "AERON_CLIENT_LIVENESS_TIMEOUT",
        _DURATION,
        10 * S,
        "a client silent for this long is gone",
        US,
    ),
    Setting(
        "image_liveness_timeout_ns",
        "AERON_IMAGE_LIVENESS_TIMEOUT",
        _DURATION,
        10 * S,
        "an image silent for this long is gone",
        US,
    ),
    Setting(
        "publication_linger_timeout_ns",
        "AERON_PUBLICATION_LINGER_TIMEOUT",
        _DURATION,
        5 * S,
        "how long a drained publication stays for retransmits",
        US,
    ),
    Setting(
        "publication_unblock_timeout_ns",
        "AERON_PUBLICATION_UNBLOCK_TIMEOUT",
        _DURATION,
        15 * S,
        "how long a dead publisher may block others",
        US,
    ),
    Setting(
        "publication_connection_timeout_ns",
        "AERON_PUBLICATION_CONNECTION_TIMEOUT",
        _DURATION,
        5 * S,
        "without status messages for this long nobody listens",
        US,
    ),
    Setting(
        "untethered_window_limit_timeout_ns",
        "AERON_UNTETHERED_WINDOW_LIMIT_TIMEOUT",
        _DURATION,
        5 * S,
        "how long an untethered subscriber may hold the window up",
    ),
    Setting(
        "untethered_linger_timeout_ns",
        "AERON_UNTETHERED_LINGER_TIMEOUT",
        _DURATION,
        None,
        "how long it lingers; as the window limit when not set",
    ),
    Setting(
        "untethered_resting_timeout_ns",
        "AERON_UNTETHERED_RESTING_TIMEOUT",
        _DURATION,
        10 * S,
        "how long it rests",
    ),
)

PROCESS_SETTINGS: Final[tuple[Setting, ...]] = (*_DIRECTORY, *_AGENTS, *_BUFFERS, *_LIVENESS)
