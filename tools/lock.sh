#!/bin/sh
# Resolve the ranges of pyproject.toml in a fresh environment and pin what came out.
set -eu
cd "$(dirname "$0")/.."
venv=build/lock-venv
rm -rf "$venv"
tools/venv.sh "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --upgrade pip
"$venv/bin/python" tools/development_requirements.py >build/development-requirements.txt
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r build/development-requirements.txt
{
    echo "# Pinned versions for development, written by 'make lock' from pyproject.toml."
    "$venv/bin/python" -m pip freeze --all --exclude pip --exclude wheel
    grep 'python_version' build/development-requirements.txt || true
} >requirements-dev.lock
