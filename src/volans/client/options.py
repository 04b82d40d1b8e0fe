"""What a client can be told when it connects."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from volans.errors import ConfigError
from volans.protocol.units import UnitError, parse_bool, parse_duration_ns

if TYPE_CHECKING:
    from volans.client.image import Image
    from volans.memory.counters import CountersReader
    from volans.protocol.events import PublicationErrorEvent

MAX_CLIENT_NAME_LENGTH = 100

CounterHandler = Callable[["CountersReader", int, int], object]


def log_error(error: BaseException) -> None:
    """The default error handler: to the logger ``volans``."""
    logging.getLogger("volans").error("%s", error, exc_info=error if error.__traceback__ else None)


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class ClientOptions:
    """Settings of one client; durations in seconds. Unset ones come from the environment.

    The environment's names are the official ones: AERON_DIR, AERON_CLIENT_NAME,
    AERON_DRIVER_TIMEOUT (ms), AERON_CLIENT_RESOURCE_LINGER_DURATION,
    AERON_CLIENT_IDLE_SLEEP_DURATION, AERON_CLIENT_PRE_TOUCH_MAPPED_MEMORY.
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
        for name in ("driver_timeout", "keepalive_interval", "idle_sleep"):
            _check_range(name, getattr(self, name), 0.001, 3600.0)
        _check_range("resource_linger", self.resource_linger, 0.0, 3600.0)
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
        source = os.environ if environment is None else environment
        known = {field.name for field in fields(cls)}
        for name, value in overrides.items():
            if name not in known:
                raise ConfigError(
                    name, value, f"no such option; there are: {', '.join(sorted(known))}"
                )
        values: dict[str, Any] = {}
        for variable, (name, parse) in _VARIABLES.items():
            text = source.get(variable)
            if text:
                try:
                    values[name] = parse(text)
                except (UnitError, ValueError) as error:
                    raise ConfigError(variable, text, str(error)) from None
        values.update(overrides)
        if values.get("directory") is None:
            values["directory"] = default_directory(source)
        values["directory"] = os.fspath(values["directory"])
        return cls(**values)


def default_directory(environment: Mapping[str, str] | None = None) -> str:
    """Where a media driver lives unless told otherwise (AERON_DIR, else the official default)."""
    from volans.driver.config import DriverConfig

    return DriverConfig.default_directory(environment)


def _check_range(name: str, value: float, minimum: float, maximum: float) -> None:
    if not minimum <= value <= maximum:
        raise ConfigError(name, value, f"{minimum:g} to {maximum:g} s")


def _seconds(text: str) -> float:
    return parse_duration_ns(text) / 1e9


def _milliseconds(text: str) -> float:
    return int(text) / 1e3


_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "AERON_DIR": ("directory", str),
    "AERON_CLIENT_NAME": ("client_name", str),
    "AERON_DRIVER_TIMEOUT": ("driver_timeout", _milliseconds),
    "AERON_CLIENT_RESOURCE_LINGER_DURATION": ("resource_linger", _seconds),
    "AERON_CLIENT_IDLE_SLEEP_DURATION": ("idle_sleep", _seconds),
    "AERON_CLIENT_PRE_TOUCH_MAPPED_MEMORY": ("pre_touch", parse_bool),
}
