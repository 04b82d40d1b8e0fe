#!/bin/sh
# Make a virtual environment in $1 with pip in it, by whichever way this machine offers.
set -eu
venv=$1

say() { printf '%s\n' "$*" >&2; }

is_new_enough() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

python=""
for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
    if [ -n "$candidate" ] && is_new_enough "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    say "Volans needs Python 3.11 or later and found none; install one, or run: make PYTHON=/path/to/python3"
    exit 1
fi
if ! "$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'; then
    say "Python.h is missing, so nothing can be compiled; on Debian: apt install python3-dev"
    exit 1
fi
if ! command -v "$(printf '%s' "${CC:-cc}" | awk '{print $NF}')" >/dev/null 2>&1; then
    say "No C compiler found; on Debian: apt install gcc libc6-dev"
    exit 1
fi

has_pip() { [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }

has_pip && exit 0
say "making $venv with $("$python" --version)"
"$python" -m venv "$venv" >/dev/null 2>&1 || rm -rf "$venv"     # the usual way
has_pip && exit 0
"$python" -m virtualenv -q "$venv" >/dev/null 2>&1 || rm -rf "$venv"
has_pip && exit 0
# No ensurepip, but a pip beside this Python: let it install itself inside.
"$python" -m venv --without-pip "$venv" >/dev/null 2>&1 &&
    "$python" -m pip --python "$venv/bin/python" install -q pip >/dev/null 2>&1 || rm -rf "$venv"
has_pip && exit 0
say "This Python can make no virtual environment with pip; on Debian: apt install python3-venv"
exit 1
