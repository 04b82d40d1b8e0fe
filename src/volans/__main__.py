"""``python -m volans`` is the ``volans`` command."""

from __future__ import annotations

from volans.cli.main import app

if __name__ == "__main__":
    app(prog_name="volans")
