"""Write or check ``docs/configuration.md``, made from the tables of settings in the code.

``--check`` (the default) fails when the page is not what the tables say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from volans.client.options_table import CLIENT_SETTINGS
from volans.driver.config_setting import Setting
from volans.driver.config_table import GROUPS
from volans.driver.config_values import allowed_values, show_value

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/configuration.md")

HEAD = """\
# Configuration

Every setting of a media driver and of a client. This page is written from the tables in the code by
`make fix`; a test fails when the two differ. At a terminal, `volans config explain NAME` tells the
same of one setting, `volans config list` of all, and `volans config show` what applies here.

A setting is given by, the first that is there winning:

1. a keyword argument (`MediaDriver.launch(mtu_length="8k")`, `volans.connect(driver_timeout=5)`) or
   an option of `volans driver` (`--mtu-length 8k`);
2. a TOML file, `volans driver --config FILE` or `DriverConfig.load(FILE)` and
   `ClientOptions.load(FILE)`, with the names below in a table `[driver]` or `[client]`;
3. the environment variable; an empty one counts as not set;
4. the default.

```toml
[driver]
directory = "/dev/shm/aeron-prices"
threading_mode = "SHARED"
term_buffer_length = "64m"
client_liveness_timeout_ns = "5s"
receiver_wildcard_port_range = [20000, 20100]

[client]
driver_timeout = 5.0
```

Sizes are bytes, or take k, m and g; durations of a driver are nanoseconds, or take s, ms, us and
ns; those of a client are seconds as numbers. As in the official driver, a number from the
environment beyond a limit counts as the limit; anywhere else it is refused, as are names that are
not known.
"""
INTRODUCTIONS = {
    "Volans": "What the official driver does not have.",
    "Client": "The same names are keyword arguments of `volans.connect` and `ClientOptions`.",
}


def table(title: str, settings: tuple[Setting, ...]) -> Iterator[str]:
    """The lines of one group."""
    yield f"\n## {title}\n"
    if title in INTRODUCTIONS:
        yield f"{INTRODUCTIONS[title]}\n"
    yield "| name | variable | kind | default | allowed | meaning |"
    yield "|---|---|---|---|---|---|"
    for setting in settings:
        kind = setting.kind.value + (f", {setting.unit}" if setting.unit else "")
        cells = (
            f"`{setting.name}`",
            f"`{setting.variable}`" if setting.variable else "-",
            kind,
            show_value(setting, setting.default) or "empty",
            allowed_values(setting),
            setting.help + (" (nothing acts on it yet)" if setting.listed else ""),
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The whole page."""
    lines = [HEAD.rstrip()]
    for title, settings in GROUPS.items():
        lines += table(title, settings)
    lines += table("Client", CLIENT_SETTINGS)
    return "\n".join(lines) + "\n"


def main() -> int:
    """0 when the page is as the tables say, or has been written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    path = ROOT / PAGE
    if parser.parse_args().write:
        path.write_text(page(), encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE} is not what the tables of settings say: run make fix", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
