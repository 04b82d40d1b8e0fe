"""``python -m volans.cli`` is the ``volans`` command."""

from __future__ import annotations

from volans.cli.main import app

app(prog_name="volans")
