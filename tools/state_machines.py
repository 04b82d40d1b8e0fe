"""Writes docs/state-machines.md from the tables in the code."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "state-machines.md"


def main() -> int:
    """Write the page."""
    sys.path.insert(0, str(ROOT / "src"))
    from volans.driver.state_machines import page

    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
