"""What a stranger meets in the repository is true: table, floors, README, lock file, Makefile."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import volans
from tools import cimport_floors, compatibility, development_requirements, modules

ROOT = Path(__file__).resolve().parents[2]


def test_the_feature_table_keeps_its_promises_and_the_page_shows_it():
    assert list(compatibility.problems(ROOT)) == []
    assert (ROOT / compatibility.PAGE).read_text() == compatibility.page(compatibility.load(ROOT))


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ('state = "done"', "needs the tests"),
        ('state = "done", tests = ["tests/test_none.py::test_x"]', "there is no file"),
        ('state = "done", tests = ["tests/test_one.py::test_x"]', "has no test_x"),
        ('state = "not planned"', "needs a note"),
        ('state = "soon"', "is none of"),
    ],
)
def test_the_feature_table_is_refused_when_it_promises_too_much(tmp_path, row, complaint):
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text("def test_y(): pass\n")
    (tmp_path / compatibility.TABLE).write_text(
        f'[[section]]\ntitle = "One"\nrows = [{{ number = "1", name = "a", {row} }}]\n'
    )

    (problem,) = compatibility.problems(tmp_path)

    assert complaint in problem


def test_c_level_imports_keep_to_the_floors():
    source = ROOT / "src" / "volans"
    assert list(cimport_floors.violations(source, cimport_floors.floors())) == []


@pytest.mark.parametrize(
    ("file_name", "line"),
    [
        ("log/append.py", "from cython.cimports.volans.driver.sender import send"),
        ("log/append.py", "from cython.cimports.volans import driver"),
        ("log/append.pxd", "from volans.client.layout cimport Client"),
        ("log/append.pxd", "from volans cimport transport"),
        ("log/append.pxd", "cimport volans.transport.contract"),
        ("log/append.pxd", "from .layout cimport Appender"),
        ("log/append.pxd", "from volans.attic.layout cimport Chest"),
    ],
)
def test_a_c_level_import_from_below_is_found(tmp_path, file_name, line):
    path = tmp_path / file_name
    path.parent.mkdir()
    path.write_text(f'"""Text."""\n{line}\n')

    assert len(list(cimport_floors.violations(tmp_path, cimport_floors.floors()))) == 1


def test_a_c_level_import_from_above_is_allowed(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "append.py").write_text(
        "from cython.cimports.volans.memory.atomic import load_acquire_i64\n"
        "from cython.cimports.libc.stdint import int32_t\n"
    )

    assert list(cimport_floors.violations(tmp_path, cimport_floors.floors())) == []


def test_every_folder_of_the_package_is_a_floor():
    folders = {path.parent.name for path in (ROOT / "src" / "volans").glob("*/__init__.py")}
    assert folders <= set(cimport_floors.floors())


def python_examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.skipif(not hasattr(volans, "connect"), reason="the client is still to come")
def test_the_readme_example_works_when_pasted():
    (example,) = python_examples()
    assert len(example.splitlines()) <= 12

    result = subprocess.run(
        [sys.executable, "-c", example],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert "hello" in result.stdout


def test_the_readme_names_the_two_commands_and_no_other():
    text = (ROOT / "README.md").read_text()
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert [line.split("#")[0].strip() for line in commands.splitlines()] == [
        "make demo",
        "make test",
    ]


def test_links_between_the_documents_lead_somewhere():
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_files_named_by_the_architecture_are_there():
    names = {path.name for path in (ROOT / "src").rglob("*.p[yx]*")}
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`(?:[\w/]+/)?(\w+\.p(?:y|xd))`", text)
    assert len(named) > 20
    assert [name for name in named if name not in names] == []


def test_every_development_requirement_is_pinned():
    def name_of(requirement: str) -> str:
        return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")

    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]

    assert [pin for pin in pins if "==" not in pin] == []
    wanted = {name_of(line) for line in development_requirements.development_requirements()}
    assert wanted - {name_of(pin) for pin in pins} == set()


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert text.split()[:5] == ["Apache", "License", "Version", "2.0,", "January"]
    assert "END OF TERMS AND CONDITIONS" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_tells_every_target_meant_for_people():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"\.PHONY: (.*)", makefile)[1].split()
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    for target in ("demo", "test", "verify", "build", "bench", "soak", "clean", "fix"):
        assert target in targets
        assert re.search(rf"make {target} +\w", shown)


def test_compiled_modules_begin_with_the_agreed_directive():
    directive = (
        "# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, "
        "freethreading_compatible=True"
    )
    others = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "src").rglob("*.py")
        if modules.is_compiled(path) and not path.read_text().startswith(directive + "\n")
    ]
    assert others == []


def test_nothing_names_a_private_package_host():
    named = [
        str(path.relative_to(ROOT))
        for path in [
            ROOT / "Makefile",
            ROOT / "pyproject.toml",
            ROOT / "requirements-dev.lock",
            *(ROOT / "tools").glob("*"),
            *(ROOT / ".ci").glob("*"),
        ]
        if path.is_file() and re.search(r"index-url|find-links|trusted-host", path.read_text())
    ]
    assert named == []
