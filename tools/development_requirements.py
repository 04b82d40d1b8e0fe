"""Print the requirements for building and developing Volans, as ranges, from pyproject.toml."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def development_requirements() -> list[str]:
    """What builds, runs and tests Volans, in the notation of pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
    ]


if __name__ == "__main__":
    print("\n".join(development_requirements()))
