"""``volans version``: the versions of Volans and of what it speaks."""

from __future__ import annotations

import platform
from typing import Any

from volans import __version__
from volans.cli.options import Json
from volans.cli.output import print_json, print_line
from volans.protocol.cnc import CNC_VERSION, version_text
from volans.protocol.counter_types import CONTROL_PROTOCOL_VERSION


def versions() -> dict[str, Any]:
    """Name and version of each part."""
    return {
        "volans": __version__,
        "cnc": version_text(CNC_VERSION),
        "control_protocol": version_text(CONTROL_PROTOCOL_VERSION),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def version(json: Json = False) -> None:
    """Show the versions of Volans and its formats."""
    found = versions()
    if json:
        print_json(found)
        return
    for name, value in found.items():
        print_line(f"{name:<17}{value}")
