"""Name the modules of Volans by kind, for the checks of the Makefile.

``plain`` prints the paths of the Python files that are not compiled, ``stubs`` the paths of the
``.pyi`` files, ``stubbed`` the dotted names of the compiled modules that have one.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"


def is_compiled(path: Path) -> bool:
    """True when setup.py would compile the file."""
    with path.open(encoding="utf-8") as file:
        return file.readline().startswith("# cython:")


def dotted_name(path: Path) -> str:
    """The name a file of ``src`` is imported by."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def listing(kind: str) -> Iterator[str]:
    """The modules of one kind, sorted."""
    if kind == "stubs":
        yield from (str(path.relative_to(ROOT)) for path in sorted(SOURCE.rglob("*.pyi")))
        return
    for path in sorted(SOURCE.rglob("*.py")):
        has_stub = path.with_suffix(".pyi").exists()
        if kind == "plain" and not is_compiled(path) and not has_stub:
            yield str(path.relative_to(ROOT))
        elif kind == "stubbed" and is_compiled(path) and has_stub:
            yield dotted_name(path)


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        for name in listing(wanted):
            print(name)
