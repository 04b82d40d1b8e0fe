"""What a client can be told when it connects."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from volans.client.options_table import (
    CLIENT_SETTINGS,
    CLIENT_SETTINGS_BY_NAME,
    MAX_CLIENT_NAME_LENGTH,
)
from volans.driver.config_file import read_config_file
from volans.driver.config_values import unknown_name, value_from_object, value_from_text
from volans.errors import ConfigError

if TYPE_CHECKING:
    from volans.client.image import Image
    from volans.memory.counters import CountersReader
    from volans.protocol.events import PublicationErrorEvent

CounterHandler = Callable[["CountersReader", int, int], object]


def log_error(error: BaseException) -> None:
    """The default error handler: to the logger ``volans``."""
    logging.getLogger("volans").error("%s", error, exc_info=error if error.__traceback__ else None)


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class ClientOptions:
    """Settings of one client; durations in seconds, or texts such as ``"100ms"``.

    Unset ones come from the environment; variables, limits and meanings stand in
    ``volans.client.options_table`` and docs/configuration.md.
    """

    directory: str | None = None
    """Directory of the media driver."""
    client_name: str = ""
    """Shown in the label of the client's heartbeat counter; at most 100 characters."""
    driver_timeout: float = 10.0
    """Without a sign of life for so long the driver counts as dead."""
    keepalive_interval: float = 0.5
    """How often the client shows life."""
    idle_sleep: float = 0.016
    """How long the keep-alive thread sleeps between looks at the driver's events."""
    resource_linger: float = 3.0
    """How long an image's memory stays mapped after the image has gone."""
    pre_touch: bool = False
    """Fault every page of a log buffer in when it is mapped."""
    use_conductor_invoker: bool = False
    """No threads: the application calls ``client.invoke()`` often enough."""
    error_handler: Callable[[BaseException], object] = log_error
    """Gets errors nobody waits for: of handlers, of events, and the end of the driver."""
    on_available_image: Callable[[Image], object] | None = None
    """For subscriptions without a handler of their own."""
    on_unavailable_image: Callable[[Image], object] | None = None
    """For subscriptions without a handler of their own."""
    on_available_counter: CounterHandler | None = None
    """Called with (counters reader, registration id, counter id)."""
    on_unavailable_counter: CounterHandler | None = None
    """Called with (counters reader, registration id, counter id)."""
    on_publication_error: Callable[[PublicationErrorEvent], object] | None = None
    """Called when a receiver refuses a publication's stream."""
    on_close: Callable[[], object] | None = None
    """Called once when the client has closed, by itself or because the driver died."""
    epoch_clock_ms: Callable[[], int] = _epoch_ms
    """Wall clock, for the heartbeats shared with the driver."""
    nano_clock: Callable[[], int] = time.monotonic_ns
    """Monotonic clock, for time-outs."""
    sleep: Callable[[float], None] = time.sleep
    """How waiting calls pass time."""

    def __post_init__(self) -> None:
        for setting in CLIENT_SETTINGS:
            value = getattr(self, setting.name)
            setattr(self, setting.name, value_from_object(setting, value))
        if len(self.client_name) > MAX_CLIENT_NAME_LENGTH or not self.client_name.isascii():
            raise ConfigError(
                "client_name",
                self.client_name,
                f"at most {MAX_CLIENT_NAME_LENGTH} ASCII characters",
            )

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> ClientOptions:
        """Options from the official variables, then ``overrides``. Raises ConfigError."""
        return cls.load(None, environment, **overrides)

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str] | None,
        environment: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> ClientOptions:
        """Options from the environment, over them a file, over them ``overrides``.

        ``file`` is TOML with the names of the settings in a table ``[client]``, or None. Raises
        ConfigError, for names that no option has too, and OSError.
        """
        source = os.environ if environment is None else environment
        known = [field.name for field in fields(cls)]
        for name, value in overrides.items():
            if name not in known:
                raise unknown_name(name, value, known, "`volans config list`")
        values: dict[str, Any] = {}
        for setting in CLIENT_SETTINGS:
            text = source.get(setting.variable) if setting.variable else None
            if text:
                values[setting.name] = value_from_text(setting, text, setting.variable)
        if file is not None:
            values.update(read_config_file(file, "client", CLIENT_SETTINGS_BY_NAME))
        # A directory of None says nothing, so it takes nothing away from file and environment.
        values.update((k, v) for k, v in overrides.items() if k != "directory" or v is not None)
        if values.get("directory") is None:
            values["directory"] = default_directory(source)
        return cls(**values)


def default_directory(environment: Mapping[str, str] | None = None) -> str:
    """Where a media driver lives unless told otherwise."""
    from volans.driver.config import DriverConfig

    return DriverConfig.default_directory(environment)
