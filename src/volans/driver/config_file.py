"""Configuration files: TOML, with a table ``[driver]`` and a table ``[client]``.

Each table holds settings by name, with Python's kinds of values or the texts that the environment
takes: ``mtu_length = 8192`` or ``mtu_length = "8k"``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from volans.driver.config_setting import Setting
from volans.driver.config_values import unknown_name, value_from_object
from volans.errors import ConfigError

TABLES: Final = ("driver", "client")


def read_config_file(
    file: str | os.PathLike[str], table: str, settings: Mapping[str, Setting]
) -> dict[str, Any]:
    """The values of one table of a file, checked; empty when the file does not have the table.

    Raises ConfigError naming the file's setting, the value and what is allowed; OSError.
    """
    import tomllib  # only here: few processes have a file

    path = Path(file)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("configuration file", str(path), f"TOML is needed: {error}") from None
    for name, value in content.items():
        if name not in TABLES or not isinstance(value, dict):
            raise ConfigError(
                f"{name} in {path}", value, "settings stand in tables, [driver] or [client]"
            )
    values = {}
    for name, value in content.get(table, {}).items():
        setting = settings.get(name)
        if setting is None:
            unknown = unknown_name(name, value, settings, "`volans config list`")
            raise ConfigError(f"{table}.{name} in {path}", value, unknown.allowed)
        values[name] = value_from_object(setting, value, f"{table}.{name} in {path}")
    return values
