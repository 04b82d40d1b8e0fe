"""Every setting of a client in one table: its variable, kind, default, limits and meaning.

The variables are the official ones where there are any. Handlers and clocks, which no text can
give, are described where they are: in `volans.client.options.ClientOptions`.
"""

from __future__ import annotations

from typing import Final

from volans.driver.config_setting import Kind, Setting

MAX_CLIENT_NAME_LENGTH: Final = 100
_SHORTEST_S: Final = 0.001
_LONGEST_S: Final = 3600.0

CLIENT_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("directory", "AERON_DIR", Kind.TEXT, None, "directory of the media driver"),
    Setting(
        "client_name",
        "AERON_CLIENT_NAME",
        Kind.TEXT,
        "",
        "shown in the label of the client's heartbeat counter; at most "
        f"{MAX_CLIENT_NAME_LENGTH} ASCII characters",
    ),
    Setting(
        "driver_timeout",
        "AERON_DRIVER_TIMEOUT",
        Kind.MILLISECONDS,
        10.0,
        "without a sign of life for so long the driver counts as dead",
        _SHORTEST_S,
        _LONGEST_S,
    ),
    Setting(
        "keepalive_interval",
        "VOLANS_CLIENT_KEEPALIVE_INTERVAL",
        Kind.SECONDS,
        0.5,
        "how often the client shows life",
        _SHORTEST_S,
        _LONGEST_S,
    ),
    Setting(
        "idle_sleep",
        "AERON_CLIENT_IDLE_SLEEP_DURATION",
        Kind.SECONDS,
        0.016,
        "how long the keep-alive thread sleeps between looks at the driver's events",
        _SHORTEST_S,
        _LONGEST_S,
    ),
    Setting(
        "resource_linger",
        "AERON_CLIENT_RESOURCE_LINGER_DURATION",
        Kind.SECONDS,
        3.0,
        "how long an image's memory stays mapped after the image has gone",
        0.0,
        _LONGEST_S,
    ),
    Setting(
        "pre_touch",
        "AERON_CLIENT_PRE_TOUCH_MAPPED_MEMORY",
        Kind.BOOL,
        False,
        "fault every page of a log buffer in when it is mapped",
    ),
    Setting(
        "use_conductor_invoker",
        "",
        Kind.BOOL,
        False,
        "no threads: the application calls client.invoke() often enough",
    ),
)
CLIENT_SETTINGS_BY_NAME: Final[dict[str, Setting]] = {s.name: s for s in CLIENT_SETTINGS}
