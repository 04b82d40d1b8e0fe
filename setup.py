"""Compile every module of ``src/volans`` whose first line is a ``# cython:`` directive.

A Cython "performance hint" names nogil code that would take the GIL back (or index without a
type); it is an error here, so no such code can reach a build. See docs/decisions/0001.

Environment, all optional:

- ``VOLANS_ONLY``: comma-separated path prefixes, to compile a part only (development);
- ``VOLANS_CFLAGS``: replaces ``-O3 -g0``;
- ``VOLANS_JOBS``: parallel jobs, default one a core;
- ``VOLANS_CYTHON_BUILD_DIR``: where the C files go, default ``build/cython``;
- ``VOLANS_ANNOTATE``: set to write Cython's annotated HTML beside the C files.
"""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup

SOURCE = Path("src")
BUILD = Path(os.environ.get("VOLANS_CYTHON_BUILD_DIR", "build/cython"))
JOBS = int(os.environ.get("VOLANS_JOBS") or os.cpu_count() or 1)
COMPILE_ARGS = [
    *os.environ.get("VOLANS_CFLAGS", "-O3 -g0").split(),
    "-fwrapv",
    "-fno-strict-aliasing",
    "-pthread",
    "-Wno-address-of-packed-member",
    "-Wno-unused-function",
]
SHARED_UTILITY = "volans._cyutility"
COMMANDS_WITHOUT_CODE = {"egg_info", "dist_info", "sdist", "clean"}


def compiled_modules():
    """Paths to compile, in order."""
    only = tuple(filter(None, os.environ.get("VOLANS_ONLY", "").split(",")))
    for path in sorted(SOURCE.rglob("*.py")):
        if only and not str(path).startswith(only):
            continue
        with path.open(encoding="utf-8") as file:
            if file.readline().startswith("# cython:"):
                yield path


def forbid_performance_hints():
    """Turn Cython's performance hints into compile errors, in the worker processes too."""
    from Cython.Compiler import Errors, ExprNodes, PyrexTypes, Symtab

    def performance_hint(position, message, env):
        if env.directives["show_performance_hints"]:
            Errors.error(position, f"performance hint: {message}")

    for module in (Errors, ExprNodes, PyrexTypes, Symtab):
        if not hasattr(module, "performance_hint"):
            sys.exit(f"{module.__name__}.performance_hint is gone: adapt forbid_performance_hints")
        module.performance_hint = performance_hint
    # Workers inherit the change only when they are forked (Python 3.14 no longer does by default).
    multiprocessing.set_start_method("fork", force=True)


def shared_utility_source():
    """The C file of the helpers that all modules share."""
    source = BUILD / "_cyutility.c"
    if not source.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "cython", f"--generate-shared={source}"], check=True)
    return source


def extensions():
    """What to compile; nothing for the commands that only look at metadata."""
    if COMMANDS_WITHOUT_CODE.intersection(sys.argv):
        return []
    from Cython.Build import cythonize
    from Cython.Compiler.Errors import CompileError

    forbid_performance_hints()
    modules = [
        Extension(
            ".".join(path.relative_to(SOURCE).with_suffix("").parts),
            [str(path)],
            extra_compile_args=COMPILE_ARGS,
            extra_link_args=["-pthread"],
        )
        for path in compiled_modules()
    ]
    if not modules:
        return []
    try:
        result = cythonize(
            modules,
            include_path=[str(SOURCE)],
            build_dir=str(BUILD),
            nthreads=JOBS,
            annotate=bool(os.environ.get("VOLANS_ANNOTATE")),
            shared_utility_qualified_name=SHARED_UTILITY,
            compiler_directives={"language_level": 3},
        )
    except CompileError as error:  # Cython has printed what is wrong; its trace says nothing more
        sys.exit(f"not compiled: {error}")
    shared = Extension(
        SHARED_UTILITY, [str(shared_utility_source())], extra_compile_args=COMPILE_ARGS
    )
    return [shared, *result]


if __name__ == "__main__":
    setup(ext_modules=extensions(), options={"build_ext": {"parallel": JOBS}})
