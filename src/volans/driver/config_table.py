"""Every setting of a media driver in one table: its variable, kind, default, limits and meaning.

The names, defaults and limits are those of the official C driver. Settings marked ``listed``
are read and checked, so that nothing is refused, but nothing acts on them yet.
"""

from __future__ import annotations

from typing import Final

from volans.driver.config_setting import GIB, INT64_MIN, MS, Kind, Setting
from volans.driver.config_table_network import NETWORK_SETTINGS
from volans.driver.config_table_process import PROCESS_SETTINGS
from volans.driver.config_table_streams import STREAM_SETTINGS

_SIZE, _INTEGER, _TEXT, _NUMBER = Kind.SIZE, Kind.INTEGER, Kind.TEXT, Kind.NUMBER
_BOOL: Final = Kind.BOOL

_EVENT_LOG: Final = (
    Setting(
        "event_log",
        "AERON_EVENT_LOG",
        _TEXT,
        None,
        "events to log: all, admin, or names or ids separated by commas",
    ),
    Setting(
        "event_log_disable",
        "AERON_EVENT_LOG_DISABLE",
        _TEXT,
        None,
        "events not to log",
    ),
    Setting(
        "event_log_filename",
        "AERON_EVENT_LOG_FILENAME",
        _TEXT,
        None,
        "where events are logged",
    ),
    Setting(
        "event_log_file_max_length",
        "AERON_EVENT_LOG_FILE_MAX_LENGTH",
        _SIZE,
        0,
        "longest event log file; 0: any",
    ),
)

_VOLANS: Final = (
    Setting(
        "transport",
        "VOLANS_TRANSPORT",
        _TEXT,
        "mmsg",
        "network API: sockets, mmsg, simulated, …",
    ),
    Setting(
        "loss_rate",
        "VOLANS_LOSS_RATE",
        _NUMBER,
        0.0,
        "part of the arriving datagrams to lose on purpose",
        0,
        1,
    ),
    Setting(
        "loss_seed",
        "VOLANS_LOSS_SEED",
        _INTEGER,
        0,
        "which datagrams are lost",
        INT64_MIN,
    ),
    Setting(
        "capture",
        "VOLANS_CAPTURE",
        _TEXT,
        None,
        "write all datagrams to this pcapng file",
    ),
    Setting(
        "capture_max_length",
        "VOLANS_CAPTURE_MAX_LENGTH",
        _SIZE,
        GIB,
        "longest capture file",
    ),
    Setting(
        "pre_touch_mapped_memory",
        "VOLANS_PRE_TOUCH",
        _BOOL,
        False,
        "take and fault in every page of a log when it is made, sparse or not: no stalls later",
    ),
    Setting(
        "slow_subscriber_threshold_ns",
        "VOLANS_SLOW_SUBSCRIBER_THRESHOLD",
        Kind.DURATION,
        50 * MS,
        "name subscribers that lag half a window behind for longer than this; 0: never",
    ),
    Setting(
        "random_seed",
        "VOLANS_RANDOM_SEED",
        _INTEGER,
        None,
        "seed of session and receiver ids; random when not set",
        INT64_MIN,
    ),
)

# How people are shown them, in help and in documentation.
GROUPS: Final[dict[str, tuple[Setting, ...]]] = {
    "Process and files": PROCESS_SETTINGS,
    "Streams": STREAM_SETTINGS,
    "Network": NETWORK_SETTINGS,
    "Event log": _EVENT_LOG,
    "Volans": _VOLANS,
}
SETTINGS: Final[tuple[Setting, ...]] = tuple(s for group in GROUPS.values() for s in group)
BY_NAME: Final[dict[str, Setting]] = {setting.name: setting for setting in SETTINGS}
BY_VARIABLE: Final[dict[str, Setting]] = {setting.variable: setting for setting in SETTINGS}
