"""Write or check ``docs/compatibility.md``, made from the table ``docs/compatibility.toml``.

``--check`` (the default) fails when the page is not what the table says, when a state lacks what
it promises (tests for "done", a reason for "not planned") or when a named test is not there.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path("docs/compatibility.toml")
PAGE = Path("docs/compatibility.md")
NEEDS_TESTS = {"done", "partly done"}
NEEDS_NOTE = {"partly done", "not planned"}
STATES = {"done", "partly done", "to come", "not planned"}

HEAD = """\
# Compatibility

Every feature of a complete Aeron system and what Volans has of it. *done* means that the tests
beside it show it. This page is written from `docs/compatibility.toml` by `make fix`; `make verify`
fails when the two differ or when a test named here does not exist.
"""


def load(root: Path) -> list[dict[str, Any]]:
    """The sections of the table."""
    sections: list[dict[str, Any]] = tomllib.loads((root / TABLE).read_text(encoding="utf-8"))[
        "section"
    ]
    return sections


def defined_tests(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    """Names of the tests in a module, those in classes as ``TestClass::test_name``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from defined_tests(node, f"{prefix}{node.name}::")
        elif isinstance(node, ast.Assign):  # TestModel = Model.TestCase, as hypothesis has it
            yield from (prefix + name.id for name in node.targets if isinstance(name, ast.Name))


def missing_test(root: Path, test: str) -> str | None:
    """Why a named test is not there, or None when it is."""
    file_name, _, name = test.partition("::")
    path = root / file_name
    if not path.is_file():
        return f"there is no file {file_name}"
    if name and name not in defined_tests(ast.parse(path.read_text(encoding="utf-8"))):
        return f"{file_name} has no {name}"
    return None


def problems(root: Path) -> Iterator[str]:
    """What is wrong with the table, a line each."""
    for section in load(root):
        numbers = Counter(row["number"] for row in section["rows"])
        for row in section["rows"]:
            where = f"{section['title']} {row['number']}"
            state, tests = row["state"], row.get("tests", [])
            if numbers[row["number"]] > 1:
                yield f"{where}: the number is there twice"
            if state not in STATES:
                yield f"{where}: state {state!r} is none of {', '.join(sorted(STATES))}"
            if state in NEEDS_TESTS and not tests:
                yield f"{where}: {state!r} needs the tests that show it"
            if state in NEEDS_NOTE and not row.get("note"):
                yield f"{where}: {state!r} needs a note"
            yield from (
                f"{where}: {why}" for why in (missing_test(root, test) for test in tests) if why
            )


def test_link(test: str) -> str:
    """A Markdown link to the file of a test."""
    file_name, _, name = test.partition("::")
    return f"[{name.split('::')[-1] or Path(file_name).stem}](../{file_name})"


def page(sections: list[dict[str, Any]]) -> str:
    """The whole page."""
    states = Counter(row["state"] for section in sections for row in section["rows"])
    summary = ", ".join(f"{states[state]} {state}" for state in sorted(STATES) if states[state])
    lines = [HEAD, f"{states.total()} rows: {summary}.", ""]
    for number, section in enumerate(sections, start=1):
        lines += [f"## {number}. {section['title']}", ""]
        if "introduction" in section:
            lines += [section["introduction"], ""]
        lines += ["| # | feature | state | shown by, or why |", "|---|---|---|---|"]
        for row in section["rows"]:
            shown = [test_link(test) for test in row.get("tests", [])]
            shown += [row["note"]] if "note" in row else []
            lines.append(
                f"| {row['number']} | {row['name']} | {row['state']} | {'; '.join(shown)} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Write or check; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description="the feature table")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help=f"write {PAGE}")
    choice.add_argument("--check", action="store_true", help="only check (the default)")
    arguments = parser.parse_args()
    found = list(problems(ROOT))
    text = page(load(ROOT))
    if arguments.write:
        (ROOT / PAGE).write_text(text, encoding="utf-8")
    elif not (ROOT / PAGE).exists() or (ROOT / PAGE).read_text(encoding="utf-8") != text:
        found.append(f"{PAGE} is not what {TABLE} says; run: make fix")
    for problem in found:
        print(problem)
    print(f"table: {len(found)} problem(s)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
