"""``volans config``: every setting of drivers and clients, from the tables they are made of."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import typer

from volans.cli.failures import CommandFailedError
from volans.cli.options import Json
from volans.cli.output import Column, print_json, print_line, print_table
from volans.client.options_table import CLIENT_SETTINGS
from volans.driver.config_setting import Setting
from volans.driver.config_table import GROUPS
from volans.driver.config_values import allowed_values, show_value

app = typer.Typer(add_completion=False, no_args_is_help=True)
COLUMNS = (
    Column("of", "of"),
    Column("name", "name"),
    Column("variable", "variable"),
    Column("default", "default"),
    Column("help", "meaning"),
)
_NO_EFFECT = "read and checked, but nothing acts on it yet"


class Entry(NamedTuple):
    """A setting and whose it is, ``driver`` or ``client``."""

    of: str
    group: str
    setting: Setting


def entries() -> Iterator[Entry]:
    """All settings, the driver's first."""
    for group, settings in GROUPS.items():
        yield from (Entry("driver", group, setting) for setting in settings)
    yield from (Entry("client", "Client", setting) for setting in CLIENT_SETTINGS)


def find(name: str) -> list[Entry]:
    """The settings of a name, variable, option or official property (``aeron.mtu.length``).

    Raises CommandFailedError naming what may have been meant.
    """
    wanted = _plain(name)
    found = [e for e in entries() if wanted in (_plain(e.setting.name), _plain(e.setting.variable))]
    if found:
        return found
    names = {
        _plain(text): text
        for entry in entries()
        for text in (entry.setting.name, entry.setting.variable)
        if text
    }
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.6)
    near += [plain for plain in names if wanted in plain and plain not in near][: 5 - len(near)]
    remedy = f"did you mean {', '.join(names[plain] for plain in near)}" if near else "see"
    raise CommandFailedError(
        f"no setting {name!r}: {remedy}{'?' if near else ' volans config list'}"
    )


def describe(entry: Entry, environment: Mapping[str, str]) -> dict[str, Any]:
    """One setting by name, with its value in the environment."""
    setting = entry.setting
    text = environment.get(setting.variable) if setting.variable else None
    return {
        "of": entry.of,
        "group": entry.group,
        "name": setting.name,
        "variable": setting.variable or None,
        "kind": setting.kind.value,
        "unit": setting.unit or None,
        "default": show_value(setting, setting.default),
        "allowed": allowed_values(setting),
        "help": setting.help,
        "has_effect": not setting.listed,
        "environment": text or None,
    }


@app.callback()
def _config() -> None:
    """Explain, list and show settings."""


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="Name, variable or official property.")],
    json: Json = False,
) -> None:
    """Tell all there is about a setting."""
    rows = [describe(entry, os.environ) for entry in find(name)]
    if json:
        print_json({"settings": rows})
        return
    for row in rows:
        print_line(f"{row['name']}, a setting of the {row['of']} ({row['group']})")
        print_line(f"    {row['help']}")
        for key in ("variable", "kind", "unit", "default", "allowed", "environment"):
            if row[key] is not None:
                print_line(f"    {key:<13}{row[key]}")
        if not row["has_effect"]:
            print_line(f"    {_NO_EFFECT}")


@app.command("list")
def list_settings(json: Json = False) -> None:
    """List every setting of drivers and clients."""
    rows = [describe(entry, os.environ) for entry in entries()]
    if json:
        print_json({"settings": rows})
        return
    print_table(COLUMNS, rows)


@app.command()
def show(
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="TOML file to read too.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the settings a driver and a client started here would have, checked."""
    from volans.client.options import ClientOptions
    from volans.driver.config import DriverConfig

    driver, client = DriverConfig.load(config), ClientOptions.load(config)
    values = {"driver": dict(driver.items())}
    values["client"] = {s.name: getattr(client, s.name) for s in CLIENT_SETTINGS}
    if json:
        print_json(values)
        return
    for entry in entries():
        value = values[entry.of][entry.setting.name]
        mark = "" if value == entry.setting.default else "  # changed"
        print_line(f"{entry.of}.{entry.setting.name} = {show_value(entry.setting, value)}{mark}")


def _plain(name: str) -> str:
    return name.strip().lstrip("-").lower().replace("-", "_").replace(".", "_")
