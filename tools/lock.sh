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
# What only later Pythons can install is pinned by hand: this Python cannot resolve it.
for_later_pythons=$(grep '; python_version' requirements-dev.lock || true)
{
    echo "# Pinned versions for development, written by 'make lock' from pyproject.toml."
    "$venv/bin/python" -m pip freeze --all --exclude pip
    printf '%s\n' "$for_later_pythons"
} >build/requirements-dev.lock
mv build/requirements-dev.lock requirements-dev.lock
