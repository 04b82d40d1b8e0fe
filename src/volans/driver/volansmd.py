"""`volansmd`: a media driver configured by the environment only, in place of `aeronmd`.

No arguments; `AERON_*` as in the official driver; quiet unless it fails; ends on SIGTERM, SIGINT
or a permitted
TERMINATE_DRIVER. Exit status 0 after a clean end, 1 when it could not run, 2 for a bad setting or
an argument.
"""

from __future__ import annotations

import signal
import sys
import threading

USAGE_ERROR = 2


def main() -> int:
    """Run until told to stop."""
    if len(sys.argv) > 1:
        print(
            f"volansmd takes no arguments (got {sys.argv[1]!r}): set AERON_* variables, "
            "or use `volans driver` with options",
            file=sys.stderr,
        )
        return USAGE_ERROR
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from volans.driver.config import DriverConfig
    from volans.driver.media_driver import MediaDriver
    from volans.errors import ConfigError, VolansError

    try:
        driver = MediaDriver(DriverConfig.from_environment(), on_terminate=stop.set)
    except ConfigError as error:
        print(f"volansmd: {error}", file=sys.stderr)
        return USAGE_ERROR
    except (VolansError, OSError) as error:
        print(f"volansmd: {error}", file=sys.stderr)
        return 1
    with driver:
        if driver.config.print_configuration_on_start:
            print(driver.config.describe())
        wait_for(driver, stop)
    return 0


def wait_for(driver, stop: threading.Event) -> None:  # type: ignore[no-untyped-def]
    """Sleep until `stop`; in INVOKER mode the main thread runs the agents."""
    if driver.config.threading_mode != "INVOKER":
        stop.wait()
        return
    from volans.agents import BackoffIdleStrategy

    idle = BackoffIdleStrategy()
    while not stop.is_set():
        idle.idle(driver.do_work())


if __name__ == "__main__":
    sys.exit(main())
