"""Check that C-level imports keep to the floors of the house, as import-linter does for others.

Import-linter sees ``import volans.log.append`` but neither ``from cython.cimports.volans.log...``
nor the ``cimport`` lines of ``.pxd`` files. The order of the floors is read from its contract in
pyproject.toml, so there is one list.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CIMPORT_IN_PYTHON = re.compile(
    r"^\s*(?:from|import)\s+cython\.cimports\.volans(?:\.(?P<module>[\w.]+))?"
    r"(?:\s+import\s+(?P<names>\(?[\w, ]+))?"
)
CIMPORT_IN_PXD = re.compile(
    r"^\s*(?:from\s+volans(?:\.(?P<module>[\w.]+))?\s+cimport\s+(?P<names>\(?[\w, ]+)"
    r"|cimport\s+volans\.(?P<plain>[\w.]+))"
)
RELATIVE_CIMPORT = re.compile(r"^\s*from\s+\.[\w.]*\s+cimport\s")


def floors(pyproject: Path = ROOT / "pyproject.toml") -> list[str]:
    """The floors, the one that may import from all others first."""
    contracts = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]
    return [layer.strip("()") for layer in contracts["contracts"][0]["layers"]]


def cimported_floors(line: str, is_pxd: bool) -> list[str]:
    """The floors a line imports from at C level; empty when it is no such line."""
    match = (CIMPORT_IN_PXD if is_pxd else CIMPORT_IN_PYTHON).match(line)
    if match is None:
        return []
    module = match["module"] or (match["plain"] if is_pxd else None)
    if module:
        return [module.split(".")[0]]
    names = (match["names"] or "").strip("( ")
    return [name.split()[0] for name in names.split(",") if name.strip()]


def violations(source: Path, order: list[str]) -> Iterator[str]:
    """One line of text for each import from a floor that is not above the importer's."""
    for path in sorted([*source.rglob("*.py"), *source.rglob("*.pxd")]):
        relative = path.relative_to(source)
        floor = relative.with_suffix("").parts[0]
        is_pxd = path.suffix == ".pxd"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            where = f"{relative}:{number}"
            if is_pxd and RELATIVE_CIMPORT.match(line):
                yield f"{where}: relative cimport; write the whole name"
            for wanted in cimported_floors(line, is_pxd):
                if floor not in order or wanted not in order:
                    unknown = floor if floor not in order else wanted
                    yield f"{where}: {unknown} is no floor; add it to pyproject.toml"
                elif order.index(wanted) < order.index(floor):
                    yield f"{where}: {floor} may not import from {wanted}, a floor below it"


def main() -> int:
    """Print what is wrong; the exit status says whether anything was."""
    found = list(violations(ROOT / "src" / "volans", floors()))
    for text in found:
        print(text)
    print(f"floors: {len(found)} C-level import(s) against the floors")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
