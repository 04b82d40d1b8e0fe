"""``volans driver``: a media driver with options and a status line."""

from __future__ import annotations

import inspect
import sys
import threading
import time
from typing import Annotated, Any, Final

import typer

from volans.cli.output import note
from volans.cli.session import interruptible
from volans.driver.config_setting import Setting
from volans.driver.config_table import GROUPS, SETTINGS
from volans.driver.config_values import format_value

_STATUS_INTERVAL_S: Final = 0.5
_PANEL_OF_NAME: Final = {s.name: panel for panel, settings in GROUPS.items() for s in settings}


def _option(setting: Setting) -> inspect.Parameter:
    default = "" if setting.default is None else f"; default {_default(setting)}"
    flags = ["--" + setting.name.replace("_", "-")]
    if setting.name == "directory":
        flags.append("-d")
    declaration = typer.Option(
        *flags,
        help=f"{setting.help}{default}; {setting.variable}",
        metavar=setting.kind.name,
        rich_help_panel=_PANEL_OF_NAME.get(setting.name, "Volans"),
        hidden=setting.listed,
        show_default=False,
    )
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, declaration],
    )


def _default(setting: Setting) -> str:
    return format_value(setting, setting.default)


def driver_command(**values: Any) -> None:
    """Run a media driver until Ctrl-C, as `volansmd` does but with options.

    Options win over the `--config` file, and that over `AERON_*` environment variables. Sizes take
    k, m, g; durations s, ms, us, ns.
    """
    quiet = bool(values.pop("quiet"))
    file = values.pop("config")
    chosen = {name: value for name, value in values.items() if value is not None}
    stop = threading.Event()
    from volans.driver.config import DriverConfig
    from volans.driver.media_driver import MediaDriver

    config = DriverConfig.load(file, **chosen)
    with interruptible():
        driver = MediaDriver(config, on_terminate=stop.set)
        try:
            with driver:
                if config.print_configuration_on_start:
                    note(config.describe())
                run(driver, stop, quiet=quiet)
        except KeyboardInterrupt:
            driver.close()
    if not quiet:
        note("media driver ended")


def run(driver: Any, stop: threading.Event, *, quiet: bool) -> None:
    """Wait for the end; meanwhile the status line when somebody looks at it."""
    if driver.config.threading_mode == "INVOKER":
        _work(driver, stop)
        return
    if quiet:
        stop.wait()
        return
    if not sys.stderr.isatty():
        note(f"media driver ready in {driver.directory}")
        stop.wait()
        return
    from volans.cli.driver_status import StatusLine
    from volans.cli.output import console

    output = console(stderr=True)
    line = StatusLine(driver.counters, str(driver.directory), time.monotonic_ns)
    with output.status(line.text()) as status:
        while not stop.wait(_STATUS_INTERVAL_S):
            status.update(line.text())


def _work(driver: Any, stop: threading.Event) -> None:
    from volans.agents import BackoffIdleStrategy

    idle = BackoffIdleStrategy()
    while not stop.is_set():
        idle.idle(driver.do_work())


# Typer reads the options off the signature: one for each setting of the table.
_PARAMETERS = [
    *(_option(setting) for setting in SETTINGS),
    inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            str | None,
            typer.Option(
                "--config", metavar="FILE", help=r"TOML file with settings in a table \[driver]."
            ),
        ],
    ),
    inspect.Parameter(
        "quiet",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--quiet", "-q", help="No status line.")],
    ),
]
driver_command.__signature__ = inspect.Signature(_PARAMETERS)  # type: ignore[attr-defined]
driver_command.__annotations__ = {p.name: p.annotation for p in _PARAMETERS}
