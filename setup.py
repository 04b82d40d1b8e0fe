"""Compile every module of ``src/volans`` whose first line is a ``# cython:`` directive.

A Cython "performance hint" (a nogil function that would take the GIL back, see
docs/decisions) is an error here, so it can never reach a build.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

SOURCE = Path("src")
BUILD = Path(os.environ.get("VOLANS_CYTHON_BUILD_DIR", "build/cython"))
COMPILE_ARGS = os.environ.get("VOLANS_CFLAGS", "-O3 -g0").split() + [
    "-fwrapv",
    "-fno-strict-aliasing",
    "-pthread",
    "-Wno-address-of-packed-member",
    "-Wno-unused-function",
]
SHARED_UTILITY = "volans._cyutility"


def compiled_modules():
    """Paths to compile; VOLANS_ONLY (comma-separated path prefixes) narrows a development build."""
    only = tuple(filter(None, os.environ.get("VOLANS_ONLY", "").split(",")))
    for path in sorted(SOURCE.rglob("*.py")):
        if only and not str(path).startswith(only):
            continue
        with path.open(encoding="utf-8") as file:
            if file.readline().startswith("# cython:"):
                yield path


def forbid_performance_hints():
    """Turn Cython's performance hints into compile errors."""
    from Cython.Compiler import Errors, ExprNodes, PyrexTypes, Symtab

    def performance_hint(position, message, env):
        if env.directives["show_performance_hints"]:
            Errors.error(position, f"performance hint: {message}")

    for module in (Errors, ExprNodes, PyrexTypes, Symtab):
        module.performance_hint = performance_hint


def shared_utility_source():
    import subprocess
    import sys

    source = BUILD / "_cyutility.c"
    if not source.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "cython", f"--generate-shared={source}"], check=True
        )
    return source


def extensions():
    from Cython.Build import cythonize

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
    result = cythonize(
        modules,
        include_path=[str(SOURCE)],
        build_dir=str(BUILD),
        nthreads=int(os.environ.get("VOLANS_JOBS", os.cpu_count() or 1)),
        annotate=bool(os.environ.get("VOLANS_ANNOTATE")),
        shared_utility_qualified_name=SHARED_UTILITY,
        compiler_directives={"language_level": 3},
    )
    shared = Extension(
        SHARED_UTILITY, [str(shared_utility_source())], extra_compile_args=COMPILE_ARGS
    )
    return [shared, *result]


if __name__ == "__main__":
    setup(ext_modules=extensions())
